import type { api, EndpointSlice, KubeObject, Service } from '#sdk';
import type { Endpoint } from './model.ts';

export type ServiceObject = Readonly<Service & KubeObject>;
export type SliceObject = Readonly<EndpointSlice & KubeObject>;
type ServicePort = api.ServicePort;

/** The port of a Service that a backend means, by its name or number. */
export const servicePort = (
  service: ServiceObject,
  { name, number }: Readonly<api.ServiceBackendPort> = {},
): ServicePort | undefined =>
  service.spec?.ports?.find((port) => (name ? port.name === name : port.port === number) && isTcp(port.protocol));

const isTcp = (protocol: string | undefined): boolean => protocol === undefined || protocol === 'TCP';

/** Addresses that may get new requests, sorted, each once. Those that are not to be reached are left out. Pure. */
export function endpointsOf(
  slices: readonly SliceObject[],
  portName: string,
  mayReach: (ip: string) => boolean,
): Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const { addressType, endpoints, ports } of slices) {
    if (addressType !== 'IPv4' && addressType !== 'IPv6') continue;
    for (const port of ports ?? []) {
      if ((port.name ?? '') !== portName || port.port === undefined || !isTcp(port.protocol)) continue;
      for (const { addresses, conditions } of endpoints ?? []) {
        const ip = addresses[0];
        if (conditions?.ready === false || ip === undefined || !mayReach(ip)) continue;
        found.set(`${ip} ${port.port}`, { ip, port: port.port });
      }
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}

/** What a Service's endpoints must never lead to: the host itself, and the neighbours that only it should see. */
export function isForbidden(ip: string): boolean {
  const text = ip.toLowerCase();
  if (text.includes(':'))
    return text === '::' || text === '::1' || /^fe[89ab]/.test(text) || text.startsWith('::ffff:');
  return /^(0|127)\./.test(text) || text.startsWith('169.254.') || /^(22[4-9]|23\d|24\d|25\d)\./.test(text);
}
