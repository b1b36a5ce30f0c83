import type { DiscoveryEndpointPort, Endpoint, EndpointSlice, Pod, Service, ServicePort } from '#api';
import { isFinished, isReady } from '#sdk';

export const endpointsPerSliceMax = 100;
type Ports = DiscoveryEndpointPort[];

interface Backend {
  readonly pod: Readonly<Pod>;
  readonly ips: readonly string[];
  readonly ports: Ports;
}
export function backendsOf(service: Readonly<Service>, pods: readonly Readonly<Pod>[]): Backend[] {
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
export const refOf = (pod: Readonly<Pod>) => ({
  kind: 'Pod',
  namespace: pod.metadata.namespace,
  name: pod.metadata.name,
  uid: pod.metadata.uid,
});
export const hostnameOf = (service: Readonly<Service>, pod: Readonly<Pod>): string | undefined =>
  pod.spec?.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;

export interface SliceWant {
  readonly addressType: string;
  readonly ports: Ports;
  readonly endpoints: Endpoint[];
}
export interface SlicePlan {
  readonly create: readonly SliceWant[];
  readonly update: readonly {
    readonly slice: Readonly<EndpointSlice>;
    readonly endpoints: Endpoint[];
    readonly labels: Record<string, string>;
  }[];
  readonly remove: readonly Readonly<EndpointSlice>[];
}
/** Of each node that there is. A pod on another is nowhere. */
export type NodeZones = ReadonlyMap<string, string | undefined>;

export const serviceLabel = 'kubernetes.io/service-name';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const managedBy = 'endpointslice-controller.k8s.io';
export const headlessLabel = 'service.kubernetes.io/headless';
const reserved: ReadonlySet<string> = new Set([serviceLabel, managedByLabel, headlessLabel]);

/** Those of the service, but for what the slices say of themselves. */
export function sliceLabels({ metadata, spec }: Readonly<Service>): Record<string, string> {
  const own = Object.entries(metadata.labels ?? {}).filter(([name]) => !reserved.has(name));
  return {
    ...Object.fromEntries(own),
    [serviceLabel]: metadata.name!,
    [managedByLabel]: managedBy,
    ...((spec?.clusterIP === 'None' || !spec?.clusterIP) && { [headlessLabel]: '' }),
  };
}
/** One of a service of that name that is gone is not filled: the collector is after it. */
const isOwned = ({ metadata }: Readonly<EndpointSlice>, service: Readonly<Service>): boolean =>
  metadata.ownerReferences?.some(({ kind, uid }) => kind === 'Service' && uid === service.metadata.uid) ?? false;

/** Fits the wanted endpoints into the slices that exist: each stays where it is, new ones go where there is room. */
export function planSlices(
  service: Readonly<Service>,
  pods: readonly Readonly<Pod>[],
  nodeZones: NodeZones,
  existing: readonly Readonly<EndpointSlice>[],
): SlicePlan {
  const create: SliceWant[] = [];
  const update: { slice: Readonly<EndpointSlice>; endpoints: Endpoint[]; labels: Record<string, string> }[] = [];
  const labels = sliceLabels(service);
  const remove: Readonly<EndpointSlice>[] = [];
  const left = new Set(existing);
  for (const want of wantedGroups(service, pods, nodeZones)) {
    const mine = existing.filter(
      (slice) =>
        isOwned(slice, service) &&
        groupId(slice.addressType, (slice.ports ?? []) as Ports) === groupId(want.addressType, want.ports),
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
      const isSame = Bun.deepEquals(slice.metadata.labels, labels);
      if (!isSame || JSON.stringify(normal(slice.endpoints ?? [])) !== JSON.stringify(normal(endpoints)))
        update.push({ slice, endpoints, labels });
    }
    while (rest.length > 0) create.push({ ...want, endpoints: rest.splice(0, endpointsPerSliceMax) });
    if (isPlaceholder && mine.length === 0) create.push(want);
  }
  remove.push(...left);
  return { create, update, remove };
}

function wantedGroups(service: Readonly<Service>, pods: readonly Readonly<Pod>[], zones: NodeZones): SliceWant[] {
  const groups = new Map<string, SliceWant>();
  const families = service.spec?.ipFamilies?.length ? service.spec.ipFamilies : ['IPv4'];
  for (const { pod, ips, ports } of backendsOf(service, pods))
    for (const ip of ips) {
      const addressType = familyOf(ip);
      if (!families.includes(addressType) || isNowhere(service, pod, zones)) continue;
      const id = groupId(addressType, ports);
      const group = groups.get(id) ?? { addressType, ports, endpoints: [] };
      groups.set(id, group);
      const serving = isReady(pod);
      const terminating = !!pod.metadata.deletionTimestamp;
      const ready = !!service.spec?.publishNotReadyAddresses || (serving && !terminating);
      const nodeName = pod.spec?.nodeName;
      const zone = zones.get(nodeName ?? '');
      const hints = ready ? hintsFor(service, nodeName, zone) : undefined;
      group.endpoints.push({
        addresses: [ip],
        conditions: { ready, serving, terminating },
        hostname: hostnameOf(service, pod),
        nodeName,
        targetRef: refOf(pod),
        zone,
        ...(hints && { hints }),
      });
    }
  // A service without endpoints still has one empty slice in each family: clients see that it is known.
  for (const addressType of families)
    if (![...groups.values()].some((group) => group.addressType === addressType))
      groups.set(addressType, { addressType, ports: [], endpoints: [] });
  return [...groups.values()];
}

/** Upstream takes such a pod when a service wants addresses whatever they are worth. */
export const isNowhere = (service: Readonly<Service>, pod: Readonly<Pod>, zones: NodeZones): boolean =>
  !service.spec?.publishNotReadyAddresses && !zones.has(pod.spec?.nodeName ?? '');

const preferNode = 'PreferSameNode';
const distributions: ReadonlySet<string> = new Set(['PreferClose', 'PreferSameZone', preferNode]);
/** For whom an endpoint is, where the service says that near ones are to be preferred. */
function hintsFor(service: Readonly<Service>, node: string | undefined, zone: string | undefined): Endpoint['hints'] {
  const wanted = service.spec?.trafficDistribution;
  if (wanted === undefined || !distributions.has(wanted)) return undefined;
  const hints = {
    ...(zone && { forZones: [{ name: zone }] }),
    ...(node && wanted === preferNode && { forNodes: [{ name: node }] }),
  };
  return Object.keys(hints).length > 0 ? hints : undefined;
}

export const familyOf = (ip: string): string => (ip.includes(':') ? 'IPv6' : 'IPv4');
const idOf = (endpoint: Endpoint): string => `${endpoint.targetRef?.uid ?? ''} ${endpoint.addresses.join()}`;
const groupId = (addressType: string, ports: Ports): string =>
  [
    addressType,
    ...ports
      .map((port) => [port.name ?? '', port.port, port.protocol ?? 'TCP', port.appProtocol ?? ''].join('/'))
      .sort(),
  ].join(' ');
const normal = (endpoints: readonly Endpoint[]): unknown =>
  endpoints.map(({ addresses, conditions, hostname, nodeName, targetRef, zone, hints }) => [
    addresses,
    conditions?.ready ?? false,
    conditions?.serving ?? false,
    conditions?.terminating ?? false,
    hostname ?? '',
    nodeName ?? '',
    targetRef?.uid ?? '',
    zone ?? '',
    hints?.forZones?.map(({ name }) => name) ?? [],
    hints?.forNodes?.map(({ name }) => name) ?? [],
  ]);
