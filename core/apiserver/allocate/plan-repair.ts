import type { IPAddress, KubeObject, Service } from '#api';
import { addressesOf } from './addresses.ts';
import { isOf, managedBy, managedByLabel, type ServiceName } from './ip-address.ts';
import { familyOf } from './range.ts';

/** An IPAddress whose service is not there yet may be of one that is just being made. */
export const leakAfterMs = 60_000;

type TheService = Readonly<Service & KubeObject>;
type Address = Readonly<IPAddress & KubeObject>;
export interface Finding {
  /** `create`: the address has no object; `replace`: its object names another; `remove`: nobody has it; `tell`: only people can mend it. */
  readonly type: 'create' | 'replace' | 'remove' | 'tell';
  readonly ip: string;
  /** Absent: of a service that is not there. */
  readonly service?: TheService;
  readonly address?: Address;
  readonly reason: string;
  readonly message: string;
}

/** How services and IPAddresses differ. Pure; `isInRange` asks the ranges of the cluster. */
export function planRepair(
  services: readonly TheService[],
  addresses: readonly Address[],
  isInRange: (ip: string) => boolean,
  nowMs: number,
): Finding[] {
  const found: Finding[] = [];
  const byIp = new Map(addresses.map((address) => [address.metadata.name!, address]));
  const owners = new Map<string, TheService>();
  for (const service of services)
    for (const ip of addressesOf(service.spec)) if (!owners.has(ip)) owners.set(ip, service);
  const holds = ({ namespace, name }: ServiceName, ip: string): boolean =>
    services.some(
      ({ metadata, spec }) =>
        metadata.namespace === namespace && metadata.name === name && addressesOf(spec).includes(ip),
    );
  for (const service of services)
    for (const ip of addressesOf(service.spec)) {
      const finding = ofService(service, ip, byIp.get(ip), owners.get(ip) === service, isInRange(ip), holds);
      if (finding) found.push(finding);
    }
  for (const address of addresses) {
    const ip = address.metadata.name!;
    const ageMs = nowMs - Date.parse(address.metadata.creationTimestamp ?? '');
    const isOurs = address.metadata.labels?.[managedByLabel] === managedBy;
    if (!isOurs || owners.has(ip) || !(ageMs > leakAfterMs)) continue;
    const { namespace = '', name = '' } = address.spec?.parentRef ?? {};
    const message = `IPAddress: ${ip} for Service ${namespace}/${name} appears to have leaked: cleaning up`;
    found.push({ type: 'remove', ip, address, reason: 'IPAddressNotAllocated', message });
  }
  return found;
}

function ofService(
  service: TheService,
  ip: string,
  address: Address | undefined,
  isFirst: boolean,
  inRange: boolean,
  holds: (service: ServiceName, ip: string) => boolean,
): Finding | undefined {
  const { namespace = '', name = '' } = service.metadata;
  const family = familyOf(ip);
  if (!inRange) {
    const message = `Cluster IP [${family}]: ${ip} is not within any configured Service CIDR; please recreate service`;
    return { type: 'tell', ip, service, reason: 'ClusterIPOutOfRange', message };
  }
  if (address && isOf(address, { namespace, name })) return undefined;
  const parent = address?.spec?.parentRef;
  const isOfOther = !isFirst || (parent && holds({ namespace: parent.namespace ?? '', name: parent.name }, ip));
  if (isOfOther) {
    const message = `Cluster IP [${family}]:${ip} was assigned to multiple services; please recreate service`;
    return { type: 'tell', ip, service, reason: 'ClusterIPAlreadyAllocated', message };
  }
  const message = address
    ? `the ClusterIP [${family}]: ${ip} for Service ${namespace}/${name} has a wrong reference; repairing`
    : `Cluster IP [${family}]: ${ip} is not allocated; repairing`;
  return { type: address ? 'replace' : 'create', ip, service, address, reason: 'ClusterIPNotAllocated', message };
}
