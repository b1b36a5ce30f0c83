import type { DiscoveryEndpointPort, Endpoint, EndpointSlice, EndpointSubset, Pod, Service, ServicePort } from '#api';
import { isFinished, isReady } from '#sdk';

export const endpointsPerSliceMax = 100;
export const endpointsAddressesMax = 1_000; // of an Endpoints object; more are cut, as upstream
type Ports = DiscoveryEndpointPort[];

interface Backend {
  readonly pod: Readonly<Pod>;
  readonly ips: readonly string[];
  readonly ports: Ports;
}
function backendsOf(service: Readonly<Service>, pods: readonly Readonly<Pod>[]): Backend[] {
  return pods
    .filter((pod) => !isFinished(pod) && !!pod.status?.podIP)
    .map((pod) => ({ pod, ips: ipsOf(pod), ports: portsFor(service, pod) }))
    .sort((left, right) => (left.pod.metadata.name! < right.pod.metadata.name! ? -1 : 1));
}
const ipsOf = (pod: Readonly<Pod>): string[] =>
  pod.status?.podIPs?.length ? pod.status.podIPs.map((entry) => entry.ip) : [pod.status!.podIP!];
/** Where each service port leads in this pod; a named port that the pod lacks is left out. */
function portsFor(service: Readonly<Service>, pod: Readonly<Pod>): Ports {
  const ports: Ports = [];
  for (const port of service.spec?.ports ?? []) {
    const number = targetOf(port, pod);
    if (number === undefined) continue;
    ports.push({
      name: port.name ?? '',
      port: number,
      protocol: port.protocol ?? 'TCP',
      appProtocol: port.appProtocol,
    });
  }
  return ports;
}
function targetOf(port: ServicePort, pod: Readonly<Pod>): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  const containers = [
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.initContainers ?? []).filter((container) => container.restartPolicy === 'Always'),
  ];
  return containers
    .flatMap((container) => container.ports ?? [])
    .find((own) => own.name === target && (own.protocol ?? 'TCP') === (port.protocol ?? 'TCP'))?.containerPort;
}
const refOf = (pod: Readonly<Pod>) => ({
  kind: 'Pod',
  namespace: pod.metadata.namespace,
  name: pod.metadata.name,
  uid: pod.metadata.uid,
});
const hostnameOf = (service: Readonly<Service>, pod: Readonly<Pod>): string | undefined =>
  pod.spec?.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;

/** The subsets of the Endpoints object: IPv4 (or the service's first family), pods that end are left out. */
export function planSubsets(service: Readonly<Service>, pods: readonly Readonly<Pod>[]): EndpointSubset[] {
  const publish = !!service.spec?.publishNotReadyAddresses;
  const family = service.spec?.ipFamilies?.[0] ?? 'IPv4';
  const groups = new Map<string, EndpointSubset>();
  let count = 0;
  for (const { pod, ips, ports } of backendsOf(service, pods)) {
    const ip = ips.find((text) => familyOf(text) === family);
    if (!ip || (pod.metadata.deletionTimestamp && !publish) || count >= endpointsAddressesMax) continue;
    if (ports.length === 0 && (service.spec?.ports?.length ?? 0) > 0) continue;
    count++;
    const id = JSON.stringify(ports);
    let subset = groups.get(id);
    if (!subset) {
      const named = ports.map((port) => ({
        name: port.name || undefined,
        port: port.port!,
        protocol: port.protocol,
        appProtocol: port.appProtocol,
      }));
      groups.set(id, (subset = named.length > 0 ? { ports: named } : {}));
    }
    const address = { ip, hostname: hostnameOf(service, pod), nodeName: pod.spec?.nodeName, targetRef: refOf(pod) };
    const list = publish || isReady(pod) ? (subset.addresses ??= []) : (subset.notReadyAddresses ??= []);
    list.push(address);
  }
  return [...groups.values()];
}

export interface SliceWant {
  readonly addressType: string;
  readonly ports: Ports;
  readonly endpoints: Endpoint[];
}
export interface SlicePlan {
  readonly create: readonly SliceWant[];
  readonly update: readonly { readonly slice: Readonly<EndpointSlice>; readonly endpoints: Endpoint[] }[];
  readonly remove: readonly Readonly<EndpointSlice>[];
}

