import { durationText, type KubeObject, type Node, type Pod } from '#sdk';
import type { Figures, PodFigures, Summary } from './summaries.ts';

/** Objects of metrics.k8s.io/v1beta1, as kubectl top and autoscalers read them. */
export interface Usage {
  readonly cpu: string;
  readonly memory: string;
}
export interface NodeMetrics extends KubeObject {
  readonly timestamp: string;
  readonly window: string;
  readonly usage: Usage;
}
export interface PodMetrics extends KubeObject {
  readonly timestamp: string;
  readonly window: string;
  readonly containers: readonly { readonly name: string; readonly usage: Usage }[];
}
/** As metrics-server says it: the time that the rates cover, the longest where they differ. */
const windowOf = (figures: readonly (Figures | undefined)[]): string =>
  durationText(Math.max(...figures.map((one) => one?.cpu?.windowMs ?? 0)));

/** Undefined while there is no rate yet. */
function usageOf({ cpu, memory }: Figures): Usage | undefined {
  if (cpu?.usageNanoCores === undefined || memory?.workingSetBytes === undefined) return undefined;
  return { cpu: `${cpu.usageNanoCores}n`, memory: `${Math.ceil(memory.workingSetBytes / 1024)}Ki` };
}

export function nodeMetrics(node: Readonly<Node & KubeObject>, { node: figures }: Summary): NodeMetrics | undefined {
  const usage = usageOf(figures);
  if (!usage) return undefined;
  const timestamp = figures.cpu!.time;
  const window = windowOf([figures]);
  const { name, labels } = node.metadata;
  return { metadata: { name, creationTimestamp: timestamp, ...(labels && { labels }) }, timestamp, window, usage };
}

/** Undefined when a container of it is not measured yet: half a pod would look small to an autoscaler. */
export function podMetrics(pod: Readonly<Pod & KubeObject>, figures: PodFigures | undefined): PodMetrics | undefined {
  const measured = new Map(figures?.containers.map((one) => [one.name, one]));
  const running = (pod.status?.containerStatuses ?? []).filter(({ state }) => state?.running).map(({ name }) => name);
  const restartable = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const sidecars = (pod.status?.initContainerStatuses ?? [])
    .filter(({ name, state }) => state?.running && restartable.some((one) => one.name === name))
    .map(({ name }) => name);
  if (pod.status?.phase !== 'Running' || running.length === 0) return undefined;
  const containers = [];
  for (const name of [...running, ...sidecars]) {
    const usage = usageOf(measured.get(name) ?? {});
    if (!usage) return undefined;
    containers.push({ name, usage });
  }
  const timestamp = measured.get(running[0]!)!.cpu!.time;
  const window = windowOf([...running, ...sidecars].map((one) => measured.get(one)));
  const { name, namespace, labels } = pod.metadata;
  const metadata = { name, namespace, creationTimestamp: timestamp, ...(labels && { labels }) };
  return { metadata, timestamp, window, containers };
}
