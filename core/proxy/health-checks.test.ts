import { afterEach, expect, test } from 'bun:test';
import type { EndpointSlice } from '../api/gen/types.ts';
import { type HealthCheck, HealthChecks, localReady } from './health-checks.ts';

let isHealthy = true;
const checks = new HealthChecks({ isHealthy: () => isHealthy, addresses: () => ['127.0.0.1'] });
afterEach(() => {
  isHealthy = true;
  checks.sync(new Map());
});
/** Free a moment ago. */
function freePort(): number {
  const server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  server.stop(true);
  return server.port;
}
const check = (port: number, local: number): HealthCheck => ({
  namespace: 'shop',
  name: 'web',
  port,
  local: { 4: local },
});
const sync = (one: HealthCheck) => checks.sync(new Map([['shop/web', one]]));
const ask = (port: number) => fetch(`http://127.0.0.1:${port}/healthz`);

test('200 with endpoints here, 503 without, in the form that load balancers parse', async () => {
  const port = freePort();
  expect(sync(check(port, 2))).toEqual(new Map());
  const answer = await ask(port);
  expect([
    answer.status,
    answer.headers.get('content-type'),
    answer.headers.get('x-load-balancing-endpoint-weight'),
    answer.headers.get('x-content-type-options'),
  ]).toEqual([200, 'application/json', '2', 'nosniff']);
  expect(await answer.text()).toBe(
    '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
  );
  sync(check(port, 0));
  expect((await ask(port)).status).toBe(503);
  sync(check(port, 1));
  isHealthy = false;
  const unhealthy = await ask(port);
  expect([unhealthy.status, await unhealthy.json()]).toMatchObject([503, { serviceProxyHealthy: false }]);
});
test('another port, and none', async () => {
  const [first, second] = [freePort(), freePort()];
  sync(check(first, 1));
  sync(check(second, 1));
  expect((await ask(second)).status).toBe(200);
  expect(await ask(first).catch(() => 'closed')).toBe('closed');
  checks.sync(new Map());
  expect(await ask(second).catch(() => 'closed')).toBe('closed');
});
test('a port that somebody has is said, and tried again', async () => {
  const other = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  expect([...sync(check(other.port, 1)).keys()]).toEqual(['shop/web']);
  other.stop(true);
  expect(sync(check(other.port, 1))).toEqual(new Map());
  expect((await ask(other.port)).status).toBe(200);
});
test('what counts is ready, here, and each address once', () => {
  const end = (ip: string, nodeName: string, ready?: boolean) => ({ addresses: [ip], nodeName, conditions: { ready } });
  const slice = (addressType: string, ...endpoints: EndpointSlice['endpoints'] & object): EndpointSlice => ({
    addressType,
    metadata: {},
    endpoints,
  });
  const slices = [
    slice('IPv4', end('10.0.0.1', 'n1'), end('10.0.0.2', 'n1', false), end('10.0.0.3', 'n2', true)),
    slice('IPv4', end('10.0.0.1', 'n1', true)),
    slice('IPv6', end('fd00::1', 'n1', true)),
  ];
  expect(localReady(slices, [4, 6], 'n1')).toEqual({ 4: 1, 6: 1 });
  expect(localReady(slices, [4], 'n3')).toEqual({ 4: 0 });
});
