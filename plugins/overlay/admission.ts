import {
  type AdmissionHook,
  type AdmissionRequest,
  errors,
  type FieldError,
  fieldErrors,
  invalidObject,
  nodeKind,
  type Reader,
  ranges,
  type UserInfo,
} from '#sdk';
import { holderOf, subnetMistakes } from './allocate.ts';
import { type HostLease, hostLeaseKind, networkName, type OverlayNetwork, overlayNetworkKind } from './kinds.ts';

const { holdsAddress, isReachableAddress, overlaps, parseCidr } = ranges;
type Cidr = ranges.Cidr;

const group = hostLeaseKind.group;
/** Creations of leases come one after the other, whichever API server takes them. */
const turnOfLeases = 'overlay-leases';

/**
 * What holds for leases and for the network's settings, whoever writes. Subnets stay unique here and nowhere else: what is
 * judged is what is stored, or else it is judged again.
 */
export function overlayAdmission(reader: Reader): AdmissionHook {
  return {
    name: 'OverlayNetwork',
    validate(request) {
      const { type } = request.kind;
      if (type === overlayNetworkKind.type) return checkNetwork(request, reader);
      if (type !== hostLeaseKind.type) return;
      checkWriter(request);
      const next = request.object as HostLease | undefined;
      if (!next || request.subresource !== '') return;
      if (!request.current) request.inTurn(turnOfLeases);
      const found = leaseMistakes(next, request.current as HostLease | undefined, reader);
      if (found.length > 0) throw invalidObject('HostLease', group, next.metadata.name ?? '', found);
    },
  };
}

const nodePrefix = 'system:node:';
const nodeOf = ({ name, groups }: UserInfo): string | undefined =>
  groups.includes('system:nodes') && name.startsWith(nodePrefix) ? name.slice(nodePrefix.length) : undefined;

/** A node says how it is reached, in its own lease; it gives itself no address and no relay. */
function checkWriter({ user, operation, name, object, current }: AdmissionRequest): void {
  const nodeName = nodeOf(user);
  if (nodeName === undefined) return;
  const refuse = (why: string) => errors.forbidden(`${hostLeaseKind.plural}.${group}`, name, why);
  if (operation !== 'UPDATE')
    throw refuse(`node ${JSON.stringify(nodeName)} may change leases, not make or remove them`);
  if (name !== nodeName) throw refuse(`node ${JSON.stringify(nodeName)} may change its own lease only`);
  const given = (lease: Readonly<HostLease>) => {
    const { labels, annotations, finalizers, ownerReferences } = lease.metadata;
    return JSON.stringify([lease.spec.subnets, lease.spec.relayVia, labels, annotations, finalizers, ownerReferences]);
  };
  if (object && current && given(object as unknown as HostLease) !== given(current as unknown as HostLease))
    throw refuse(`node ${JSON.stringify(nodeName)} may not change spec.subnets, spec.relayVia or metadata`);
}

function leaseMistakes(
  { metadata, spec }: Readonly<HostLease>,
  current: Readonly<HostLease> | undefined,
  reader: Reader,
): FieldError[] {
  const found: FieldError[] = [];
  const name = metadata.name ?? '';
  const { ranges = [] } = reader.get(overlayNetworkKind, '', networkName)?.spec ?? {};
  if (!current) {
    if (!reader.get(nodeKind, '', name)) found.push(fieldErrors.notFound('metadata.name', name));
    for (const mistake of subnetMistakes(spec.subnets, ranges))
      found.push(fieldErrors.invalid('spec.subnets', spec.subnets, mistake));
    const holder = holderOf(spec.subnets, others(name, reader));
    if (holder) {
      const why = `${holder.subnet} belongs to host ${holder.name}`;
      found.push(fieldErrors.invalid('spec.subnets', spec.subnets, why));
    }
  } else if (!Bun.deepEquals(spec.subnets, current.spec.subnets))
    found.push(fieldErrors.forbidden('spec.subnets', 'the subnets of a host never change: delete its lease and Node'));
  if (spec.relayVia === name) found.push(fieldErrors.invalid('spec.relayVia', name, 'a host is no relay for itself'));
  const places = [
    ['spec.endpoint', spec.endpoint] as const,
    ...(spec.offers ?? []).map(({ endpoint }, at) => [`spec.offers[${at}].endpoint`, endpoint] as const),
  ];
  for (const [field, endpoint] of places) found.push(...endpointMistakes(field, endpoint, ranges));
  return found;
}

const others = (name: string, reader: Reader): [string, readonly string[]][] =>
  reader
    .list(hostLeaseKind)
    .filter(({ metadata }) => metadata.name !== name)
    .map(({ metadata, spec }) => [metadata.name!, spec.subnets]);

/** An endpoint in the pod range would lead packets of the tunnel into the tunnel. */
function endpointMistakes(field: string, endpoint: string | undefined, ranges: readonly string[]): FieldError[] {
  if (endpoint === undefined) return [];
  if (!isReachableAddress(endpoint))
    return [fieldErrors.invalid(field, endpoint, 'must be an address that other hosts can reach')];
  const around = ranges.find((range) => holdsAddress(parseCidr(range)!, endpoint));
  return around ? [fieldErrors.invalid(field, endpoint, `lies in the cluster's own range ${around}`)] : [];
}

function checkNetwork({ operation, name, object, current, subresource }: AdmissionRequest, reader: Reader): void {
  const leases = operation === 'DELETE' ? reader.list(hostLeaseKind).length : 0;
  if (leases > 0) {
    const why = `${leases} hosts hold subnets of it; a plugin that is disabled leaves it alone`;
    throw errors.forbidden(`${overlayNetworkKind.plural}.${group}`, name, why);
  }
  if (!object || subresource !== '') return;
  const found: FieldError[] = [];
  if (name !== networkName) found.push(fieldErrors.notSupported('metadata.name', name, [networkName]));
  const { spec } = object as unknown as OverlayNetwork;
  const before = (current as unknown as OverlayNetwork | undefined)?.spec.ranges;
  if (before && !Bun.deepEquals(before, spec.ranges))
    found.push(
      fieldErrors.forbidden('spec.ranges', 'the ranges of a cluster never change: its hosts have their subnets'),
    );
  for (const why of rangeMistakes(spec)) found.push(fieldErrors.invalid('spec.ranges', spec.ranges, why));
  if (found.length > 0) throw invalidObject('OverlayNetwork', group, name, found);
}

function rangeMistakes({ ranges, ipv4PrefixBits = 24, ipv6PrefixBits = 64 }: OverlayNetwork['spec']): string[] {
  const known: Cidr[] = [];
  return ranges.flatMap((text): string[] => {
    const range = parseCidr(text);
    if (!range) return [`${text} is no CIDR without bits below its prefix`];
    const wrong = known.some((other) => overlaps(other, range) || other.family === range.family);
    known.push(range);
    if (wrong) return [`${text} is a second range of IPv${range.family}`];
    const bits = range.family === 4 ? ipv4PrefixBits : ipv6PrefixBits;
    return bits < range.prefixBits ? [`${text} is smaller than the subnet of one host (/${bits})`] : [];
  });
}
