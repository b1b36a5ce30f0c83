import type { EndpointSlice, KubeObject, Node } from '#sdk';
import { familyOf } from './address.ts';
import { serviceNameLabel } from './cluster-zone.ts';
import { dnsName, dnsNamespace, endpointAnnotation } from './places.ts';

type NodeObject = Readonly<Node & KubeObject>;
type SliceObject = EndpointSlice & KubeObject;
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const managedBy = 'dns.pintle.dev';

/**
 * The EndpointSlices of the DNS service: one for each port on which servers of nodes listen, nearly always one. A node that
 * is not heard of is not ready; one whose Ready is false still serves names. Pure; sorted.
 */
export function planEndpoints(nodes: readonly NodeObject[]): SliceObject[] {
  const byPort = new Map<number, { node: NodeObject; ip: string }[]>();
  for (const node of nodes) {
    const [ip = '', text = ''] = (node.metadata.annotations?.[endpointAnnotation] ?? '').split(':');
    const port = Number(text);
    if (familyOf(ip) !== 4 || !Number.isInteger(port) || port < 1 || port > 65_535) continue;
    byPort.set(port, [...(byPort.get(port) ?? []), { node, ip }]);
  }
  return [...byPort]
    .sort(([a], [b]) => a - b)
    .map(([port, members]) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${dnsName}-${port}`,
        namespace: dnsNamespace,
        labels: { [serviceNameLabel]: dnsName, [managedByLabel]: managedBy, 'k8s-app': dnsName },
      },
      addressType: 'IPv4',
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
