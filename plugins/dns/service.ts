import type { KubeObject, Service } from '#sdk';
import { addressNumber, dnsName, dnsNamespace } from './places.ts';

/** The Service of the cluster's DNS, on the address that is counted from the API's own, the first of the range. Undefined without one. */
export function serviceFor(kubernetes: Readonly<Service> | undefined): (Service & KubeObject) | undefined {
  const clusterIP = nthFrom(kubernetes?.spec?.clusterIP ?? '', addressNumber - 1);
  if (clusterIP === undefined) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: dnsName,
      namespace: dnsNamespace,
      labels: { 'k8s-app': dnsName, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
    },
    spec: {
      clusterIP,
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53 },
        { name: 'dns-tcp', protocol: 'TCP', port: 53 },
      ],
    },
  } as Service & KubeObject;
}

/** Undefined for what is no IPv4 address. */
function nthFrom(address: string, by: number): string | undefined {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part))) return undefined;
  const value = parts.reduce((sum, part) => sum * 256 + part, 0) + by;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
