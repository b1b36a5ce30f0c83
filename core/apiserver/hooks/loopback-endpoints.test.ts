import { expect, test } from 'bun:test';
import { endpointSliceKind, endpointsKind } from '#api';
import type { AdmissionRequest } from '../contract.ts';
import { loopbackEndpointsHook } from './loopback-endpoints.ts';

const admit = (kind: object, object: object) => () =>
  loopbackEndpointsHook.validate!({ kind, object, name: 'e' } as unknown as AdmissionRequest);
const slice = (...addresses: string[]) => ({ metadata: {}, endpoints: [{ addresses: ['10.1.1.1'] }, { addresses }] });

test('endpoints at loopback addresses are refused with their field', () => {
  expect(admit(endpointSliceKind, slice('127.0.0.1'))).toThrow(
    'endpoints[1].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
  );
  expect(admit(endpointsKind, { metadata: {}, subsets: [{ notReadyAddresses: [{ ip: '::1' }] }] })).toThrow(
    'subsets[0].notReadyAddresses[0].ip: Invalid value: "::1"',
  );
  expect(admit(endpointSliceKind, slice('10.1.1.2', 'example.org'))).not.toThrow();
  expect(admit(endpointSliceKind, slice('::ffff:127.0.0.1'))).toThrow();
});
