import { apiVersionOf, isReason, type Kind, type KubeObject, keyOf, type Pod, podKind } from '#api';
import { messageOf } from '#base';
import type { ControllerSpec, ReconcileContext } from '../reconciler.ts';
import { planClaims, planReplicas, planStatus, type Replicated, type Selects, sameStatus } from './plan.ts';
import { isTerminating } from './refusals.ts';

type OwnedPod = Readonly<Pod & KubeObject>;

export interface ReplicasOptions<T extends Replicated> {
  /** The controller's name, in events too. */
  readonly name: string;
  readonly kind: Kind<T>;
  readonly selector: (owner: Readonly<T>) => Selects;
  /** The status has terminatingReplicas. */
  readonly tellsTerminating?: boolean;
}
/** One owner in one pass. */
interface Work {
  readonly owner: Readonly<Replicated>;
  readonly kind: Kind<Replicated>;
  readonly context: ReconcileContext;
  readonly tellsTerminating?: boolean;
}

/** Keeps `spec.replicas` pods of the template: adopts, creates in growing batches, deletes the least loss, writes the status. */
export function replicasController<T extends Replicated>(options: ReplicasOptions<T>): ControllerSpec<T> {
  const kind = options.kind as unknown as Kind<Replicated>;
  const selector = options.selector as (owner: Readonly<Replicated>) => Selects;
  return {
    name: options.name,
    watches: options.kind,
    owns: [podKind],
    alsoOn: [
      {
        kind: podKind,
        // A pod without a controller concerns every owner that would adopt it.
        keys: (pod: OwnedPod, informers) =>
          pod.metadata.ownerReferences?.some((owner) => owner.controller)
            ? []
            : informers
                .informer(kind)
                .cache.list(pod.metadata.namespace)
                .filter((owner) => selector(owner)(pod.metadata.labels))
                .map(keyOf),
      },
    ],
    reconciler: {
      async reconcile(_key, owner, context) {
        const { tellsTerminating } = options;
        if (owner) return reconcile({ owner, kind, context, tellsTerminating }, selector(owner));
      },
    },
  };
}

async function reconcile(work: Work, selects: Selects): Promise<{ requeueAfterMs?: number }> {
  const { owner, kind, context } = work;
  const cache = context.informers.informer(podKind).cache;
  const plan = () => planClaims(owner, selects, cache.list(owner.metadata.namespace));
  let claims = plan();
  if (claims.adopt.length + claims.release.length > 0) {
    await claim(work, claims.adopt, claims.release);
    claims = plan(); // our own writes are in it
  }
  let failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined;
  if (!owner.metadata.deletionTimestamp) {
    const { create, remove } = planReplicas(owner, claims.owned);
    if (create > 0) failure = await createPods(work, create);
    else if (remove.length > 0) failure = await deletePods(work, remove as OwnedPod[]);
    if (create + remove.length > 0) claims = plan();
  }
  const { status, againInMs } = planStatus(owner, claims.owned, failure, context.clock.now(), work.tellsTerminating);
  if (!sameStatus(owner.status, status))
    await context.client.update(kind, { ...owner, status }, { subresource: 'status' });
  if (failure) throw new Error(failure.message);
  return { requeueAfterMs: againInMs };
}

async function claim(work: Work, adopt: readonly Readonly<Pod>[], release: readonly Readonly<Pod>[]) {
  const { owner, kind, context } = work;
  const { client } = context;
  if (adopt.length > 0) {
    // Ask the server itself: a cache may still show a controller that was deleted and made anew.
    const live = await client.get(kind, keyOf(owner));
    if (live.metadata.uid !== owner.metadata.uid) throw new Error(`original controller ${owner.metadata.name} is gone`);
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
  for (const pod of adopt) await patch(pod, [...(pod.metadata.ownerReferences ?? []), ownerOf(work)]);
  for (const pod of release)
    await patch(
      pod,
      (pod.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid),
    );
}

const ownerOf = ({ owner, kind }: Work) => ({
  apiVersion: apiVersionOf(kind),
  kind: kind.kind,
  name: owner.metadata.name!,
  uid: owner.metadata.uid!,
  controller: true,
  blockOwnerDeletion: true,
});

/** 1, 2, 4, … at a time: where every creation fails, one request tells it and not all of them. */
async function createPods(work: Work, count: number) {
  const { owner, context } = work;
  const { client, events } = context;
  const template = owner.spec?.template;
  const draft = (): Pod & KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${owner.metadata.name}-`,
      namespace: owner.metadata.namespace,
      labels: template?.metadata?.labels,
      annotations: template?.metadata?.annotations,
      finalizers: template?.metadata?.finalizers,
      ownerReferences: [ownerOf(work)],
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
        events.event(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${result.value.metadata.name}`);
      else if (isTerminating(result.reason))
        return undefined; // the namespace is going: nothing to complain about
      else {
        failed = result.reason;
        events.event(owner, 'Warning', 'FailedCreate', `Error creating: ${messageOf(failed)}`);
      }
    }
    if (failed) return { reason: 'FailedCreate' as const, message: messageOf(failed) };
  }
  return undefined;
}
async function deletePods({ owner, context }: Work, pods: readonly OwnedPod[]) {
  const { client, events } = context;
  let failed: unknown;
  await Promise.all(
    pods.map(async (pod) => {
      try {
        await client.delete(podKind, keyOf(pod), { preconditions: { uid: pod.metadata.uid } });
        events.event(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
      } catch (error) {
        if (isReason(error, 'NotFound', 'Conflict')) return; // gone, or another life under that name
        failed = error;
        events.event(owner, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`);
      }
    }),
  );
  return failed ? { reason: 'FailedDelete' as const, message: messageOf(failed) } : undefined;
}
