import {
  apiVersionOf,
  type ControllerSpec,
  isReason,
  type KubeObject,
  keyOf,
  matchesLabels,
  type Pod,
  podKind,
  type ReconcileContext,
  selectorOf,
} from '#sdk';
import { type Deployment, deploymentKind, type ReplicaSet, replicaSetKind } from '../kinds.ts';
import { ensureNewSet, noteNewSet, resize } from './actions.ts';
import { forgetOld, isScaling, newSetSize, shareOut, shrinkOld } from './plan.ts';
import { existingOf, newSetOf, type Sets, sizeOf } from './replica-sets.ts';
import { countsOf, hasDeadline, isComplete, progressOf, withCondition } from './status.ts';

/** One deployment in one pass. */
export interface Pass {
  readonly deployment: Readonly<Deployment>;
  readonly context: ReconcileContext;
  readonly all: Sets;
  readonly newSet: Readonly<ReplicaSet> | undefined;
}

export const deploymentController: ControllerSpec<Deployment> = {
  name: 'deployment-controller',
  watches: deploymentKind,
  owns: [replicaSetKind],
  alsoOn: [
    {
      kind: podKind, // Recreate waits for the last old pod
      keys: (pod: Readonly<Pod & KubeObject>, informers) => {
        const set = pod.metadata.ownerReferences?.find(({ controller, kind }) => controller && kind === 'ReplicaSet');
        const owner =
          set &&
          informers
            .informer(replicaSetKind)
            .cache.get({ namespace: pod.metadata.namespace, name: set.name })
            ?.metadata.ownerReferences?.find(({ controller, kind }) => controller && kind === 'Deployment');
        return owner ? [{ namespace: pod.metadata.namespace, name: owner.name }] : [];
      },
    },
    {
      kind: replicaSetKind, // one without a controller concerns every deployment that would adopt it
      keys: (set: Readonly<ReplicaSet>, informers) =>
        set.metadata.ownerReferences?.some(({ controller }) => controller)
          ? []
          : informers
              .informer(deploymentKind)
              .cache.list(set.metadata.namespace)
              .filter((deployment) => selects(deployment, set))
              .map(keyOf),
    },
  ],
  reconciler: {
    async reconcile(_key, deployment, context) {
      if (!deployment) return;
      const all = await claimSets(deployment, context);
      const pass: Pass = { deployment, context, all, newSet: newSetOf(deployment, all) };
      return deployment.metadata.deletionTimestamp ? writeCounts(pass) : rollOut(pass);
    },
  },
};

const selects = (deployment: Readonly<Deployment>, set: Readonly<ReplicaSet>): boolean =>
  deployment.spec?.selector !== undefined && matchesLabels(selectorOf(deployment.spec.selector), set.metadata.labels);

async function rollOut(given: Pass): Promise<{ requeueAfterMs?: number } | void> {
  const { deployment, all } = given;
  const pass = await notePause(given);
  if (deployment.spec?.paused || isScaling(deployment, all)) {
    const noted = await noteNewSet(pass);
    await resize(noted, shareOut(deployment, noted.newSet, noted.all));
    if (deployment.spec?.paused) await forget(noted);
    return writeCounts(noted);
  }
  return deployment.spec?.strategy?.type === 'Recreate' ? recreate(pass) : roll(pass);
}

async function roll(given: Pass): Promise<{ requeueAfterMs?: number } | void> {
  const pass = await ensureNewSet(given);
  const { deployment, all, newSet } = pass;
  const wanted = newSetSize(deployment, all, newSet);
  if (newSet && wanted !== sizeOf(newSet)) {
    await resize(pass, [{ set: newSet, replicas: wanted }]);
    return writeStatus(pass); // the change comes back and goes on from there
  }
  const smaller = newSet ? shrinkOld(deployment, newSet, oldOf(pass)) : [];
  await resize(pass, smaller);
  if (smaller.length === 0 && isDone(pass)) await forget(pass);
  return writeStatus(pass);
}

/** First the old pods go, then the new ones come: never both. */
async function recreate(first: Pass): Promise<{ requeueAfterMs?: number } | void> {
  const given = await noteNewSet(first);
  const old = oldOf(given).filter((set) => sizeOf(set) > 0);
  if (old.length > 0) {
    await resize(
      given,
      old.map((set) => ({ set, replicas: 0 })),
    );
    return writeStatus(given);
  }
  if (oldPodsRun(given)) return writeStatus(given);
  const pass = await ensureNewSet(given);
  const wanted = pass.deployment.spec?.replicas ?? 1;
  if (pass.newSet && sizeOf(pass.newSet) !== wanted) await resize(pass, [{ set: pass.newSet, replicas: wanted }]);
  if (isDone(pass)) await forget(pass);
  return writeStatus(pass);
}
function oldPodsRun(pass: Pass): boolean {
  if (existingOf(oldOf(pass)) > 0) return true;
  const newUid = pass.newSet?.metadata.uid;
  const own = new Set(pass.all.map(({ metadata }) => metadata.uid));
  return pass.context.informers
    .informer(podKind)
    .cache.list(pass.deployment.metadata.namespace)
    .some((pod) => {
      const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller)?.uid;
      const ended = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
      return owner !== undefined && owner !== newUid && own.has(owner) && !ended;
    });
}

