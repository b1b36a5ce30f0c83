import { expect, test } from 'bun:test';
import type { EndpointSlice, Endpoints, KubeObject } from '#api';
import { mirroredMax, planMirror } from './plan-mirror.ts';

const subset = (ips: readonly string[], port: number, notReady: readonly string[] = []) => ({
  addresses: ips.map((ip) => ({ ip })),
  ...(notReady.length > 0 && { notReadyAddresses: notReady.map((ip) => ({ ip })) }),
  ports: [{ port }],
});
const endpoints = (...subsets: ReturnType<typeof subset>[]) =>
  ({ metadata: { name: 'e' }, subsets }) as unknown as Endpoints;
const shown = ({ addressType, ports, endpoints = [] }: Pick<EndpointSlice, 'addressType' | 'ports' | 'endpoints'>) =>
  `${addressType} ${ports?.map(({ port }) => port)} ${(endpoints ?? []).map(({ addresses, conditions }) => `${addresses[0]}${conditions?.ready ? '' : '!'}`)}`;

test.each([
  ['nothing', endpoints(), []],
  ['one address', endpoints(subset(['10.1.2.3'], 80)), ['IPv4 80 10.1.2.3']],
  [
    'both families are two slices',
    endpoints(subset(['10.1.2.3', 'fd00::1'], 80)),
    ['IPv4 80 10.1.2.3', 'IPv6 80 fd00::1'],
  ],
  [
    'the same ports in two subsets are one',
    endpoints(subset(['10.0.0.1'], 80), subset(['10.0.0.2'], 80)),
    ['IPv4 80 10.0.0.1,10.0.0.2'],
  ],
  [
    'ports apart',
    endpoints(subset(['10.0.0.1'], 80), subset(['10.0.0.1'], 81)),
    ['IPv4 80 10.0.0.1', 'IPv4 81 10.0.0.1'],
  ],
  [
    'those that are not ready say so',
    endpoints(subset(['10.0.0.1'], 80, ['10.0.0.2'])),
    ['IPv4 80 10.0.0.1,10.0.0.2!'],
  ],
])('slices of hand-written endpoints: %s', (_, given, wanted) => {
  expect(planMirror(given, []).create.map(shown)).toEqual(wanted);
});

test('what is there is kept, changed in place, or removed', () => {
  const [first] = planMirror(endpoints(subset(['10.0.0.1'], 80)), []).create;
  const there = { metadata: { name: 'e-1' }, ...first! } as EndpointSlice & KubeObject;
  const quiet = planMirror(endpoints(subset(['10.0.0.1'], 80)), [there]);
  expect([quiet.create, quiet.update, quiet.remove]).toEqual([[], [], []]);
  const moved = planMirror(endpoints(subset(['10.0.0.9'], 80)), [there]);
  expect([moved.create.length, moved.update.map(({ next }) => shown(next)), moved.remove.length]).toEqual([
    0,
    ['IPv4 80 10.0.0.9'],
    0,
  ]);
  expect(planMirror(undefined, [there]).remove).toEqual([there]);
  const other = planMirror(endpoints(subset(['10.0.0.1'], 81)), [there]);
  expect([other.create.length, other.remove.length]).toEqual([1, 1]);
});

test('bad addresses and those beyond the bound are counted', () => {
  const many = Array.from({ length: mirroredMax + 5 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
  const plan = planMirror(endpoints(subset(['300.1.1.1', '10.0.0.1'], 80), subset(many, 81)), []);
  expect(plan.invalid).toEqual(['300.1.1.1']);
  expect(plan.leftOut).toBe(5);
});
