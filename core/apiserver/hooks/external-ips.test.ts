import { expect, test } from 'bun:test';
import { endpointsKind, serviceKind } from '#api';
import type { AdmissionRequest } from '../contract.ts';
import { denyExternalIpsHook } from './external-ips.ts';

const service = (...externalIPs: string[]) => ({ metadata: { name: 'web' }, spec: { externalIPs } });
const admit =
  (object: object | undefined, current?: object, more: object = {}) =>
  () =>
    denyExternalIpsHook.validate!({
      kind: serviceKind,
      object,
      current,
      name: 'web',
      subresource: '',
      ...more,
    } as unknown as AdmissionRequest);

test('new external addresses are refused, those that are there may stay and go', () => {
  expect(admit(service('203.0.113.1'))).toThrow(
    'services "web" is forbidden: Use of external IPs is denied by admission control',
  );
  expect(admit(service('203.0.113.1', '203.0.113.2'), service('203.0.113.1'))).toThrow('is forbidden');
  expect(admit(service('203.0.113.1'), service('203.0.113.1', '203.0.113.2'))).not.toThrow();
  expect(admit(service())).not.toThrow();
  expect(admit({ metadata: {} }, service('203.0.113.1'))).not.toThrow();
  expect(admit(undefined, service('203.0.113.1'))).not.toThrow();
  expect(admit(service('203.0.113.1'), undefined, { subresource: 'status' })).not.toThrow();
  expect(admit(service('203.0.113.1'), undefined, { kind: endpointsKind })).not.toThrow();
});
