import { expect, test } from 'bun:test';
import type { KubeObject } from '#sdk';
import { endpointAnnotation, sixAnnotation } from './places.ts';
import { planEndpoints } from './plan-endpoints.ts';
import { firstOfSix } from './second-listener.ts';
import { serviceFor } from './service.ts';

const addressIn = (...cidrs: string[]) => serviceFor({ metadata: {}, spec: { cidrs } })?.spec?.clusterIP;

test('the service is at the tenth address: of IPv4 where there is such a range', () => {
  expect(addressIn('10.96.0.0/16')).toBe('10.96.0.10');
  expect(addressIn('fd96::/112', '10.96.0.0/16')).toBe('10.96.0.10');
  expect(addressIn('fd96::/112')).toBe('fd96::a');
  expect(serviceFor(undefined)).toBeUndefined();
});
test('the host’s address among its pods of IPv6', () => {
  expect(firstOfSix(['10.244.0.0/24', 'fd44:0:0:1::/64'])).toBe('fd44:0:0:1::1');
  expect(firstOfSix(['10.244.0.0/24'])).toBeUndefined();
});
test('endpoints of the families that the service has', () => {
  const annotations = { [endpointAnnotation]: '10.244.0.1:10053', [sixAnnotation]: '[fd44::1]:10053' };
  const node = { metadata: { name: 'n', annotations } } as KubeObject;
  const shown = (families?: string[]) =>
    planEndpoints([node], families).map(({ addressType, endpoints, ports }) => [
      addressType,
      endpoints![0]!.addresses[0],
      ports![0]!.port,
    ]);
  expect(shown()).toEqual([['IPv4', '10.244.0.1', 10053]]);
  expect(shown(['IPv6'])).toEqual([['IPv6', 'fd44::1', 10053]]);
  expect(planEndpoints([{ metadata: { name: 'n' } } as KubeObject], ['IPv4', 'IPv6'])).toEqual([]);
});
