import { matchesLabels, type PersistentVolume, type PersistentVolumeClaim, type Pod, wholeOf } from '#api';
import { accept, type ClusterView, type CycleState, type NodeInfo, refuse, type SchedulerPlugin } from '#sdk';
import { termMatches } from './node-affinity.ts';
import { parsedSelector } from './selectors.ts';

interface Wanted {
  readonly name: string;
  readonly isEphemeral: boolean;
}
/** Names of the claims that a pod uses. */
const claimsOf = (pod: Readonly<Pod>): Wanted[] =>
  (pod.spec?.volumes ?? []).flatMap((volume): Wanted[] => {
    if (volume.persistentVolumeClaim) return [{ name: volume.persistentVolumeClaim.claimName, isEphemeral: false }];
    return volume.ephemeral ? [{ name: `${pod.metadata.name}-${volume.name}`, isEphemeral: true }] : [];
  });
const bindsLate = (claim: Readonly<PersistentVolumeClaim>, cluster: ClusterView): boolean =>
  !!claim.spec?.storageClassName &&
  cluster.storageClass(claim.spec.storageClassName)?.volumeBindingMode === 'WaitForFirstConsumer';
const isBound = (claim: Readonly<PersistentVolumeClaim>): boolean =>
  !!claim.spec?.volumeName && claim.metadata.annotations?.['pv.kubernetes.io/bind-completed'] !== undefined;

function lack(pod: Readonly<Pod>, wanted: Wanted, cluster: ClusterView): string | undefined {
  const claim = cluster.claim(pod.metadata.namespace ?? '', wanted.name);
  const text = `persistentvolumeclaim ${JSON.stringify(wanted.name)}`;
  if (!claim)
    return wanted.isEphemeral ? `waiting for ephemeral volume controller to create the ${text}` : `${text} not found`;
  if (claim.status?.phase === 'Lost')
    return `${text} bound to non-existent persistentvolume ${JSON.stringify(claim.spec?.volumeName ?? '')}`;
  if (claim.metadata.deletionTimestamp) return `${text} is being deleted`;
  return isBound(claim) || (bindsLate(claim, cluster) && !claim.spec?.volumeName)
    ? undefined
    : 'pod has unbound immediate PersistentVolumeClaims';
}

function reaches(volume: Readonly<PersistentVolume>, { node }: NodeInfo): boolean {
  const required = volume.spec?.nodeAffinity?.required;
  return !required || required.nodeSelectorTerms.some((term) => termMatches(term, node));
}
/** A volume that nobody holds and that this claim could have. */
function serves(volume: Readonly<PersistentVolume>, claim: Readonly<PersistentVolumeClaim>): boolean {
  const [has, wants] = [volume.spec, claim.spec];
  const holder = has?.claimRef;
  if (holder && (holder.name !== claim.metadata.name || holder.namespace !== claim.metadata.namespace)) return false;
  if ((has?.storageClassName ?? '') !== (wants?.storageClassName ?? '')) return false;
  if ((has?.volumeMode ?? 'Filesystem') !== (wants?.volumeMode ?? 'Filesystem')) return false;
  if (!(wants?.accessModes ?? []).every((mode) => has?.accessModes?.includes(mode))) return false;
  if (wholeOf(has?.capacity?.storage) < wholeOf(wants?.resources?.requests?.storage)) return false;
  return !wants?.selector || matchesLabels(parsedSelector(wants.selector), volume.metadata.labels);
}

/**
 * Claims exist and are bound, and their volumes reach the node. Claims that wait for their first pod are refused where no
 * volume could serve them: this scheduler does not bind or order volumes itself.
 */
export const volumeBinding: SchedulerPlugin = {
  name: 'VolumeBinding',
  retryOn: ['node', 'volume'],
  preFilter(pod, { cluster }) {
    for (const wanted of claimsOf(pod)) {
      const reason = lack(pod, wanted, cluster);
      if (reason) return { ok: false, reason };
    }
    return undefined;
  },
  filter(pod, info, { cluster }) {
    for (const { name } of claimsOf(pod)) {
      const claim = cluster.claim(pod.metadata.namespace ?? '', name);
      if (!claim) continue; // refused above
      if (!isBound(claim)) {
        if (!cluster.volumes().some((volume) => serves(volume, claim) && reaches(volume, info)))
          return refuse("node(s) didn't find available persistent volumes to bind");
        return refuse(
          'node(s) cannot be given volumes that bind with their first pod: this scheduler does not bind volumes yet',
        );
      }
      const volume = cluster.volume(claim.spec!.volumeName!);
      if (!volume) return refuse('node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)');
      if (!reaches(volume, info)) return refuse("node(s) didn't match PersistentVolume's node affinity");
    }
    return accept;
  },
};

const restrictions = 'VolumeRestrictions';
interface Exclusive {
  readonly names: ReadonlySet<string>;
  /** Pods anywhere that use one of them. */
  users: number;
}
function uses(pod: Readonly<Pod>, other: Readonly<Pod>, names: ReadonlySet<string>): boolean {
  return (
    other.metadata.namespace === pod.metadata.namespace &&
    (other.spec?.volumes ?? []).some((one) => names.has(one.persistentVolumeClaim?.claimName ?? ''))
  );
}
/** A claim with access mode ReadWriteOncePod serves one pod of the whole cluster. */
export const volumeRestrictions: SchedulerPlugin = {
  name: restrictions,
  retryOn: ['pod-deleted', 'volume'],
  preFilter(pod, state: CycleState) {
    const names = new Set(
      (pod.spec?.volumes ?? [])
        .map((one) => one.persistentVolumeClaim?.claimName ?? '')
        .filter((name) =>
          state.cluster.claim(pod.metadata.namespace ?? '', name)?.spec?.accessModes?.includes('ReadWriteOncePod'),
        ),
    );
    if (names.size === 0) return undefined;
    let users = 0;
    for (const info of state.nodes) for (const other of info.pods) if (uses(pod, other, names)) users++;
    state.data.set(restrictions, { names, users } satisfies Exclusive);
    return undefined;
  },
  shift(pod, _info, other, by, state) {
    const exclusive = state.data.get(restrictions) as Exclusive | undefined;
    if (exclusive && uses(pod, other, exclusive.names)) exclusive.users += by;
  },
  filter: (_pod, _info, state) =>
    (state.data.get(restrictions) as Exclusive | undefined)?.users
      ? refuse(
          'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod',
          true,
        )
      : accept,
};
