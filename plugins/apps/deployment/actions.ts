import { apiVersionOf, isReason, isTerminating, keyOf } from '#sdk';
import { type Deployment, deploymentKind, type ReplicaSet, replicaSetKind } from '../kinds.ts';
import { hashLabel, sameTemplate, templateHash } from '../template.ts';
import type { Pass } from './controller.ts';
import { newSetSize, type Resize } from './plan.ts';
import { annotations, marksOf, revisionOf, sizeOf } from './replica-sets.ts';
import { conditionOf, hasDeadline, withCondition } from './status.ts';

const historyCharsMax = 2000;
const nameCharsMax = 253;

/** Annotations of a deployment that do not go to its replica sets. */
const notCopied: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'deprecated.deployment.rollback.to',
  ...Object.values(annotations),
]);

/** Writes new sizes, and beside each what is wanted in all, from which the next change of size is told. */
export async function resize({ deployment, context }: Pass, changes: readonly Resize[]): Promise<void> {
  const { client, events } = context;
  const marks = marksOf(deployment);
  for (const { set, replicas } of changes) {
    const from = sizeOf(set);
    const next = {
      ...set,
      metadata: { ...set.metadata, annotations: { ...set.metadata.annotations, ...marks } },
      spec: { ...set.spec!, replicas },
    };
    await client.update(replicaSetKind, next);
    if (replicas === from) continue; // only what is noted on it was old
    events.event(
      deployment,
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${replicas > from ? 'up' : 'down'} replica set ${set.metadata.name} from ${from} to ${replicas}`,
    );
  }
}

/** The replica set of the template as it is now, made when there is none, with its revision written. */
export const ensureNewSet = (pass: Pass): Promise<Pass> =>
  pass.newSet ? noteNewSet(pass) : create(pass, nextRevision(pass));

const nextRevision = ({ all, newSet }: Pass): string =>
  String(all.reduce((most, set) => (set !== newSet && revisionOf(set) > most ? revisionOf(set) : most), 0n) + 1n);

/** Where there is a set of the template as it is now: its revision is above all others', on the deployment too. */
export async function noteNewSet(pass: Pass): Promise<Pass> {
  const { all, newSet } = pass;
  if (!newSet) return pass;
  const set = await noteRevision(pass, newSet, nextRevision(pass));
  const deployment = await noteOnDeployment(
    pass,
    set,
    'FoundNewReplicaSet',
    `Found new replica set "${set.metadata.name}"`,
  );
  return { ...pass, deployment, all: all.map((one) => (one === newSet ? set : one)), newSet: set };
}

async function noteRevision(
  { deployment, context }: Pass,
  set: Readonly<ReplicaSet>,
  revision: string,
): Promise<Readonly<ReplicaSet>> {
  const have = set.metadata.annotations ?? {};
  const former = have[annotations.revision];
  const isOlder = revisionOf(set) < BigInt(revision);
  const wanted: Record<string, string> = { ...have, ...copied(deployment) };
  if (isOlder) wanted[annotations.revision] = revision;
  if (isOlder && former) wanted[annotations.history] = longerHistory(have[annotations.history], former);
  const minReadySeconds = deployment.spec?.minReadySeconds;
  if (Bun.deepEquals(wanted, have) && (set.spec?.minReadySeconds ?? 0) === (minReadySeconds ?? 0)) return set;
  return context.client.update(replicaSetKind, {
    ...set,
    metadata: { ...set.metadata, annotations: wanted },
    spec: { ...set.spec!, minReadySeconds },
  });
}
/** The revisions that a set has had, the oldest forgotten where they become too long. Pure. */
export function longerHistory(history: string | undefined, revision: string): string {
  const all = [...(history ? history.split(',') : []), revision];
  while (all.length > 1 && all.join(',').length > historyCharsMax) all.shift();
  return all.join(',');
}
const copied = (deployment: Readonly<Deployment>): Record<string, string> =>
  Object.fromEntries(Object.entries(deployment.metadata.annotations ?? {}).filter(([key]) => !notCopied.has(key)));

/** The deployment shows the revision of its newest set, and that a rollout has begun. */
async function noteOnDeployment(
  { deployment, context }: Pass,
  set: Readonly<ReplicaSet>,
  reason: string,
  message: string,
): Promise<Readonly<Deployment>> {
  const { client, clock } = context;
  let current = deployment;
  const revision = set.metadata.annotations?.[annotations.revision];
  if (revision && deployment.metadata.annotations?.[annotations.revision] !== revision)
    current = await client.patch(deploymentKind, keyOf(deployment), {
      type: 'merge',
      body: { metadata: { annotations: { [annotations.revision]: revision } } },
    });
  if (!hasDeadline(deployment) || conditionOf(current.status?.conditions, 'Progressing')) return current;
  const conditions = withCondition(
    current.status?.conditions ?? [],
    'Progressing',
    'True',
    reason,
    message,
    clock.now(),
  );
  return client.update(
    deploymentKind,
    { ...current, status: { ...current.status, conditions } },
    { subresource: 'status' },
  );
}

async function create(pass: Pass, revision: string): Promise<Pass> {
  const { deployment, all, context } = pass;
  const { client, events } = context;
  const template = deployment.spec!.template;
  const hash = templateHash(template, deployment.status?.collisionCount);
  const labels = { ...template.metadata?.labels, [hashLabel]: hash };
  const selector = deployment.spec!.selector;
  const replicas = newSetSize(deployment, all, undefined);
  const draft: ReplicaSet = {
    apiVersion: apiVersionOf(replicaSetKind),
    kind: 'ReplicaSet',
    metadata: {
      name: `${deployment.metadata.name!.slice(0, nameCharsMax - 1 - hash.length)}-${hash}`,
      namespace: deployment.metadata.namespace,
      labels,
      annotations: { ...copied(deployment), ...marksOf(deployment), [annotations.revision]: revision },
      ownerReferences: [
        {
          apiVersion: apiVersionOf(deploymentKind),
          kind: 'Deployment',
          name: deployment.metadata.name!,
          uid: deployment.metadata.uid!,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      replicas,
      minReadySeconds: deployment.spec?.minReadySeconds,
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [hashLabel]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
  let set: Readonly<ReplicaSet>;
  try {
    set = await client.create(replicaSetKind, draft);
    if (replicas > 0)
      events.event(
        deployment,
        'Normal',
        'ScalingReplicaSet',
        `Scaled up replica set ${set.metadata.name} from 0 to ${replicas}`,
      );
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) {
      if (!isTerminating(error)) await failed(pass, draft.metadata.name!, error as Error);
      throw error;
    }
    set = await existing(pass, draft);
  }
  const noted = await noteOnDeployment(
    pass,
    set,
    'NewReplicaSetCreated',
    `Created new replica set "${set.metadata.name}"`,
  );
  return { ...pass, deployment: noted, all: [...all, set], newSet: set };
}

/** Ours from a write whose answer was lost; else somebody has the name: the next hash is another one. */
async function existing({ deployment, context }: Pass, draft: ReplicaSet): Promise<Readonly<ReplicaSet>> {
  const { client } = context;
  const found = await client.get(replicaSetKind, keyOf(draft));
  const isOurs = found.metadata.ownerReferences?.some(
    ({ controller, uid }) => controller && uid === deployment.metadata.uid,
  );
  if (isOurs && sameTemplate(found.spec?.template, deployment.spec?.template)) return found;
  const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
  await client.update(
    deploymentKind,
    { ...deployment, status: { ...deployment.status, collisionCount } },
    { subresource: 'status' },
  );
  throw new Error(`the name ${draft.metadata.name} belongs to another replica set; the next hash is tried`);
}

async function failed({ deployment, context }: Pass, name: string, error: Error): Promise<void> {
  const { client, events, clock } = context;
  const message = `Failed to create new replica set "${name}": ${error.message}`;
  const conditions = withCondition(
    deployment.status?.conditions ?? [],
    'Progressing',
    'False',
    'ReplicaSetCreateError',
    message,
    clock.now(),
  );
  events.event(deployment, 'Warning', 'ReplicaSetCreateError', message);
  if (!hasDeadline(deployment)) return;
  await client.update(
    deploymentKind,
    { ...deployment, status: { ...deployment.status, conditions } },
    { subresource: 'status' },
  );
}
