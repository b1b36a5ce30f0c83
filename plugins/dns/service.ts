import { type api, type KubeObject, ranges, type Service } from '#sdk';
import { addressNumber, dnsName, dnsNamespace } from './places.ts';

/**
 * The Service of the cluster's DNS, on the n-th address of the cluster's range of services: of the IPv4 one where there is one,
 * because every pod has an address of that family. Undefined without a range. `range`: the ServiceCIDR `kubernetes`.
 */
export function serviceFor(range: Readonly<api.ServiceCIDR> | undefined): (Service & KubeObject) | undefined {
  const found = (range?.spec?.cidrs ?? []).map((cidr) => ranges.parseCidr(cidr)).filter((cidr) => cidr !== undefined);
  const cidr = found.find(({ family }) => family === 4) ?? found[0];
  if (!cidr) return undefined;
  const bits = cidr.family === 4 ? 32 : 128;
  const text = ranges.cidrText({ ...cidr, first: cidr.first + BigInt(addressNumber), prefixBits: bits });
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: dnsName,
      namespace: dnsNamespace,
      labels: { 'k8s-app': dnsName, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
    },
    spec: {
      clusterIP: text.slice(0, text.indexOf('/')),
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53 },
        { name: 'dns-tcp', protocol: 'TCP', port: 53 },
      ],
    },
  } as Service & KubeObject;
}
