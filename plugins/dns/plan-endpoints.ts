import type { EndpointSlice, KubeObject, Node } from '#sdk';
import { familyOf } from './address.ts';
import { serviceNameLabel } from './cluster-zone.ts';
import { dnsName, dnsNamespace, endpointAnnotation, sixAnnotation } from './places.ts';

type NodeObject = Readonly<Node & KubeObject>;
type SliceObject = EndpointSlice & KubeObject;
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const managedBy = 'dns.pintle.dev';

/**
 * The EndpointSlices of the DNS service: one for each family of it and each port on which servers of nodes listen, nearly always one. A node that
 * is not heard of is not ready; one whose Ready is false still serves names. Pure; sorted.
 */
export function planEndpoints(nodes: readonly NodeObject[], families: readonly string[] = ['IPv4']): SliceObject[] {
  return families.flatMap((family) => planFamily(nodes, family === 'IPv6' ? 6 : 4));
}
function planFamily(nodes: readonly NodeObject[], family: 4 | 6): SliceObject[] {
  const byPort = new Map<number, { node: NodeObject; ip: string }[]>();
  for (const node of nodes) {
    const text = node.metadata.annotations?.[family === 4 ? endpointAnnotation : sixAnnotation] ?? '';
    const ip = text.slice(0, text.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
    const port = Number(text.slice(text.lastIndexOf(':') + 1));
    if (familyOf(ip) !== family || !Number.isInteger(port) || port < 1 || port > 65_535) continue;
    byPort.set(port, [...(byPort.get(port) ?? []), { node, ip }]);
  }
  return [...byPort]
    .sort(([a], [b]) => a - b)
    .map(([port, members]) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: family === 4 ? `${dnsName}-${port}` : `${dnsName}-ipv6-${port}`,
        namespace: dnsNamespace,
        labels: { [serviceNameLabel]: dnsName, [managedByLabel]: managedBy, 'k8s-app': dnsName },
      },
      addressType: `IPv${family}`,
      endpoints: members
        .sort((a, b) => (a.node.metadata.name! < b.node.metadata.name! ? -1 : 1))
        .map(({ node, ip }) => ({
          addresses: [ip],
          conditions: { ready: isHeardOf(node), serving: isHeardOf(node), terminating: false },
          nodeName: node.metadata.name!,
        })),
      ports: [
        { name: 'dns', protocol: 'UDP', port },
        { name: 'dns-tcp', protocol: 'TCP', port },
      ],
    }));
}

const isHeardOf = ({ status }: NodeObject): boolean =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.status !== 'Unknown';
