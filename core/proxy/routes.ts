import type { KubeObject } from '#api';
import type { Route } from '#net/service-proxy';
import type { EndpointSlice, Service } from '../api/gen/types.ts';

type Backend = Route['backends'][number];
export const serviceNameLabel = 'kubernetes.io/service-name';
/** Services with this label are served by somebody else's proxy. */
export const otherProxyLabel = 'service.kubernetes.io/service-proxy-name';
const affinityDefaultSeconds = 10_800; // 3 hours, upstream's DefaultClientIPServiceAffinitySeconds
const protocols: Readonly<Record<string, Route['protocol']>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };

/** The routes of one service: one for each of its ports and IPv4 addresses. Pure; backends are sorted. */
export function routesOf(
  service: Readonly<Service & KubeObject>,
  slices: readonly Readonly<EndpointSlice>[],
  nodeName: string,
): Route[] {
  const { spec, metadata } = service;
  if (!spec || spec.type === 'ExternalName' || metadata.labels?.[otherProxyLabel] !== undefined) return [];
  const addresses = (spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? '']).filter(
    (ip) => ip !== '' && ip !== 'None' && !ip.includes(':'),
  );
  const affinityTtlMs =
    spec.sessionAffinity === 'ClientIP'
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinityDefaultSeconds) * 1_000
      : undefined;
  const routes: Route[] = [];
  for (const port of spec.ports ?? []) {
    const protocol = protocols[port.protocol ?? 'TCP'];
    if (!protocol) continue;
    const all = endpointsOf(slices, port.name ?? '', port.protocol ?? 'TCP', nodeName);
    const inside = usable(spec.internalTrafficPolicy === 'Local' ? all.filter((one) => one.backend.local) : all);
    const nodePortLocalOnly = spec.externalTrafficPolicy === 'Local';
    const outside = usable(nodePortLocalOnly ? all.filter((one) => one.backend.local) : all);
    const hasOwn = nodePortLocalOnly ? inside.some((one) => !one.local) : !Bun.deepEquals(inside, outside);
    addresses.forEach((ip, index) => {
      const id = `${metadata.namespace}/${metadata.name}:${port.name ?? ''}${index === 0 ? '' : `#${index}`}`;
      routes.push({
        id,
        protocol,
        virtual: { ip, port: port.port },
        ...(port.nodePort && index === 0 ? { nodePort: port.nodePort } : {}),
        ...(port.nodePort && index === 0 && nodePortLocalOnly ? { nodePortLocalOnly } : {}),
        ...(port.nodePort && index === 0 && hasOwn ? { nodePortBackends: outside } : {}),
        ...(affinityTtlMs === undefined ? {} : { affinityTtlMs }),
        backends: inside,
      });
    });
  }
  return routes;
}

interface Candidate {
  readonly backend: Backend;
  readonly ready: boolean;
  readonly servingTerminating: boolean;
}
/** Ready ones; when there is none, those that still serve while they terminate, so that a roll-out drops nothing. */
function usable(candidates: readonly Candidate[]): Backend[] {
  const ready = candidates.filter((one) => one.ready);
  return (ready.length > 0 ? ready : candidates.filter((one) => one.servingTerminating)).map((one) => one.backend);
}

function endpointsOf(
  slices: readonly Readonly<EndpointSlice>[],
  portName: string,
  protocol: string,
  nodeName: string,
): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4') continue;
    for (const port of slice.ports ?? []) {
      if ((port.name ?? '') !== portName || (port.protocol ?? 'TCP') !== protocol || !port.port) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const ip = endpoint.addresses[0]; // clients use the first one only
        if (ip === undefined) continue;
        const { ready = true, serving = ready, terminating = false } = endpoint.conditions ?? {};
        const key = `${ip}:${port.port}`;
        const former = found.get(key); // an endpoint that moves between slices is in both for a moment
        found.set(key, {
          backend: { ip, port: port.port, local: endpoint.nodeName === nodeName },
          ready: ready || (former?.ready ?? false),
          servingTerminating: (serving && terminating) || (former?.servingTerminating ?? false),
        });
      }
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, candidate]) => candidate);
}
