import type { EndpointSlice, KubeObject, Node, Service } from '#sdk';
import { endpointAnnotation, ingressName, ingressNamespace } from './places.ts';
import { runsOn, type Settings } from './settings.ts';

type NodeObject = Readonly<Node & KubeObject>;
type SliceObject = EndpointSlice & KubeObject;
const serviceNameLabel = 'kubernetes.io/service-name';
const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
const managedBy = 'ingress.pintle.dev';

/** The address of the ingress: without a selector, since data planes are no pods. */
export const ingressService = (): Service & KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: ingressName, namespace: ingressNamespace, labels: { 'app.kubernetes.io/name': ingressName } },
    spec: {
      ports: [
        { name: 'http', protocol: 'TCP', port: 80 },
        { name: 'https', protocol: 'TCP', port: 443 },
      ],
    },
  }) as Service & KubeObject;

/** Where clients reach the ingress: of a load balancer if it has one, else the virtual address. */
export function addressesOf(service: Readonly<Service & KubeObject> | undefined): { ip?: string; hostname?: string }[] {
  const given = (service?.status?.loadBalancer?.ingress ?? []).filter(({ ip, hostname }) => ip || hostname);
  if (given.length > 0) return given.map(({ ip, hostname }) => (ip ? { ip } : { hostname: hostname! }));
  const ip = service?.spec?.clusterIP;
  return ip && ip !== 'None' ? [{ ip }] : [];
}

export const isOwnSlice = ({ metadata }: Readonly<SliceObject>): boolean =>
  metadata.namespace === ingressNamespace &&
  metadata.labels?.[serviceNameLabel] === ingressName &&
  metadata.labels[managedByLabel] === managedBy;

/** `10.244.0.1:10080:10443` as a node announces it. */
export function readPlace(text: string | undefined): { ip: string; http: number; https: number } | undefined {
  const [, ip, http, https] = /^((?:\d{1,3}\.){3}\d{1,3}):(\d{1,5}):(\d{1,5})$/.exec(text ?? '') ?? [];
  const ports = [Number(http), Number(https)];
  return ip && ports.every((port) => port > 0 && port < 65_536) ? { ip, http: ports[0]!, https: ports[1]! } : undefined;
}

/** EndpointSlices of the data planes: one for each pair of ports, nearly always one. A node that is not heard of is not ready. Pure. */
export function planSlices(nodes: readonly NodeObject[], settings: Settings): SliceObject[] {
  const byPorts = new Map<string, { node: NodeObject; ip: string; http: number; https: number }[]>();
  for (const node of nodes) {
    const place = readPlace(node.metadata.annotations?.[endpointAnnotation]);
    if (!place || !runsOn(settings, node.metadata.labels)) continue;
    const key = `${place.http}-${place.https}`;
    byPorts.set(key, [...(byPorts.get(key) ?? []), { node, ...place }]);
  }
  return [...byPorts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, members]) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${ingressName}-${key}`,
        namespace: ingressNamespace,
        labels: { [serviceNameLabel]: ingressName, [managedByLabel]: managedBy },
      },
      addressType: 'IPv4',
      endpoints: members
        .sort((a, b) => (a.node.metadata.name! < b.node.metadata.name! ? -1 : 1))
        .map(({ node, ip }) => {
          const isHeardOf = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status !== 'Unknown';
          return {
            addresses: [ip],
            conditions: { ready: isHeardOf, serving: isHeardOf, terminating: false },
            nodeName: node.metadata.name!,
          };
        }),
      ports: [
        { name: 'http', protocol: 'TCP', port: members[0]!.http },
        { name: 'https', protocol: 'TCP', port: members[0]!.https },
      ],
    }));
}
