import type { EndpointSlice, Node, Service } from '#sdk';
import type { AddressPool } from './kinds.ts';
import { addressesOf, isServed } from './plan.ts';
import { holds, spansOf } from './spans.ts';

/** Upstream's label for hosts that are to take no traffic from outside. */
const excludedLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';
const serviceNameLabel = 'kubernetes.io/service-name';

export interface Cluster {
  readonly services: readonly Readonly<Service>[];
  readonly pools: readonly Readonly<AddressPool>[];
  readonly nodes: readonly Readonly<Node>[];
  /** Of one service. */
  slicesOf(namespace: string, name: string): readonly Readonly<EndpointSlice>[];
}

/** The addresses that this host is to answer for, sorted. Every host comes to the same answer by itself. Pure. */
export function heldBy(nodeName: string, { services, pools, nodes, slicesOf }: Cluster): string[] {
  const spans = pools.filter(({ spec }) => spec.announce !== false).flatMap(({ spec }) => spansOf(spec.addresses));
  const ready = nodes.filter(isFit).map(({ metadata }) => metadata!.name!);
  const found = new Set<string>();
  for (const service of services) {
    if (!isServed(service)) continue;
    const ips = addressesOf(service).filter((ip) => holds(spans, ip));
    if (ips.length === 0) continue;
    const able = isLocal(service) ? ready.filter(hostsOf(service, slicesOf)) : ready;
    for (const ip of ips) if (chosen(ip, able) === nodeName) found.add(ip);
  }
  return [...found].sort();
}

function isFit({ metadata, status }: Readonly<Node>): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  return ready === 'True' && metadata?.labels?.[excludedLabel] === undefined;
}
const isLocal = ({ spec }: Readonly<Service>): boolean => spec?.externalTrafficPolicy === 'Local';

/** Only a host with endpoints of its own passes traffic on under the policy Local. */
function hostsOf({ metadata }: Readonly<Service>, slicesOf: Cluster['slicesOf']): (nodeName: string) => boolean {
  const hosts = new Set<string | undefined>();
  for (const slice of slicesOf(metadata!.namespace!, metadata!.name!))
    for (const { conditions, nodeName } of slice.endpoints ?? []) if (conditions?.ready !== false) hosts.add(nodeName);
  return (nodeName) => hosts.has(nodeName);
}

/** By the highest hash: one host that comes or goes moves no more addresses than it must. */
function chosen(ip: string, hosts: readonly string[]): string | undefined {
  const weight = (host: string) => new Bun.CryptoHasher('sha256').update(`${ip} ${host}`).digest('hex');
  return hosts.map((host) => ({ host, weight: weight(host) })).sort((a, b) => (a.weight < b.weight ? 1 : -1))[0]?.host;
}

export const serviceOf = ({ metadata }: Readonly<EndpointSlice>): string | undefined =>
  metadata?.labels?.[serviceNameLabel];
