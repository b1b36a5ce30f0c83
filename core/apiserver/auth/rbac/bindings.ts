import {
  type ClusterRole,
  type ClusterRoleBinding,
  clusterRoleBindingKind,
  clusterRoleKind,
  type Kind,
  type KubeObject,
  type PolicyRule,
  type RbacSubject,
  type Role,
  type RoleBinding,
  type RoleRef,
  roleBindingKind,
  roleKind,
} from '#api';
import type { UserInfo } from '#sdk';
import type { Reader } from '../../contract.ts';

type Binding = Readonly<(RoleBinding | ClusterRoleBinding) & KubeObject>;
/** One rule that a user holds, and through what. */
export interface HeldRule {
  readonly rule: Readonly<PolicyRule>;
  readonly source: () => string;
}
interface Grant {
  readonly binding: Binding;
  readonly subject: Readonly<RbacSubject>;
}

/**
 * Who holds which rules. Bindings are indexed by subject and follow every change of the caches one by one, so that a
 * decision costs what the user's own bindings cost, and a revocation holds from the very next request.
 */
export class RuleIndex {
  /** Subject's text → binding's uid or name → grant. Cluster-wide under namespace ''. */
  readonly #grants = new Map<string, Map<string, Grant>>();

  constructor(private readonly reader: Reader) {
    this.#follow(clusterRoleBindingKind as Kind<KubeObject>);
    this.#follow(roleBindingKind as Kind<KubeObject>);
  }

  /** Every rule of the user in a namespace; with '' only those that hold everywhere. `missing` gets roles that are gone. */
  *rulesFor(user: UserInfo, namespace: string, missing?: Set<string>): Generator<HeldRule> {
    for (const place of namespace ? ['', namespace] : [''])
      for (const who of [`u:${user.name}`, ...user.groups.map((group) => `g:${group}`)])
        for (const { binding, subject } of this.#grants.get(`${place}/${who}`)?.values() ?? []) {
          for (const rule of this.rulesOf(binding.roleRef, place, missing) ?? [])
            yield { rule, source: () => describe(binding, subject, place) };
        }
  }

  /** The rules of a role; undefined when there is no such role. */
  rulesOf(reference: Readonly<RoleRef>, namespace: string, missing?: Set<string>): readonly PolicyRule[] | undefined {
    const isRole = reference.kind === 'Role';
    const role = isRole
      ? (this.reader.get(roleKind, namespace, reference.name) as Role | undefined)
      : (this.reader.get(clusterRoleKind, '', reference.name) as ClusterRole | undefined);
    if (!role)
      missing?.add(
        `${isRole ? 'role' : 'clusterrole'}.rbac.authorization.k8s.io ${JSON.stringify(reference.name)} not found`,
      );
    return role && (role.rules ?? []);
  }

  #follow(kind: Kind<KubeObject>): void {
    this.reader.onChange?.(kind, (next, previous) => {
      if (previous) this.#each(previous as Binding, (grants, key) => grants.delete(key));
      if (next) this.#each(next as Binding, (grants, key, grant) => grants.set(key, grant));
    });
  }

  #each(binding: Binding, act: (grants: Map<string, Grant>, key: string, grant: Grant) => void): void {
    const { name = '', namespace = '' } = binding.metadata;
    for (const subject of binding.subjects ?? []) {
      const who = subjectText(subject, namespace);
      if (who === undefined) continue;
      const place = `${namespace}/${who}`;
      let grants = this.#grants.get(place);
      if (!grants) this.#grants.set(place, (grants = new Map()));
      act(grants, name, { binding, subject });
      if (grants.size === 0) this.#grants.delete(place);
    }
  }
}

function subjectText({ kind, name, namespace }: Readonly<RbacSubject>, bindingNamespace: string): string | undefined {
  if (kind === 'User') return `u:${name}`;
  if (kind === 'Group') return `g:${name}`;
  const home = namespace || bindingNamespace;
  return kind === 'ServiceAccount' && home ? `u:system:serviceaccount:${home}:${name}` : undefined;
}

function describe(binding: Binding, subject: Readonly<RbacSubject>, namespace: string): string {
  const quote = JSON.stringify;
  const { name = '' } = binding.metadata;
  const { kind, name: role } = binding.roleRef;
  const home = subject.namespace || namespace;
  const who = quote(subject.kind === 'ServiceAccount' && home ? `${subject.name}/${home}` : subject.name);
  const title = namespace ? `RoleBinding ${quote(`${name}/${namespace}`)}` : `ClusterRoleBinding ${quote(name)}`;
  return `${title} of ${kind} ${quote(role)} to ${subject.kind} ${who}`;
}
