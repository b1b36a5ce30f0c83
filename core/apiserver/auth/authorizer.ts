import type { PolicyRule, RoleRef } from '#api';
import type { UserInfo } from '#sdk';
import type { HeldRules, Reader } from '../contract.ts';
import { type Attributes, type Decision, mastersGroup, nodeNameOf } from './attributes.ts';
import { authorizeNode, type NodeUses } from './node-authorizer.ts';
import { RuleIndex } from './rbac/bindings.ts';
import { ruleAllows } from './rbac/rules.ts';

const allowed: Decision = { allowed: true };
const everything: readonly PolicyRule[] = [
  { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
  { nonResourceURLs: ['*'], verbs: ['*'] },
];

/** Administrators, then nodes by what runs on them, then roles. Nothing succeeds without an allow. */
export function createAuthorizer(options: { readonly nodeUses: NodeUses }): {
  authorize(user: UserInfo, attributes: Attributes): Decision;
  bind(reader: Reader): void;
  rulesFor(user: UserInfo, namespace: string): HeldRules;
  rulesOf(reference: Readonly<RoleRef>, namespace: string): readonly PolicyRule[] | undefined;
} {
  let index: RuleIndex | undefined;
  return {
    bind(reader) {
      index = new RuleIndex(reader);
    },
    authorize: (user, attributes) => authorize(user, attributes, options.nodeUses, index),
    rulesFor(user, namespace) {
      const missing = new Set<string>();
      const rules = [...(index?.rulesFor(user, namespace, missing) ?? [])].map(({ rule }) => rule);
      const isNode = nodeNameOf(user) !== undefined;
      const problems = [...missing, ...(isNode ? ['node authorizer does not support user rule resolution'] : [])];
      return {
        rules: user.groups.includes(mastersGroup) ? [...everything, ...rules] : rules,
        incomplete: isNode || missing.size > 0,
        ...(problems.length > 0 && { error: aggregate(problems) }),
      };
    },
    rulesOf: (reference, namespace) => index?.rulesOf(reference, namespace),
  };
}

export function authorize(user: UserInfo, attributes: Attributes, nodeUses: NodeUses, index?: RuleIndex): Decision {
  if (user.groups.includes(mastersGroup)) return allowed;
  const nodeName = attributes.isResource ? nodeNameOf(user) : undefined;
  const byNode = nodeName === undefined ? undefined : authorizeNode(nodeName, attributes, nodeUses);
  if (byNode?.allowed) return byNode;
  const missing = new Set<string>();
  for (const { rule, source } of index?.rulesFor(user, attributes.isResource ? attributes.namespace : '', missing) ??
    [])
    if (ruleAllows(rule, attributes)) return { allowed: true, reason: `RBAC: allowed by ${source()}` };
  const reasons = [byNode?.reason, missing.size > 0 ? `RBAC: ${aggregate([...missing])}` : undefined].filter(Boolean);
  return { allowed: false, ...(reasons.length > 0 && { reason: reasons.join('\n') }) };
}
const aggregate = (texts: readonly string[]): string => (texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`);
