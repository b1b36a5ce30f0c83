import ipaddr from 'ipaddr.js';
import { type EndpointSlice, type Endpoints, fieldErrors, invalidObject } from '#api';
import type { AdmissionHook } from '../contract.ts';

const why = 'may not be in the loopback range (127.0.0.0/8, ::1/128)';
const isLoopback = (text: string): boolean => ipaddr.isValid(text) && ipaddr.process(text).range() === 'loopback';

/**
 * Refuses endpoints at loopback addresses, as upstream's validation does: traffic to them would reach what listens on the
 * node itself. For clusters whose own addresses are not loopback ones; those without root have no other.
 */
export const loopbackEndpointsHook: AdmissionHook = {
  name: 'LoopbackEndpoints',
  validate({ kind, object, name }) {
    if (!object || (kind.plural !== 'endpoints' && kind.plural !== 'endpointslices')) return;
    const addresses =
      kind.plural === 'endpoints' ? ofEndpoints(object as Endpoints) : ofSlice(object as Partial<EndpointSlice>);
    const mistakes = addresses
      .filter(({ ip }) => isLoopback(ip))
      .map(({ field, ip }) => fieldErrors.invalid(field, ip, why));
    if (mistakes.length > 0) throw invalidObject(kind.kind, kind.group, name, mistakes);
  },
};

interface Address {
  readonly field: string;
  readonly ip: string;
}
const ofEndpoints = (endpoints: Endpoints): Address[] =>
  (endpoints.subsets ?? []).flatMap((subset, index) =>
    (['addresses', 'notReadyAddresses'] as const).flatMap((list) =>
      (subset[list] ?? []).map(({ ip }, inner) => ({ field: `subsets[${index}].${list}[${inner}].ip`, ip })),
    ),
  );
const ofSlice = (slice: Partial<EndpointSlice>): Address[] =>
  (slice.endpoints ?? []).flatMap(({ addresses }, index) =>
    (addresses ?? []).map((ip, inner) => ({ field: `endpoints[${index}].addresses[${inner}]`, ip })),
  );
