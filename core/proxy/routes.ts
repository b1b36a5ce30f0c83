import ipaddr from 'ipaddr.js';
import type { KubeObject } from '#api';
import type { Backend, ExternalAddress, Route } from '#net/service-proxy';
import type { EndpointSlice, Service, ServicePort } from '../api/gen/types.ts';
import { type Candidate, candidatesOf, choicesOf, type NodeFacts } from './endpoints.ts';

export const serviceNameLabel = 'kubernetes.io/service-name';
/** Services with this label are served by somebody else's proxy. */
export const otherProxyLabel = 'service.kubernetes.io/service-proxy-name';
const headlessLabel = 'service.kubernetes.io/headless';
const affinityDefaultSeconds = 10_800; // 3 hours, upstream's DefaultClientIPServiceAffinitySeconds
const protocols: Readonly<Record<string, Route['protocol']>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };
type AnyService = Readonly<Service & KubeObject>;
type Spec = NonNullable<Service['spec']>;

/** Addresses of the service that proxies answer, the primary one first. */
export function clusterAddressesOf({ spec, metadata }: AnyService): string[] {
  const { labels = {} } = metadata;
  if (!spec || spec.type === 'ExternalName' || otherProxyLabel in labels || headlessLabel in labels) return [];
  const all = spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? ''];
  return all.filter((ip) => ip !== '' && ip !== 'None');
}
const isIpv6 = (ip: string): boolean => ip.includes(':');
const canBeExternal = ({ type = 'ClusterIP', externalIPs = [] }: Spec): boolean =>
  type === 'NodePort' || type === 'LoadBalancer' || externalIPs.length > 0;
export const keepsClients = (spec: Spec): boolean => canBeExternal(spec) && spec.externalTrafficPolicy === 'Local';

/** The routes of one service: one for each of its ports and addresses. Pure; backends are sorted. */
export function routesOf(service: AnyService, slices: readonly Readonly<EndpointSlice>[], node: NodeFacts): Route[] {
  const routes: Route[] = [];
  const addresses = clusterAddressesOf(service);
  for (const port of service.spec?.ports ?? []) {
    const named = { name: port.name ?? '', protocol: port.protocol ?? 'TCP' };
    const protocol = protocols[named.protocol];
    if (!protocol) continue;
    addresses.forEach((ip, index) => {
      const candidates = candidatesOf(slices, named, isIpv6(ip) ? 'IPv6' : 'IPv4', node.name);
      const id = `${service.metadata.namespace}/${service.metadata.name}:${named.name}${index === 0 ? '' : `#${index}`}`;
      routes.push({ id, protocol, ...routeOf(service, port, ip, candidates, node) });
    });
  }
  return routes;
}

function routeOf(
  service: AnyService,
  port: ServicePort,
  ip: string,
  candidates: readonly Candidate[],
  node: NodeFacts,
): Omit<Route, 'id' | 'protocol'> {
  const spec = service.spec!;
  const { cluster, local, hasAny } = choicesOf(candidates, node);
  const backends = spec.internalTrafficPolicy === 'Local' ? local : cluster;
  const external = externalOf(service, isIpv6(ip), node);
  const isExternal = Boolean(port.nodePort) || external.length > 0;
  const externalLocal = isExternal && keepsClients(spec) ? local : undefined;
  const retained = retainedOf(candidates, port.protocol, [backends, isExternal ? cluster : [], externalLocal ?? []]);
  return {
    virtual: { ip, port: port.port },
    ...(port.nodePort ? { nodePort: port.nodePort } : {}),
    ...(external.length > 0 ? { external } : {}),
    ...(isExternal && backends !== cluster ? { externalBackends: cluster } : {}),
    ...(externalLocal ? { externalLocal } : {}),
    ...(hasAny && (backends.length === 0 || externalLocal?.length === 0) ? { hasOthers: true } : {}),
    ...(retained.length > 0 ? { retained } : {}),
    ...(spec.sessionAffinity === 'ClientIP'
      ? { affinityTtlMs: (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinityDefaultSeconds) * 1_000 }
      : {}),
    backends,
  };
}

/** Connections to a backend last as long as it is listed, whether it is ready or not. Those of UDP have no end of their own: it must serve. */
function retainedOf(
  candidates: readonly Candidate[],
  protocol: string | undefined,
  chosen: readonly (readonly Backend[])[],
): Backend[] {
  const used = new Set(chosen.flat());
  return candidates
    .filter(({ backend, serving }) => !used.has(backend) && (serving || protocol !== 'UDP'))
    .map(({ backend }) => backend);
}

/** Load balancer and external addresses of one family, each once. */
function externalOf({ spec, status }: AnyService, is6: boolean, node: NodeFacts): ExternalAddress[] {
  const ofFamily = (texts: readonly string[]): string[] => texts.filter((text) => isIpv6(text) === is6);
  // Others than `VIP` want their packets to arrive at the load balancer itself.
  const ingress = (spec?.type === 'LoadBalancer' ? status?.loadBalancer?.ingress : undefined) ?? [];
  const balancers = ofFamily(ingress.flatMap(({ ip, ipMode = 'VIP' }) => (ip && ipMode === 'VIP' ? [ip] : [])));
  const ranges = ofFamily((spec?.loadBalancerSourceRanges ?? []).map((range) => range.trim()));
  const fenced = ranges.length > 0 && !ranges.some((range) => range.endsWith('/0'));
  const found = new Map<string, ExternalAddress>();
  for (const ip of ofFamily(spec?.externalIPs ?? [])) found.set(ip, { ip });
  for (const ip of balancers) found.set(ip, fenced ? { ip, sources: withItself(ranges, ip, node) } : { ip });
  return [...found.values()];
}
/** Where the address is one of this host's, a request from here has that address as its source: it may come if this host may. */
function withItself(ranges: readonly string[], ip: string, { addresses = [] }: NodeFacts): string[] {
  const mayCome = addresses.some((address) => ranges.some((range) => isWithin(range, address)));
  return mayCome ? [...ranges, `${ip}/${isIpv6(ip) ? 128 : 32}`] : [...ranges];
}

function isWithin(range: string, address: string): boolean {
  if (!ipaddr.isValidCIDR(range) || !ipaddr.isValid(address)) return false;
  const [first, bits] = ipaddr.parseCIDR(range);
  const one = ipaddr.parse(address);
  return one.kind() === first.kind() && one.match([first, bits] as [ipaddr.IPv4, number]);
}
