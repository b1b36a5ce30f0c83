import { type EndpointSlice, endpointSliceKind, fieldErrors, type KubeObject } from '#api';
import type { Strategy } from '#sdk';
import { checkEndpointIp } from './rules/addresses.ts';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { firstGeneration } from './rules/lifecycle.ts';
import { checkMetadata } from './rules/metadata.ts';
import { dnsLabel, dnsSubdomain } from './rules/names.ts';
import { checkFixed, checkName, checkOneOf, checkPort, type Mistakes, sameJson } from './rules/values.ts';

type Slice = EndpointSlice & KubeObject;
const shownMax = 3;
const listText = (all: readonly string[]): string => {
  if (all.length === 0) return '<unset>';
  const shown = all.slice(0, shownMax).join(',');
  return all.length > shownMax ? `${shown} + ${all.length - shownMax} more...` : shown;
};
const endpointsMax = 1000;
const addressesMax = 100;
const portsMax = 20000;
const tooMany = (mistakes: Mistakes, field: string, count: number, max: number): void => {
  if (count > max)
    mistakes.push({ type: 'FieldValueTooMany', field, message: `Too many: ${count}: must have at most ${max} items` });
};

function checkEndpoints(mistakes: Mistakes, slice: Readonly<Slice>): void {
  tooMany(mistakes, 'endpoints', slice.endpoints?.length ?? 0, endpointsMax);
  for (const [index, endpoint] of (slice.endpoints ?? []).entries()) {
    const at = `endpoints[${index}]`;
    tooMany(mistakes, `${at}.addresses`, endpoint.addresses?.length ?? 0, addressesMax);
    if (!endpoint.addresses?.length) mistakes.push(fieldErrors.required(`${at}.addresses`));
    for (const [inner, address] of (endpoint.addresses ?? []).entries()) {
      const field = `${at}.addresses[${inner}]`;
      // Loopback: see endpoints.ts.
      if (slice.addressType === 'FQDN') checkName(mistakes, field, address, dnsSubdomain);
      else checkEndpointIp(mistakes, field, address, true);
    }
    if (endpoint.hostname !== undefined) checkName(mistakes, `${at}.hostname`, endpoint.hostname, dnsLabel);
  }
}
function checkPorts(mistakes: Mistakes, slice: Readonly<Slice>): void {
  tooMany(mistakes, 'ports', slice.ports?.length ?? 0, portsMax);
  const names = new Set<string>();
  for (const [index, port] of (slice.ports ?? []).entries()) {
    const at = `ports[${index}]`;
    const name = port.name ?? '';
    if (name) checkName(mistakes, `${at}.name`, name, dnsLabel);
    if (names.has(name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, name));
    names.add(name);
    checkOneOf(mistakes, `${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
    if (port.port !== undefined && port.port !== 0) checkPort(mistakes, `${at}.port`, port.port);
  }
}

export const endpointSliceStrategy: Strategy<Slice> = {
  kind: endpointSliceKind,
  subresources: [],
  defaults(slice) {
    for (const port of slice.ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  prepareForCreate: firstGeneration,
  prepareForUpdate(next, current) {
    const essence = ({ endpoints, ports, addressType, metadata }: Readonly<Slice>) => [
      endpoints,
      ports,
      addressType,
      metadata.labels,
    ];
    const changed = !sameJson(essence(next), essence(current));
    next.metadata.generation = (current.metadata.generation ?? 0) + (changed ? 1 : 0);
  },
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    if (!next.addressType) mistakes.push(fieldErrors.required('addressType'));
    else checkOneOf(mistakes, 'addressType', next.addressType, ['FQDN', 'IPv4', 'IPv6']);
    if (current) checkFixed(mistakes, 'addressType', next.addressType, current.addressType);
    checkPorts(mistakes, next);
    checkEndpoints(mistakes, next);
    return mistakes;
  },
  columns: [
    nameColumn,
    column('AddressType', 'IPv4, IPv6 or FQDN.', (slice) => slice.addressType ?? ''),
    column('Ports', 'Ports of all endpoints, the first three.', (slice) =>
      listText((slice.ports ?? []).map((port) => (port.port !== undefined ? `${port.port}` : (port.name ?? '*')))),
    ),
    column('Endpoints', 'Addresses, the first three.', (slice) =>
      listText((slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? [])),
    ),
    ageColumn,
  ],
};
