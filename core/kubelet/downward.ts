import {
  type Container,
  milliOf,
  type ObjectFieldSelector,
  type Pod,
  parseNano,
  type ResourceFieldSelector,
} from '#api';

export interface PodFacts {
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
  /** The node's allocatable cpu and memory: what a container without limits may use. */
  readonly allocatable: Readonly<Record<string, string>>;
}

const quote = (text: string): string => JSON.stringify(text);
const lines = (map: Record<string, string> | undefined): string =>
  Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${quote(map![key]!)}`)
    .join('\n');

/** The value of a downward API field. Throws for a field that it does not have. */
export function fieldValue(selector: ObjectFieldSelector, pod: Readonly<Pod>, facts: PodFacts): string {
  const path = selector.fieldPath;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (subscript) return pod.metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name ?? '';
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'metadata.labels':
      return lines(pod.metadata.labels);
    case 'metadata.annotations':
      return lines(pod.metadata.annotations);
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? '';
    case 'status.hostIP':
      return facts.hostIps[0] ?? '';
    case 'status.hostIPs':
      return facts.hostIps.join(',');
    case 'status.podIP':
      return facts.podIps[0] ?? '';
    case 'status.podIPs':
      return facts.podIps.join(',');
  }
  throw new Error(`unsupported fieldPath: ${path}`);
}

/** Limits and requests in units of the divisor, rounded up. A limit that is not set is the node's allocatable. */
export function resourceValue(
  selector: ResourceFieldSelector,
  pod: Readonly<Pod>,
  own: Container,
  facts: PodFacts,
): string {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const container = selector.containerName ? all.find((each) => each.name === selector.containerName) : own;
  if (!container) throw new Error(`container ${selector.containerName} not found`);
  const match = /^(limits|requests)\.(.+)$/.exec(selector.resource);
  if (!match) throw new Error(`unsupported container resource: ${selector.resource}`);
  const [, list, name] = match as unknown as [string, 'limits' | 'requests', string];
  const quantity =
    container.resources?.[list]?.[name] ?? (list === 'limits' ? facts.allocatable[name] : undefined) ?? '0';
  const divisor = selector.divisor && selector.divisor !== '0' ? selector.divisor : '1';
  if (name === 'cpu') return String(Math.ceil(milliOf(quantity) / Math.max(1, milliOf(divisor))));
  const units = parseNano(quantity) ?? 0n;
  const by = parseNano(divisor) || 1_000_000_000n;
  return String((units + by - 1n) / by);
}