const oldOf = ({ all, newSet }: Pass): Sets =>
  all.filter((set) => set !== newSet && set.metadata.uid !== newSet?.metadata.uid);
const isDone = (pass: Pass): boolean => isComplete(pass.deployment, countsNow(pass)) && existingOf(oldOf(pass)) === 0;
const countsNow = ({ deployment, all, newSet, context }: Pass) =>
  countsOf(deployment, all, newSet, context.clock.now());

async function forget(pass: Pass): Promise<void> {
  for (const set of forgetOld(pass.deployment, oldOf(pass)))
    try {
      await pass.context.client.delete(replicaSetKind, keyOf(set), { preconditions: { uid: set.metadata.uid } });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
}

async function writeStatus(pass: Pass): Promise<{ requeueAfterMs?: number }> {
  const { deployment, all, newSet, context } = pass;
  const { status, againInMs } = progressOf(deployment, all, newSet, countsNow(pass), context.clock.now());
  await write(pass, status);
  return { requeueAfterMs: againInMs };
}
/** While paused, while its size changes and on its way out: whether it progresses is not asked. */
const writeCounts = (pass: Pass): Promise<void> => write(pass, countsNow(pass));
async function write({ deployment, context }: Pass, status: NonNullable<Deployment['status']>): Promise<void> {
  if (!Bun.deepEquals(normal(status), normal(deployment.status)))
    await context.client.update(deploymentKind, { ...deployment, status }, { subresource: 'status' });
}
/** As it is stored: zeros are left out, but of the number for which absent means unknown. */
const normal = (status: Deployment['status']): unknown =>
  JSON.parse(
    JSON.stringify(status ?? {}, (key, value: unknown) =>
      value === 0 && key !== 'terminatingReplicas' ? undefined : value,
    ),
  );

async function notePause(pass: Pass): Promise<Pass> {
  const { deployment, context } = pass;
  if (!hasDeadline(deployment)) return pass;
  const conditions = deployment.status?.conditions ?? [];
  const progressing = conditions.find(({ type }) => type === 'Progressing');
  if (progressing?.reason === 'ProgressDeadlineExceeded') return pass;
  const isNoted = progressing?.reason === 'DeploymentPaused';
  if (Boolean(deployment.spec?.paused) === isNoted) return pass;
  const [reason, message] = deployment.spec?.paused
    ? ['DeploymentPaused', 'Deployment is paused']
    : ['DeploymentResumed', 'Deployment is resumed'];
  const status = {
    ...deployment.status,
    conditions: withCondition(conditions, 'Progressing', 'Unknown', reason!, message!, context.clock.now()),
  };
  return {
    ...pass,
    deployment: await context.client.update(deploymentKind, { ...deployment, status }, { subresource: 'status' }),
  };
}

/** Own replica sets; those that match and have no controller are adopted, own ones that no longer match are released. */
async function claimSets(deployment: Readonly<Deployment>, { client, informers }: ReconcileContext): Promise<Sets> {
  const { cache } = informers.informer(replicaSetKind);
  const { uid, namespace, name } = deployment.metadata;
  const patch = (set: Readonly<ReplicaSet>, ownerReferences: unknown) =>
    client
      .patch(replicaSetKind, keyOf(set), {
        type: 'merge',
        body: { metadata: { uid: set.metadata.uid, resourceVersion: set.metadata.resourceVersion, ownerReferences } },
      })
      .catch((error) => {
        if (!isReason(error, 'NotFound')) throw error;
      });
  const reference = {
    apiVersion: apiVersionOf(deploymentKind),
    kind: deploymentKind.kind,
    name,
    uid,
    controller: true,
    blockOwnerDeletion: true,
  };
  let isLive: Promise<boolean> | undefined;
  for (const set of deployment.metadata.deletionTimestamp ? [] : cache.list(namespace)) {
    const owners = set.metadata.ownerReferences ?? [];
    const controller = owners.find((one) => one.controller);
    if (controller?.uid === uid && !selects(deployment, set))
      await patch(
        set,
        owners.filter((one) => one.uid !== uid),
      );
    else if (!controller && selects(deployment, set) && !set.metadata.deletionTimestamp) {
      // Ask the server itself: a cache may still show a deployment that was deleted and made anew.
      isLive ??= client
        .get(deploymentKind, keyOf(deployment))
        .then(({ metadata }) => metadata.uid === uid && !metadata.deletionTimestamp);
      if (await isLive) await patch(set, [...owners, reference]);
    }
  }
  return cache
    .list(namespace)
    .filter((set) => set.metadata.ownerReferences?.some((one) => one.controller && one.uid === uid));
}
