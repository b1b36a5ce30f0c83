import { type EndpointSubset, type Endpoints, endpointsKind, fieldErrors, type KubeObject } from '#api';
import type { Strategy } from '#sdk';
import { checkEndpointIp } from './rules/addresses.ts';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { checkMetadata } from './rules/metadata.ts';
import { dnsLabel } from './rules/names.ts';
import { checkName, checkOneOf, checkPort, type Mistakes } from './rules/values.ts';

const shownMax = 3;
const withPort = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

function endpointsText(endpoints: Readonly<Endpoints>): string {
  const all: string[] = [];
  for (const subset of endpoints.subsets ?? []) {
    const addresses = subset.addresses ?? [];
    if (!subset.ports?.length) all.push(...addresses.map((address) => address.ip));
    for (const port of subset.ports ?? []) all.push(...addresses.map((address) => withPort(address.ip, port.port)));
  }
  if (!endpoints.subsets?.length) return '<none>';
  const shown = all.slice(0, shownMax).join(',');
  return all.length > shownMax ? `${shown} + ${all.length - shownMax} more...` : shown;
}

function checkSubset(mistakes: Mistakes, at: string, subset: Readonly<EndpointSubset>): void {
  if (!subset.addresses?.length && !subset.notReadyAddresses?.length)
    mistakes.push(fieldErrors.required(at, 'must specify `addresses` or `notReadyAddresses`'));
  for (const list of ['addresses', 'notReadyAddresses'] as const)
    for (const [index, address] of (subset[list] ?? []).entries()) {
      if (address.hostname) checkName(mistakes, `${at}.${list}[${index}].hostname`, address.hostname, dnsLabel);
      // The process runtime gives pods addresses of 127.0.0.0/8 where there is no root; upstream refuses those.
      checkEndpointIp(mistakes, `${at}.${list}[${index}].ip`, address.ip, true);
    }
  const ports = subset.ports ?? [];
  for (const [index, port] of ports.entries()) {
    const field = `${at}.ports[${index}]`;
    if (!port.name && ports.length > 1) mistakes.push(fieldErrors.required(`${field}.name`));
    else if (port.name) checkName(mistakes, `${field}.name`, port.name, dnsLabel);
    checkPort(mistakes, `${field}.port`, port.port);
    checkOneOf(mistakes, `${field}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
  }
}

export const endpointsStrategy: Strategy<Endpoints & KubeObject> = {
  kind: endpointsKind,
  createdByUpdate: true,
  subresources: [],
  defaults(endpoints) {
    for (const subset of endpoints.subsets ?? []) for (const port of subset.ports ?? []) port.protocol ??= 'TCP';
  },
  prepareForCreate() {},
  prepareForUpdate() {},
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    for (const [index, subset] of (next.subsets ?? []).entries()) checkSubset(mistakes, `subsets[${index}]`, subset);
    return mistakes;
  },
  columns: [nameColumn, column('Endpoints', 'Addresses with ports, the first three.', endpointsText), ageColumn],
};
