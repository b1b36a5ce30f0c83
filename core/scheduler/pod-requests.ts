import { type Container, milliOf, type Pod, wholeOf } from '#api';
import type { NodeInfo } from '#sdk';

export type Amounts = NodeInfo['requested'];

/** What a pod asks for: its containers together, or its largest init step when that is more, plus overhead. */
export function requestsOf(pod: Readonly<Pod>): Amounts {
  const spec = pod.spec;
  const totals = new Map<string, number>();
  const sidecars = new Map<string, number>();
  const peak = new Map<string, number>();
  for (const init of spec?.initContainers ?? []) {
    const own = amountsOf(init);
    for (const name of new Set([...own.keys(), ...sidecars.keys()]))
      peak.set(name, Math.max(peak.get(name) ?? 0, (own.get(name) ?? 0) + (sidecars.get(name) ?? 0)));
    if (init.restartPolicy === 'Always') addTo(sidecars, own);
  }
  for (const container of spec?.containers ?? []) addTo(totals, amountsOf(container));
  addTo(totals, sidecars);
  for (const [name, value] of peak) totals.set(name, Math.max(totals.get(name) ?? 0, value));
  for (const [name, value] of Object.entries(spec?.resources?.requests ?? {})) totals.set(name, amount(name, value));
  for (const [name, value] of Object.entries(spec?.overhead ?? {}))
    totals.set(name, (totals.get(name) ?? 0) + amount(name, value));
  return split(totals, 1);
}
const amountsOf = (container: Pick<Container, 'resources'>): Map<string, number> => {
  const { requests, limits } = container.resources ?? {};
  return new Map(Object.entries({ ...limits, ...requests }).map(([name, value]) => [name, amount(name, value)]));
};
const amount = (name: string, value: string): number => (name === 'cpu' ? milliOf(value) : wholeOf(value));
function addTo(sum: Map<string, number>, more: ReadonlyMap<string, number>): void {
  for (const [name, value] of more) sum.set(name, (sum.get(name) ?? 0) + value);
}
function split(totals: ReadonlyMap<string, number>, pods: number): Amounts {
  const other: Record<string, number> = {};
  for (const [name, value] of totals) if (name !== 'cpu' && name !== 'memory' && name !== 'pods') other[name] = value;
  return { cpuMilli: totals.get('cpu') ?? 0, memoryBytes: totals.get('memory') ?? 0, pods, other };
}
/** Of a node's status: what pods may use together. */
export function allocatableOf(list: Readonly<Record<string, string>> | undefined): Amounts {
  const totals = new Map(Object.entries(list ?? {}).map(([name, value]) => [name, amount(name, value)]));
  return split(totals, totals.get('pods') ?? 110);
}
export function sumOf(all: readonly Amounts[]): Amounts {
  const other: Record<string, number> = {};
  let [cpuMilli, memoryBytes, pods] = [0, 0, 0];
  for (const one of all) {
    cpuMilli += one.cpuMilli;
    memoryBytes += one.memoryBytes;
    pods += one.pods;
    for (const [name, value] of Object.entries(one.other)) other[name] = (other[name] ?? 0) + value;
  }
  return { cpuMilli, memoryBytes, pods, other };
}
