import {
  type EndpointSlice,
  type Endpoints,
  matchesSet,
  type Node,
  type Pod,
  type ReplicationController,
  type Service,
} from '#api';
import type { SimNode } from './components.ts';
import type { Commit, History } from './disk.ts';
import {
  asPod,
  controllersPrefix,
  isActive,
  isFinished,
  nodesPrefix,
  podsPrefix,
  servicesPrefix,
} from './invariants/workload.ts';

const endpointsPrefix = '/registry/core/endpoints/';
const slicesPrefix = '/registry/discovery.k8s.io/endpointslices/';
const ownTaints = /^node\.(kubernetes|cloudprovider\.kubernetes)\.io\/(not-ready|unreachable)$/;

/** I13, I16: why the cluster is not yet what was asked for; undefined when it is. Judged by the store's true state and the engines. */
export async function unsettled(history: History, nodes: readonly SimNode[]): Promise<Unsettled | undefined> {
  const pods = [...history.live(podsPrefix)].map(asPod);
  const lost = orphan(history);
  const why =
    namespacesUnsettled(history) ??
    podsUnsettled(pods) ??
    controllersUnsettled(history, pods) ??
    servicesUnsettled(history, pods) ??
    nodesUnsettled(history) ??
    (await enginesUnsettled(nodes, pods));
  // What is not collected explains more than that something still runs.
  return lost ? { invariant: 'I16', why: lost } : why === undefined ? undefined : { invariant: 'I13', why };
}
export interface Unsettled {
  readonly invariant: 'I13' | 'I16';
  readonly why: string;
}

function namespacesUnsettled(history: History): string | undefined {
  for (const { object } of history.live('/registry/core/namespaces/'))
    if (object.metadata.deletionTimestamp) return `namespace ${object.metadata.name} is still ending`;
  return undefined;
}

const nameOf = ({ metadata }: Readonly<Pod>) => `pod ${metadata.namespace}/${metadata.name}`;
export const isReady = (pod: Readonly<Pod>) =>
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

function podsUnsettled(pods: readonly Readonly<Pod>[]): string | undefined {
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp) return `${nameOf(pod)} is still ending`;
    if (isFinished(pod)) continue;
    if (!pod.spec?.nodeName) return `${nameOf(pod)} has no node`;
    if (!isReady(pod)) return `${nameOf(pod)} on ${pod.spec.nodeName} is not ready`;
  }
  return undefined;
}

function controllersUnsettled(history: History, pods: readonly Readonly<Pod>[]): string | undefined {
  for (const { object } of history.live(controllersPrefix)) {
    const rc = object as unknown as Readonly<ReplicationController>;
    const name = `replication controller ${rc.metadata.namespace}/${rc.metadata.name}`;
    if (rc.metadata.deletionTimestamp) return `${name} is still ending`;
    const wanted = rc.spec?.replicas ?? 1;
    const active = pods.filter(
      (pod) => isActive(pod) && pod.metadata.ownerReferences?.some(({ uid }) => uid === rc.metadata.uid),
    ).length;
    if (active !== wanted) return `${name} has ${active} pods of ${wanted}`;
    const { replicas = 0, readyReplicas = 0, observedGeneration } = rc.status ?? {};
    if (replicas !== wanted || readyReplicas !== wanted)
      return `${name} says ${replicas}, ${readyReplicas} ready, of ${wanted}`;
    if (observedGeneration !== rc.metadata.generation) return `${name} has not seen its newest spec`;
  }
  return undefined;
}

