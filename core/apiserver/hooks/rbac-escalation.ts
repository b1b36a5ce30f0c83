import { type ClusterRole, errors, type KubeObject, type PolicyRule, type RoleBinding, type RoleRef } from '#api';
import type { UserInfo } from '#sdk';
import { mastersGroup } from '../auth/attributes.ts';
import { ruleTexts, uncovered } from '../auth/rbac/rules.ts';
import type { AdmissionHook, AdmissionRequest, Authorizer } from '../contract.ts';

const group = 'rbac.authorization.k8s.io';
const roles: ReadonlySet<string> = new Set(['roles', 'clusterroles']);
const bindings: ReadonlySet<string> = new Set(['rolebindings', 'clusterrolebindings']);
const everything: readonly PolicyRule[] = [
  { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
  { nonResourceURLs: ['*'], verbs: ['*'] },
];

/**
 * Nobody grants what he has not: a role may hold only rules that its writer holds, a binding may name only a role whose
 * rules its writer holds. Exempt are administrators and those who were given the verb `escalate` or `bind` for it.
 */
export const rbacEscalation = (authorizer: Authorizer): AdmissionHook => ({
  name: 'RBACEscalation',
  validate(request) {
    const { kind, operation, user, object, current } = request;
    if (kind.group !== group || !object || operation === 'DELETE' || user.groups.includes(mastersGroup)) return;
    if (current && onlyCollectorFields(object, current)) return;
    if (roles.has(kind.plural)) return checkRole(authorizer, request);
    if (bindings.has(kind.plural)) return checkBinding(authorizer, request);
  },
});

async function may(
  authorizer: Authorizer,
  user: UserInfo,
  verb: 'escalate' | 'bind',
  resource: string,
  namespace: string,
  name: string,
): Promise<boolean> {
  const asked = { verb, group, version: '*', resource, subresource: '', namespace, name, path: '', isResource: true };
  return (await authorizer.authorize(user, asked)).allowed;
}

async function checkRole(authorizer: Authorizer, request: AdmissionRequest): Promise<void> {
  const { user, kind, namespace, object, current } = request;
  // The name of the request, as upstream: a creation has none, so that a right for one name does not allow it.
  if (await may(authorizer, user, 'escalate', kind.plural, namespace, request.info.name)) return;
  const role = object as ClusterRole & KubeObject;
  confirm(authorizer, request, role.rules ?? []);
  const aggregates = (value: unknown) =>
    ((value as ClusterRole | undefined)?.aggregationRule?.clusterRoleSelectors?.length ?? 0) > 0;
  if (!aggregates(role) && !aggregates(current)) return;
  const held = authorizer.rulesFor?.(user, namespace).rules ?? [];
  if (uncovered(held, everything).length > 0)
    throw errors.forbidden(
      `${kind.plural}.${group}`,
      request.name,
      'must have cluster-admin privileges to use the aggregationRule',
    );
}

async function checkBinding(authorizer: Authorizer, request: AdmissionRequest): Promise<void> {
  const { user, namespace, object } = request;
  const reference = (object as unknown as RoleBinding).roleRef;
  const resource = reference.kind === 'Role' ? 'roles' : 'clusterroles';
  if (await may(authorizer, user, 'bind', resource, namespace, reference.name)) return;
  confirm(authorizer, request, roleRules(authorizer, reference, namespace, request.kind.plural));
}

/** Upstream names the binding's resource where the role is missing. */
function roleRules(
  authorizer: Authorizer,
  reference: Readonly<RoleRef>,
  namespace: string,
  plural: string,
): readonly PolicyRule[] {
  const rules = authorizer.rulesOf?.(reference, namespace);
  if (rules) return rules;
  throw errors.notFound(`${plural}.${group}`, reference.name);
}

function confirm(authorizer: Authorizer, request: AdmissionRequest, wanted: readonly PolicyRule[]): void {
  const { user, namespace, kind } = request;
  const held = authorizer.rulesFor?.(user, namespace);
  const missing = uncovered(held?.rules ?? [], wanted);
  if (missing.length === 0) return;
  const groups = `[${user.groups.map((text) => JSON.stringify(text)).join(' ')}]`;
  const more = held?.error ? `; resolution errors: [${held.error}]` : '';
  throw errors.forbidden(
    `${kind.plural}.${group}`,
    request.name,
    `user ${JSON.stringify(user.name)} (groups=${groups}) is attempting to grant RBAC permissions not currently held:\n${ruleTexts(missing).join('\n')}${more}`,
  );
}

/** The collector takes finalizers and owners off; that grants nothing. */
function onlyCollectorFields(next: Readonly<KubeObject>, current: Readonly<KubeObject>): boolean {
  const rest = (object: Readonly<KubeObject>) =>
    JSON.stringify({
      ...object,
      metadata: { ...object.metadata, finalizers: 0, ownerReferences: 0, managedFields: 0, resourceVersion: 0 },
    });
  return rest(next) === rest(current);
}
