import { isReason, type KubeObject, keyOf, type Lease, leaseKind, type Node, nodeKind, type Pod, podKind } from '#api';
import { timeText } from '#base';
import { type ControllerSpec, type EventRecorder, isFinished, type ReconcileContext } from '#sdk';
import { evictInMs, planTaints, readyStatus, silentConditions } from './plan-node.ts';

type NodeObject = Readonly<Node & KubeObject>;

/** A node that does not renew its lease for `graceMs` is Unknown; taints follow its state, and pods leave by their tolerations. */
export function nodeLifecycleController(graceMs: number): ControllerSpec<Node & KubeObject> {
  // What each node said last and when we heard it: by our own clock, so that a node's wrong clock does no harm.
  const heard = new Map<string, { text: string; uid: string; atMs: number }>();
  return {
    name: 'node-controller',
    watches: nodeKind,
    alsoOn: [
      {
        kind: leaseKind,
        keys: (lease: KubeObject) =>
          lease.metadata.namespace === 'kube-node-lease' ? [{ name: lease.metadata.name! }] : [],
      },
      {
        kind: podKind,
        // Nothing is asked of the pods of a node that is well: a thousand pods that start must not wake their nodes.
        keys: (pod: Readonly<Pod>, informers) => {
          const node = pod.spec?.nodeName && informers.informer(nodeKind).cache.get({ name: pod.spec.nodeName });
          return node && (readyStatus(node) !== 'True' || drivesOut(node)) ? [{ name: node.metadata.name! }] : [];
        },
      },
    ],
    workersMax: 1, // nodes are judged one after another: whether any is healthy must not race
    reconciler: {
      async reconcile({ name }, node, context) {
        const { clock, informers, events } = context;
        if (!node) {
          const known = heard.get(name);
          if (known) told(events, name, known.uid, 'RemovingNode', `Removing Node ${name} from Controller`);
          return void heard.delete(name);
        }
        const lease = informers.informer(leaseKind).cache.get({ namespace: 'kube-node-lease', name });
        const text = signOfLife(node, lease);
        let last = heard.get(name);
        const uid = node.metadata.uid ?? '';
        if (!last) told(events, name, uid, 'RegisteredNode', `Registered Node ${name} in Controller`);
        if (last?.text !== text) heard.set(name, (last = { text, uid, atMs: clock.monotonicMs() }));
        const leftMs = last.atMs + graceMs - clock.monotonicMs();
        const current = leftMs > 0 || (await hasSpoken(node, text, context)) ? node : await markSilent(node, context);
        const nextMs = await applyTaints(current, context);
        return { requeueAfterMs: Math.max(100, Math.min(leftMs > 0 ? leftMs : graceMs, nextMs ?? Infinity)) };
      },
    },
  };
}

/** The node may be gone by now: the event names it by what is known of it. */
function told(events: EventRecorder, name: string, uid: string, reason: string, text: string): void {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name, uid } };
  events.event(node, 'Normal', reason, `Node ${name} event: ${text}`);
}

const signOfLife = (node: NodeObject, lease: Readonly<Lease> | undefined): string => {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  return `${node.metadata.uid} ${lease?.spec?.renewTime} ${ready?.lastHeartbeatTime}`;
};
/** It may be we who have heard of nobody: before a node is called silent, the server itself is asked. Its watch will tell the rest. */
async function hasSpoken(node: NodeObject, heard: string, { client, clock }: ReconcileContext): Promise<boolean> {
  if (!silentConditions(node, clock.now())) return false; // it is called so already
  const name = node.metadata.name!;
  const [live, lease] = await Promise.all([
    client.get(nodeKind, { name }),
    client.get(leaseKind, { namespace: 'kube-node-lease', name }).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    }),
  ]);
  return signOfLife(live, lease) !== heard;
}

async function markSilent(node: NodeObject, { client, clock, events }: ReconcileContext): Promise<NodeObject> {
  const conditions = silentConditions(node, clock.now());
  if (!conditions) return node;
  events.event(node, 'Normal', 'NodeNotReady', `Node ${node.metadata.name} status is now: NodeNotReady`);
  return client.update(nodeKind, { ...node, status: { ...node.status, conditions } }, { subresource: 'status' });
}

const byNode = 'node-controller.nodeName';
const drivesOut = (node: Readonly<Node>): boolean =>
  node.spec?.taints?.some(({ effect }) => effect === 'NoExecute') ?? false;

/** Returns when the next pod must leave. */
async function applyTaints(node: NodeObject, context: ReconcileContext): Promise<number | undefined> {
  const { client, clock, informers, events } = context;
  const isAnyHealthy = informers
    .informer(nodeKind)
    .cache.list()
    .some((other) => readyStatus(other) === 'True');
  // Where no node is healthy, it is rather we who are cut off: nobody is driven out.
  const taints = planTaints(node, isAnyHealthy, clock.now());
  const current = taints ? await client.update(nodeKind, { ...node, spec: { ...node.spec, taints } }) : node;
  if (readyStatus(current) === 'True' && !drivesOut(current)) return undefined;
  const informer = informers.informer(podKind);
  informer.addIndex(byNode, (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []));
  const pods = informer.cache.byIndex(byNode, node.metadata.name!).filter((pod) => !isFinished(pod));
  if (readyStatus(current) !== 'True') for (const pod of pods) await markNotReady(pod, context);
  if (!isAnyHealthy) return undefined;
  let nextMs: number | undefined;
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp) continue;
    const inMs = evictInMs(pod, current.spec?.taints ?? [], clock.now());
    if (inMs === undefined) continue;
    if (inMs > 0) {
      nextMs = Math.min(nextMs ?? Infinity, inMs);
      continue;
    }
    events.event(
      pod,
      'Normal',
      'TaintManagerEviction',
      `Marking for deletion Pod ${pod.metadata.namespace}/${pod.metadata.name}`,
    );
    await unlessGone(client.delete(podKind, keyOf(pod), { preconditions: { uid: pod.metadata.uid } }));
  }
  return nextMs;
}

/** No traffic to pods of a node that is not heard of. */
async function markNotReady(
  pod: Readonly<Pod & KubeObject>,
  { client, clock, events }: ReconcileContext,
): Promise<void> {
  const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (ready?.status !== 'True') return;
  const conditions = pod.status!.conditions!.map((condition) =>
    condition === ready ? { ...ready, status: 'False', lastTransitionTime: timeText(clock.now()) } : condition,
  );
  events.event(pod, 'Warning', 'NodeNotReady', 'Node is not ready');
  await unlessGone(
    client.update(podKind, { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' }),
  );
}
async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isReason(error, 'NotFound', 'Conflict')) throw error; // after a conflict the event of the change wakes us
  }
}
