import { expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PintleError, Scope } from '#base';
import { crd } from './crd-types.ts';

const definition = (plural: string, kind: string) => `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: ${plural}.example.com }
spec:
  group: example.com
  names: { kind: ${kind}, plural: ${plural} }
  versions: [{ name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }]
`;
const codeOf = async (work: Promise<void>) => {
  try {
    await work;
    return 'done';
  } catch (error) {
    return error instanceof PintleError ? error.code : String(error);
  }
};

test('a file for each definition of a file; what holds none is refused', async () => {
  await using scope = new Scope();
  const folder = mkdtempSync(join(tmpdir(), 'pintle-crd-'));
  scope.defer(() => rmSync(folder, { recursive: true }));
  const source = join(folder, 'all.yaml');
  writeFileSync(source, [definition('foos', 'Foo'), 'kind: ConfigMap\n', definition('bars', 'Bar')].join('---\n'));
  const out = join(folder, 'out');
  await crd('types', source, { out });
  expect(readdirSync(out).sort()).toEqual(['bars.example.com.ts', 'foos.example.com.ts']);
  expect(readFileSync(join(out, 'foos.example.com.ts'), 'utf8')).toContain("apiVersion: 'example.com/v1'");
  writeFileSync(source, 'kind: ConfigMap');
  expect(await codeOf(crd('types', source, {}))).toBe('DEFINITIONS_UNREADABLE');
  expect(await codeOf(crd('types', join(folder, 'none.yaml'), {}))).toBe('DEFINITIONS_UNREADABLE');
  expect(await codeOf(crd('types', undefined, {}))).toBe('BAD_ARGUMENTS');
  expect(await codeOf(crd('rename', source, {}))).toBe('UNKNOWN_VERB');
});
