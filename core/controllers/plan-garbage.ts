import type { KubeObject, OwnerReference } from '#api';

export const orphanFinalizer = 'orphan';
export const foregroundFinalizer = 'foregroundDeletion';
type Held = Readonly<KubeObject>;

/** `waiting`: its own deletion waits for its dependents (foreground). `absent`: verified, no object with that uid lives. */
export type OwnerState = 'solid' | 'waiting' | 'absent';

export const hasFinalizer = (object: Held, name: string): boolean =>
  object.metadata.finalizers?.includes(name) ?? false;
export const isOrphaning = (object: Held): boolean =>
  !!object.metadata.deletionTimestamp && hasFinalizer(object, orphanFinalizer);
export const isWaiting = (object: Held): boolean =>
  !!object.metadata.deletionTimestamp && hasFinalizer(object, foregroundFinalizer);
export const ownersOf = (object: Held): readonly OwnerReference[] => object.metadata.ownerReferences ?? [];

export type OwnerPlan =
  /** Give every dependent up, then let go of the owner. */
  | { readonly type: 'orphan'; readonly dependents: readonly Held[] }
  /** Look at these dependents; the end of the blocking ones brings the owner up again. */
  | { readonly type: 'await'; readonly dependents: readonly Held[] }
  | { readonly type: 'finish'; readonly finalizer: string };

/** What an owner under deletion needs from this collector; undefined when nothing. Orphaning wins where both are asked. */
export function planOwner(owner: Held, dependents: readonly Held[]): OwnerPlan | undefined {
  if (isOrphaning(owner))
    return dependents.length > 0 ? { type: 'orphan', dependents } : { type: 'finish', finalizer: orphanFinalizer };
  if (!isWaiting(owner)) return undefined;
  const blocks = (dependent: Held) =>
    ownersOf(dependent).some(({ uid, blockOwnerDeletion }) => uid === owner.metadata.uid && blockOwnerDeletion);
  if (!dependents.some(blocks)) return { type: 'finish', finalizer: foregroundFinalizer };
  return { type: 'await', dependents: dependents.filter(({ metadata }) => !metadata.deletionTimestamp) };
}

export type DependentPlan =
  | { readonly type: 'keep' }
  /** It still has an owner: only the references to the others go. */
  | { readonly type: 'release'; readonly ownerReferences: readonly OwnerReference[] }
  | {
      readonly type: 'delete';
      readonly policy: 'Orphan' | 'Foreground' | 'Background';
      /** First stop blocking the owners: a circle of objects that wait for each other would never end. */
      readonly unblock: boolean;
    };

/** Whether a dependent lives on. `states` is by uid and names every owner. */
export function planDependent(
  object: Held,
  states: ReadonlyMap<string, OwnerState>,
  dependents: readonly Held[],
): DependentPlan {
  const owners = ownersOf(object);
  if (object.metadata.deletionTimestamp || owners.length === 0) return { type: 'keep' };
  const solid = owners.filter(({ uid }) => (states.get(uid) ?? 'solid') === 'solid');
  if (solid.length === owners.length) return { type: 'keep' };
  if (solid.length > 0) return { type: 'release', ownerReferences: solid };
  if (owners.some(({ uid }) => states.get(uid) === 'waiting') && dependents.length > 0)
    return { type: 'delete', policy: 'Foreground', unblock: dependents.some(isWaiting) };
  const policy = hasFinalizer(object, orphanFinalizer)
    ? 'Orphan'
    : hasFinalizer(object, foregroundFinalizer)
      ? 'Foreground'
      : 'Background';
  return { type: 'delete', policy, unblock: false };
}

/** Whether a change can matter to owners or dependents; status updates do not. */
export function sameTies(left: Held, right: Held): boolean {
  const ties = ({ metadata }: Held) =>
    JSON.stringify([metadata.uid, metadata.ownerReferences, !metadata.deletionTimestamp, metadata.finalizers]);
  return ties(left) === ties(right);
}
