import type { DiscoveryEndpointPort, EndpointAddress, EndpointSubset, Pod, Service } from '#api';
import { isReady } from '#sdk';
import { backendsOf, familyOf, hostnameOf, refOf } from './plan-slices.ts';

/** Of an Endpoints object; more are cut, those that are not ready first, as upstream. */
export const endpointsAddressesMax = 1_000;

interface Subset {
  readonly ports: NonNullable<EndpointSubset['ports']>;
  ready: EndpointAddress[];
  notReady: EndpointAddress[];
}

/** The subsets of the Endpoints object: of the service's first family, without pods that end. `isCut`: not all are in it. Pure. */
export function planSubsets(
  service: Readonly<Service>,
  pods: readonly Readonly<Pod>[],
): { subsets: EndpointSubset[]; isCut: boolean } {
  const publish = !!service.spec?.publishNotReadyAddresses;
  const family = service.spec?.ipFamilies?.[0] ?? 'IPv4';
  const byPort = new Map<string, Subset>();
  for (const { pod, ips, ports } of backendsOf(service, pods)) {
    const ip = ips.find((text) => familyOf(text) === family);
    if (!ip || (pod.metadata.deletionTimestamp && !publish)) continue;
    const address = { ip, hostname: hostnameOf(service, pod), nodeName: pod.spec?.nodeName, targetRef: refOf(pod) };
    const list = publish || isReady(pod) ? 'ready' : 'notReady';
    for (const port of service.spec?.ports?.length ? ports.map(portOf) : [undefined]) {
      const id = JSON.stringify(port ?? null);
      const subset = byPort.get(id) ?? { ports: port ? [port] : [], ready: [], notReady: [] };
      byPort.set(id, subset);
      subset[list].push(address);
    }
  }
  const all = repacked([...byPort.values()]);
  const isCut = cut(all);
  return { subsets: all.filter(({ ready, notReady }) => ready.length + notReady.length > 0).map(shown), isCut };
}
const portOf = ({ name, port, protocol, appProtocol }: DiscoveryEndpointPort) => ({
  name: name || undefined,
  port: port!,
  protocol,
  appProtocol,
});

/** Ports with the same addresses behind them are one subset. */
function repacked(subsets: readonly Subset[]): Subset[] {
  const found = new Map<string, Subset>();
  for (const { ports, ready, notReady } of subsets) {
    const id = JSON.stringify([ready, notReady]);
    const known = found.get(id);
    if (known) known.ports.push(...ports);
    else found.set(id, { ports: [...ports], ready, notReady });
  }
  return [...found.values()];
}

const shown = ({ ports, ready, notReady }: Subset): EndpointSubset => ({
  ...(ready.length > 0 && { addresses: ready }),
  ...(notReady.length > 0 && { notReadyAddresses: notReady }),
  ...(ports.length > 0 && { ports }),
});

/** Each subset keeps its part of what fits. */
function cut(subsets: Subset[]): boolean {
  const [ready, notReady] = [sum(subsets, 'ready'), sum(subsets, 'notReady')];
  if (ready + notReady <= endpointsAddressesMax) return false;
  const isCrowded = ready > endpointsAddressesMax;
  const [kind, room, total] = isCrowded
    ? (['ready', endpointsAddressesMax, ready] as const)
    : (['notReady', endpointsAddressesMax - ready, notReady] as const);
  let left = room;
  for (const subset of subsets) {
    const part = Math.min(left, Math.ceil((subset[kind].length / total) * room));
    subset[kind] = subset[kind].slice(0, part);
    if (isCrowded) subset.notReady = [];
    left -= part;
  }
  return true;
}
const sum = (subsets: readonly Subset[], kind: 'ready' | 'notReady'): number =>
  subsets.reduce((total, subset) => total + subset[kind].length, 0);