/** Fits the wanted endpoints into the slices that exist: each stays where it is, new ones go where there is room. */
export function planSlices(
  service: Readonly<Service>,
  pods: readonly Readonly<Pod>[],
  nodeZones: ReadonlyMap<string, string>,
  existing: readonly Readonly<EndpointSlice>[],
): SlicePlan {
  const create: SliceWant[] = [];
  const update: { slice: Readonly<EndpointSlice>; endpoints: Endpoint[] }[] = [];
  const remove: Readonly<EndpointSlice>[] = [];
  const left = new Set(existing);
  for (const want of wantedGroups(service, pods, nodeZones)) {
    const mine = existing.filter(
      (slice) => groupId(slice.addressType, (slice.ports ?? []) as Ports) === groupId(want.addressType, want.ports),
    );
    const unplaced = new Map(want.endpoints.map((endpoint) => [idOf(endpoint), endpoint]));
    const kept = mine.map((slice) => {
      const endpoints: Endpoint[] = [];
      for (const endpoint of slice.endpoints ?? []) {
        const now = unplaced.get(idOf(endpoint));
        if (now) endpoints.push(now);
        unplaced.delete(idOf(endpoint));
      }
      return { slice, endpoints };
    });
    const rest = [...unplaced.values()];
    for (const { endpoints } of kept)
      endpoints.push(...rest.splice(0, Math.max(0, endpointsPerSliceMax - endpoints.length)));
    const isPlaceholder = want.endpoints.length === 0;
    for (const [index, { slice, endpoints }] of kept.entries()) {
      if (endpoints.length === 0 && !(isPlaceholder && index === 0)) continue;
      left.delete(slice);
      if (JSON.stringify(normal(slice.endpoints ?? [])) !== JSON.stringify(normal(endpoints)))
        update.push({ slice, endpoints });
    }
    while (rest.length > 0) create.push({ ...want, endpoints: rest.splice(0, endpointsPerSliceMax) });
    if (isPlaceholder && mine.length === 0) create.push(want);
  }
  remove.push(...left);
  return { create, update, remove };
}

function wantedGroups(
  service: Readonly<Service>,
  pods: readonly Readonly<Pod>[],
  zones: ReadonlyMap<string, string>,
): SliceWant[] {
  const groups = new Map<string, SliceWant>();
  const families = service.spec?.ipFamilies?.length ? service.spec.ipFamilies : ['IPv4'];
  const hasPorts = (service.spec?.ports?.length ?? 0) > 0;
  for (const { pod, ips, ports } of backendsOf(service, pods))
    for (const ip of ips) {
      const addressType = familyOf(ip);
      if (!families.includes(addressType) || (hasPorts && ports.length === 0)) continue;
      const id = groupId(addressType, ports);
      const group = groups.get(id) ?? { addressType, ports, endpoints: [] };
      groups.set(id, group);
      const serving = isReady(pod);
      const terminating = !!pod.metadata.deletionTimestamp;
      group.endpoints.push({
        addresses: [ip],
        conditions: {
          ready: !!service.spec?.publishNotReadyAddresses || (serving && !terminating),
          serving,
          terminating,
        },
        hostname: hostnameOf(service, pod),
        nodeName: pod.spec?.nodeName,
        targetRef: refOf(pod),
        zone: zones.get(pod.spec?.nodeName ?? ''),
      });
    }
  // A service without endpoints still has one empty slice in each family: clients see that it is known.
  for (const addressType of families)
    if (![...groups.values()].some((group) => group.addressType === addressType))
      groups.set(addressType, { addressType, ports: [], endpoints: [] });
  return [...groups.values()];
}

const familyOf = (ip: string): string => (ip.includes(':') ? 'IPv6' : 'IPv4');
const idOf = (endpoint: Endpoint): string => `${endpoint.targetRef?.uid ?? ''} ${endpoint.addresses.join()}`;
const groupId = (addressType: string, ports: Ports): string =>
  [
    addressType,
    ...ports
      .map((port) => [port.name ?? '', port.port, port.protocol ?? 'TCP', port.appProtocol ?? ''].join('/'))
      .sort(),
  ].join(' ');
const normal = (endpoints: readonly Endpoint[]): unknown =>
  endpoints.map(({ addresses, conditions, hostname, nodeName, targetRef, zone }) => [
    addresses,
    conditions?.ready ?? false,
    conditions?.serving ?? false,
    conditions?.terminating ?? false,
    hostname ?? '',
    nodeName ?? '',
    targetRef?.uid ?? '',
    zone ?? '',
  ]);
