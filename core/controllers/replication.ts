import {
  isReason,
  type KubeObject,
  keyOf,
  matchesSet,
  type Pod,
  podKind,
  type ReplicationController,
  replicationControllerKind,
} from '#api';
import { messageOf } from '#base';
import type { ControllerSpec, ReconcileContext } from '#sdk';
import { planClaims, planReplicas, planStatus, sameStatus } from './plan-replicas.ts';
import { isTerminating } from './refusals.ts';

type Controller = Readonly<ReplicationController & KubeObject>;
type OwnedPod = Readonly<Pod & KubeObject>;

export const replicationController: ControllerSpec<ReplicationController & KubeObject> = {
  name: 'replication-controller',
  watches: replicationControllerKind,
  owns: [podKind],
  alsoOn: [
    {
      kind: podKind,
      // A pod without a controller concerns every replication controller that would adopt it.
      keys: (pod: OwnedPod, informers) =>
        pod.metadata.ownerReferences?.some((owner) => owner.controller)
          ? []
          : informers
              .informer(replicationControllerKind)
              .cache.list(pod.metadata.namespace)
              .filter((rc) => matchesSet(rc.spec?.selector, pod.metadata.labels))
              .map(keyOf),
    },
  ],
  reconciler: {
    async reconcile(_key, rc, context) {
      if (!rc) return;
      const cache = context.informers.informer(podKind).cache;
      const plan = () => planClaims(rc, cache.list(rc.metadata.namespace));
      let claims = plan();
      if (claims.adopt.length + claims.release.length > 0) {
        await claim(rc, claims.adopt, claims.release, context);
        claims = plan(); // our own writes are in it
      }
      let failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined;
      if (!rc.metadata.deletionTimestamp) {
        const { create, remove } = planReplicas(rc, claims.owned);
        if (create > 0) failure = await createPods(rc, create, context);
        else if (remove.length > 0) failure = await deletePods(rc, remove as OwnedPod[], context);
        if (create + remove.length > 0) claims = plan();
      }
      const { owned } = claims;
      const { status, againInMs } = planStatus(rc, owned, failure, context.clock.now());
      if (!sameStatus(rc.status, status))
        await context.client.update(replicationControllerKind, { ...rc, status }, { subresource: 'status' });
      if (failure) throw new Error(failure.message);
      return { requeueAfterMs: againInMs };
    },
  },
};

async function claim(
  rc: Controller,
  adopt: readonly Readonly<Pod>[],
  release: readonly Readonly<Pod>[],
  context: ReconcileContext,
) {
  const { client } = context;
  if (adopt.length > 0) {
    // Ask the server itself: a cache may still show a controller that was deleted and made anew.
    const live = await client.get(replicationControllerKind, keyOf(rc));
    if (live.metadata.uid !== rc.metadata.uid) throw new Error(`original controller ${rc.metadata.name} is gone`);
    if (live.metadata.deletionTimestamp) return;
  }
  const patch = async (pod: Readonly<Pod>, ownerReferences: Pod['metadata']['ownerReferences']) => {
    const { uid, resourceVersion } = pod.metadata;
    const body = { metadata: { uid, resourceVersion, ownerReferences } };
    try {
      await client.patch(podKind, keyOf(pod as OwnedPod), { type: 'merge', body });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  };
  for (const pod of adopt) await patch(pod, [...(pod.metadata.ownerReferences ?? []), ownerOf(rc)]);
  for (const pod of release)
    await patch(
      pod,
      (pod.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== rc.metadata.uid),
    );
}

const ownerOf = (rc: Controller) => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  name: rc.metadata.name!,
  uid: rc.metadata.uid!,
  controller: true,
  blockOwnerDeletion: true,
});

/** 1, 2, 4, … at a time: where every creation fails, one request tells it and not all of them. */
async function createPods(rc: Controller, count: number, { client, events }: ReconcileContext) {
  const template = rc.spec?.template;
  const draft = (): Pod & KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${rc.metadata.name}-`,
      namespace: rc.metadata.namespace,
      labels: template?.metadata?.labels,
      annotations: template?.metadata?.annotations,
      finalizers: template?.metadata?.finalizers,
      ownerReferences: [ownerOf(rc)],
    },
    spec: template?.spec,
  });
  for (let left = count, batch = 1; left > 0; batch *= 2) {
    const now = Math.min(batch, left);
    const results = await Promise.allSettled(Array.from({ length: now }, () => client.create(podKind, draft())));
    left -= now;
    let failed: unknown;
    for (const result of results) {
      if (result.status === 'fulfilled')
        events.event(rc, 'Normal', 'SuccessfulCreate', `Created pod: ${result.value.metadata.name}`);
      else if (isTerminating(result.reason))
        return undefined; // the namespace is going: nothing to complain about
      else {
        failed = result.reason;
        events.event(rc, 'Warning', 'FailedCreate', `Error creating: ${messageOf(failed)}`);
      }
    }
    if (failed) return { reason: 'FailedCreate' as const, message: messageOf(failed) };
  }
  return undefined;
}
async function deletePods(rc: Controller, pods: readonly OwnedPod[], { client, events }: ReconcileContext) {
  let failed: unknown;
  await Promise.all(
    pods.map(async (pod) => {
      try {
        await client.delete(podKind, keyOf(pod), { preconditions: { uid: pod.metadata.uid } });
        events.event(rc, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
      } catch (error) {
        if (isReason(error, 'NotFound', 'Conflict')) return; // gone, or another life under that name
        failed = error;
        events.event(rc, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`);
      }
    }),
  );
  return failed ? { reason: 'FailedDelete' as const, message: messageOf(failed) } : undefined;
}
