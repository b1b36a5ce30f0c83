import { controllerName } from './places.ts';
import type { Finding } from './plan-routing.ts';

interface Address {
  readonly ip?: string;
  readonly hostname?: string;
}
/** Findings by which something of the Ingress is not served. */
const errors: Readonly<Partial<Record<Finding['reason'], 80 | 443>>> = {
  Conflict: 80,
  BackendNotFound: 80,
  CanaryWithoutMain: 80,
  InvalidAnnotation: 80,
  CertificateNotUsable: 443,
};
const domain = controllerName.slice(0, controllerName.indexOf('/'));

/** `status.loadBalancer.ingress`: where an Ingress is reached, with the first error of each port, as the API has it (`ports[].error`). Pure. */
export function statusOf(addresses: readonly Address[], findings: readonly Finding[]): object[] {
  const ports = ([80, 443] as const).flatMap((port) => {
    const first = findings.find(({ reason }) => errors[reason] === port);
    return first ? [{ port, protocol: 'TCP', error: `${domain}/${first.reason}` }] : [];
  });
  return addresses.map((address) => (ports.length > 0 ? { ...address, ports } : { ...address }));
}
