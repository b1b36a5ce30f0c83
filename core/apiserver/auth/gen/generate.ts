/**
 * Makes policy.json from the fixtures in which the Kubernetes Go module records its bootstrap roles and bindings.
 * Facts only: names, rules, subjects, labels. Run: bun core/apiserver/auth/gen/generate.ts (needs Go and its module proxy).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { moduleVersion } from '../../../api/gen/generate.ts';
import { moduleFolder, targetFolder } from '../../../api/gen/go-modules.ts';

const files = [
  'cluster-roles',
  'cluster-role-bindings',
  'controller-roles',
  'controller-role-bindings',
  'namespace-roles',
  'namespace-role-bindings',
];
interface Item {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly [field: string]: unknown;
}

/** `folder`: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata of the module. */
export function policyText(folder: string): string {
  const items = files.flatMap(
    (file) => (parse(readFileSync(join(folder, `${file}.yaml`), 'utf8')) as { items: Item[] }).items,
  );
  const lines = items.map(({ kind, metadata, rules, aggregationRule, roleRef, subjects }) => {
    const { name, namespace, labels } = metadata;
    return JSON.stringify({
      kind,
      metadata: { name, namespace, labels },
      rules: rules ?? undefined,
      aggregationRule,
      roleRef,
      subjects,
    });
  });
  return `{"version":"${moduleVersion}","items":[\n${lines.join(',\n')}\n]}\n`;
}

if (import.meta.main) {
  const module = moduleFolder(`k8s.io/kubernetes@v${moduleVersion}`);
  const text = policyText(join(module, 'plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata'));
  writeFileSync(join(targetFolder(import.meta.dir), 'policy.json'), text);
  console.log(`${text.split('\n').length - 3} roles and bindings`);
}