function servicesUnsettled(history: History, pods: readonly Readonly<Pod>[]): string | undefined {
  const services = [...history.live(servicesPrefix)].map(({ object }) => object as unknown as Readonly<Service>);
  for (const service of services) {
    if (!service.spec?.selector) continue;
    const { namespace, name } = service.metadata;
    const wanted = pods
      .filter(
        (pod) =>
          pod.metadata.namespace === namespace &&
          matchesSet(service.spec?.selector, pod.metadata.labels) &&
          isReady(pod) &&
          isActive(pod),
      )
      .flatMap((pod) => pod.status?.podIP ?? [])
      .sort()
      .join();
    const endpoints = history.current.get(`${endpointsPrefix}${namespace}/${name}`)?.object as unknown as
      | Readonly<Endpoints>
      | undefined;
    const listed = (endpoints?.subsets ?? []).flatMap(({ addresses }) => (addresses ?? []).map(({ ip }) => ip));
    if (listed.sort().join() !== wanted)
      return `endpoints ${namespace}/${name} are ${listed.join() || 'none'}, ready are ${wanted || 'none'}`;
    const slices = [...history.live(slicesPrefix)]
      .map(({ object }) => object as unknown as Readonly<EndpointSlice>)
      .filter(
        ({ metadata }) => metadata.namespace === namespace && metadata.labels?.['kubernetes.io/service-name'] === name,
      );
    const sliced = slices.flatMap((slice) =>
      (slice.endpoints ?? []).filter(({ conditions }) => conditions?.ready).flatMap(({ addresses }) => addresses),
    );
    if (sliced.sort().join() !== wanted)
      return `endpoint slices of ${namespace}/${name} are ${sliced.join() || 'none'}, ready are ${wanted || 'none'}`;
  }
  return leftEndpoints(history, services);
}
function leftEndpoints(history: History, services: readonly Readonly<Service>[]): string | undefined {
  const names = new Set(services.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  for (const { key } of history.live(endpointsPrefix))
    if (!names.has(key.slice(endpointsPrefix.length))) return `${key} has no service`;
  for (const { key, object } of history.live(slicesPrefix)) {
    const { namespace, labels } = object.metadata;
    if (!names.has(`${namespace}/${labels?.['kubernetes.io/service-name']}`)) return `${key} has no service`;
  }
  return undefined;
}

function nodesUnsettled(history: History): string | undefined {
  for (const { object } of history.live(nodesPrefix)) {
    const node = object as unknown as Readonly<Node>;
    const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    if (ready !== 'True') return `node ${node.metadata.name} is ${ready ?? 'silent'}`;
    const taint = node.spec?.taints?.find(({ key }) => ownTaints.test(key));
    if (taint) return `node ${node.metadata.name} carries ${taint.key}`;
  }
  return undefined;
}

/** I16: whatever has only owners that are gone must go. */
function orphan(history: History): string | undefined {
  const uids = new Set([...history.current.values()].map(({ object }) => object.metadata.uid));
  for (const { key, object } of history.current.values()) {
    const owners = object.metadata.ownerReferences ?? [];
    if (owners.length > 0 && owners.every(({ uid }) => !uids.has(uid))) return `${key} has outlived its owners`;
  }
  return undefined;
}

async function enginesUnsettled(
  nodes: readonly SimNode[],
  pods: readonly Readonly<Pod>[],
): Promise<string | undefined> {
  for (const { name, runtime, disk } of nodes) {
    const { sandboxes, containers } = await runtime.observe();
    const wanted = new Set(pods.filter((pod) => pod.spec?.nodeName === name).map(({ metadata }) => metadata.uid!));
    const left =
      sandboxes.find(({ podUid }) => !wanted.has(podUid)) ?? containers.find(({ podUid }) => !wanted.has(podUid));
    if (left) return `the engine of ${name} holds something of ${left.podName}, which is gone`;
    const state = disk.items.get('state');
    const folder = state?.type === 'folder' ? state.items.get('pods') : undefined;
    for (const uid of folder?.type === 'folder' ? folder.items.keys() : [])
      if (!wanted.has(uid)) return `the disk of ${name} holds files of pod ${uid}, which is gone`;
  }
  return undefined;
}

/** Changes that go on in a cluster at rest: heartbeats, and events that grow old. */
export const isHeartbeat = ({ key }: Commit): boolean =>
  key.startsWith('/registry/coordination.k8s.io/leases/') ||
  key.startsWith('/registry/core/events/') ||
  key.startsWith(nodesPrefix);
