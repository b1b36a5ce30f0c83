import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  apiServiceKind,
  clusterRoleKind,
  ensureObject,
  type KubeObject,
  matchesLabels,
  type Node,
  nodeKind,
  type Pod,
  parseFieldSelector,
  parseLabelSelector,
  podKind,
  type Reader,
  type RestCall,
  type ServedKind,
  StatusError,
  type StrategyKit,
} from '#sdk';
import { nodeTargets, podTargets } from './prometheus/targets.ts';
import { statePage } from './state/page.ts';
import { Summaries, type Summary } from './summaries.ts';
import { type NodeMetrics, nodeMetrics, type PodMetrics, podMetrics } from './usage.ts';

const group = 'metrics.k8s.io';
const version = 'v1beta1';
const kindOf = (kind: string, plural: string, namespaced: boolean): AnyKind => ({
  group,
  version,
  kind,
  plural,
  singular: '',
  namespaced,
  verbs: ['get', 'list'],
  virtual: true,
  type: `${group}/${version}.${kind}`,
});
const nodeMetricsKind = kindOf('NodeMetrics', 'nodes', false);
const podMetricsKind = kindOf('PodMetrics', 'pods', true);

/** Whoever may view a namespace may see what its pods use. */
const readerRole = {
  metadata: {
    name: 'system:aggregated-metrics-reader',
    labels: {
      'rbac.authorization.k8s.io/aggregate-to-admin': 'true',
      'rbac.authorization.k8s.io/aggregate-to-edit': 'true',
      'rbac.authorization.k8s.io/aggregate-to-view': 'true',
    },
  },
  rules: [{ apiGroups: [group], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] }],
};

const apiService = {
  metadata: { name: `${version}.${group}`, labels: { 'kube-aggregator.kubernetes.io/automanaged': 'onstart' } },
  spec: { group, version, groupPriorityMinimum: 100, versionPriority: 100 },
};

/** metrics.k8s.io, answered by asking kubelets at that moment. */
export default {
  name: 'monitoring',
  async start(context) {
    const { client, clock, log, reader, kinds, kit } = context;
    await ensureObject(context, clusterRoleKind as AnyKind, readerRole as unknown as AnyObject);
    await ensureObject(context, apiServiceKind as AnyKind, apiService as unknown as AnyObject, []);
    const get = (node: string, signal: AbortSignal) =>
      client.request<Summary>('GET', `/api/v1/nodes/${encodeURIComponent(node)}/proxy/stats/summary`, undefined, {
        signal,
      });
    const summaries = new Summaries(get, clock, log);
    await kinds.add(served(nodeMetricsKind, kit, (call) => ofNodes(call, reader, summaries)));
    context.serve('/metrics/targets/nodes', () => Response.json(nodeTargets(reader)));
    context.serve('/metrics/targets/pods', () => Response.json(podTargets(reader)));
    context.serve('/metrics/state', () => statePage(reader, kinds, clock));
    await kinds.add(served(podMetricsKind, kit, (call) => ofPods(call, reader, summaries)));
  },
} satisfies ApiPart;

type Answer = (call: RestCall) => Promise<readonly (NodeMetrics | PodMetrics)[]>;
function served(kind: AnyKind, kit: StrategyKit, answer: Answer): ServedKind {
  const column = (name: 'cpu' | 'memory', description: string) =>
    kit.column<KubeObject>(name, description, (object) => sumOf(object as NodeMetrics | PodMetrics, name));
  return {
    kind,
    strategy: kit.strategy<KubeObject>({
      kind,
      columns: [
        kit.nameColumn,
        column('cpu', 'Cores in use'),
        column('memory', 'Memory in use'),
        kit.column<KubeObject>('Window', 'Time over which it was measured', (object) => (object as NodeMetrics).window),
      ],
    }),
    async rest(verb, call) {
      const items = await answer(call);
      return verb === 'list' ? { items } : { object: items[0] };
    },
  };
}

async function ofNodes(call: RestCall, reader: Reader, summaries: Summaries): Promise<NodeMetrics[]> {
  const nodes = chosen(call, reader.list(nodeKind) as Readonly<Node & KubeObject>[]);
  const found = new Map((await summaries.of(nodes.map(nameOf))).map((one) => [one.node.nodeName, one]));
  return nodes.flatMap((node) => {
    const summary = found.get(nameOf(node));
    return (summary && nodeMetrics(node, summary)) ?? [];
  });
}

async function ofPods(call: RestCall, reader: Reader, summaries: Summaries): Promise<PodMetrics[]> {
  const all = call.name
    ? [reader.get(podKind, call.namespace, call.name)].filter((pod) => pod !== undefined)
    : reader.list(podKind, call.namespace || undefined);
  const pods = chosen(call, all as Readonly<Pod & KubeObject>[]).filter((pod) => pod.spec?.nodeName);
  const nodes = [...new Set(pods.map((pod) => pod.spec!.nodeName!))];
  const figures = new Map((await summaries.of(nodes)).flatMap((one) => one.pods).map((one) => [one.podRef.uid, one]));
  return pods.flatMap((pod) => podMetrics(pod, figures.get(pod.metadata.uid ?? '')) ?? []);
}

const nameOf = ({ metadata }: Readonly<KubeObject>): string => metadata.name ?? '';

/** By name, labels, and the two fields that everything has. */
function chosen<T extends KubeObject>(call: RestCall, objects: readonly Readonly<T>[]): Readonly<T>[] {
  const { name, labelSelector, fieldSelector } = call;
  const labels = parsed(() => parseLabelSelector(labelSelector ?? ''));
  const fields = parsed(() => parseFieldSelector(fieldSelector ?? ''));
  return objects.filter(
    ({ metadata }) =>
      (!name || metadata.name === name) &&
      matchesLabels(labels, metadata.labels ?? {}) &&
      matchesLabels(fields, { 'metadata.name': metadata.name ?? '', 'metadata.namespace': metadata.namespace ?? '' }),
  );
}
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new StatusError(400, 'BadRequest', (error as Error).message);
  }
}

function sumOf(object: NodeMetrics | PodMetrics, name: 'cpu' | 'memory'): string {
  const parts = 'containers' in object ? object.containers.map(({ usage }) => usage[name]) : [object.usage[name]];
  const unit = name === 'cpu' ? 'n' : 'Ki';
  return `${parts.reduce((sum, text) => sum + Number.parseInt(text, 10), 0)}${unit}`;
}
