import {
  clusterRoleBindingKind,
  clusterRoleKind,
  isReason,
  type Kind,
  type KubeObject,
  roleBindingKind,
  roleKind,
} from '#api';
import type { AnyKind, AnyObject } from '../contract.ts';
import type { Core } from '../core.ts';
import { systemCall, systemCreate } from '../system-call.ts';
import { updateObject } from '../update-object.ts';
import { bootstrapPolicy, type PolicyObject } from './bootstrap-policy.ts';
import { uncovered } from './rbac/rules.ts';

const kinds = new Map<string, AnyKind>(
  [clusterRoleKind, clusterRoleBindingKind, roleKind, roleBindingKind].map((kind) => [
    kind.kind,
    kind as Kind<KubeObject>,
  ]),
);
const optOut = 'rbac.authorization.kubernetes.io/autoupdate';

/**
 * Makes the roles that are missing and gives back rules and subjects that were taken from them, unless their
 * annotation says not to. All at once, so that the store commits them in a few groups. Safe to run at every start.
 */
export async function bootstrapRbac(core: Core): Promise<void> {
  await Promise.all(bootstrapPolicy().map((wanted) => ensure(core, wanted)));
}

async function ensure(core: Core, wanted: PolicyObject): Promise<void> {
  const kind = kinds.get(wanted.kind ?? '')!;
  const { name = '', namespace = '' } = wanted.metadata;
  const current = core.cache.cacheOf(kind)?.get(namespace, name)?.object as Readonly<PolicyObject> | undefined;
  try {
    if (!current) {
      await systemCreate(core, kind, wanted as unknown as AnyObject);
      return;
    }
    const change = repair(current, wanted);
    if (!change) return;
    await updateObject(systemCall(core, kind, 'update', namespace, name), {
      verb: 'update',
      build: (now) => ({ ...now.draft(), ...change }) as AnyObject,
    });
  } catch (error) {
    // Another apiserver was faster, or the namespace is going.
    if (!isReason(error, 'AlreadyExists', 'Conflict', 'Forbidden')) throw error;
  }
}

/** The fields to set, or undefined when nothing is missing. Pure. */
export function repair(
  current: Readonly<PolicyObject>,
  wanted: Readonly<PolicyObject>,
): Partial<PolicyObject> | undefined {
  if (current.metadata.annotations?.[optOut] === 'false') return undefined;
  if (wanted.roleRef) {
    const held = new Set((current.subjects ?? []).map((subject) => JSON.stringify(subject)));
    const gone = (wanted.subjects ?? []).filter(
      (subject) =>
        ![...held].some((text) => {
          const other = JSON.parse(text) as typeof subject;
          return other.kind === subject.kind && other.name === subject.name && other.namespace === subject.namespace;
        }),
    );
    return gone.length > 0 ? { subjects: [...(current.subjects ?? []), ...gone] } : undefined;
  }
  if (wanted.aggregationRule) {
    const same = JSON.stringify(current.aggregationRule) === JSON.stringify(wanted.aggregationRule);
    return same ? undefined : { aggregationRule: wanted.aggregationRule };
  }
  const lost = uncovered(current.rules ?? [], wanted.rules ?? []);
  return lost.length > 0 ? { rules: [...(current.rules ?? []), ...lost] } : undefined;
}
