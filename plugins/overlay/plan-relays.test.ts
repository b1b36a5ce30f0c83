import { expect, test } from 'bun:test';
import type { HostLease } from './kinds.ts';
import { planRelays, relayOf } from './plan-relays.ts';

const host = (name: string, unreachable: string[] = [], relayVia?: string): HostLease =>
  ({
    metadata: { name },
    spec: { subnets: [], relayVia },
    status: {
      peers: { wanted: 3, reachable: 3 - unreachable.length, unreachable },
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  }) as unknown as HostLease;
const plan = (...leases: HostLease[]) => Object.fromEntries(planRelays(leases, () => true));

test('two hosts behind different routers meet at a third', () => {
  expect(plan(host('a', ['b']), host('b', ['a']), host('r'), host('s'))).toEqual({ a: 'r', b: 'r' });
});
test('one direction is enough: the other end answers where it hears from', () => {
  expect(plan(host('a', ['b']), host('b'), host('r'))).toEqual({});
});
test('a relay that does is kept; one that has gone or is cut off is replaced', () => {
  expect(plan(host('a', ['b'], 's'), host('b', ['a'], 's'), host('r'), host('s'))).toEqual({ a: 's', b: 's' });
  expect(plan(host('a', ['b'], 's'), host('b', ['a'], 's'), host('r'))).toEqual({ a: 'r', b: 'r' });
  expect(plan(host('a', ['b', 's'], 's'), host('b', ['a'], 's'), host('r'), host('s', ['a']))).toEqual({
    a: 'r',
    b: 'r',
    s: 'r',
  });
});
test('nobody reaches both: no relay', () => {
  expect(plan(host('a', ['b', 'r']), host('b', ['a', 'r']), host('r', ['a', 'b']))).toEqual({});
});
test('a host that is down is neither relay nor partner', () => {
  const leases = [host('a', ['b']), host('b', ['a']), host('r'), host('s')];
  expect(Object.fromEntries(planRelays(leases, (name) => name !== 'r'))).toEqual({ a: 's', b: 's' });
  expect(Object.fromEntries(planRelays(leases, (name) => name !== 'b'))).toEqual({});
});
test('a split in two, seen by one in the middle', () => {
  const half = (name: string, others: string[]) => host(name, others);
  expect(
    plan(half('a', ['c', 'd']), half('b', ['c', 'd']), half('c', ['a', 'b']), half('d', ['a', 'b']), host('r')),
  ).toEqual({
    a: 'r',
    b: 'r',
    c: 'r',
    d: 'r',
  });
});
test('both ends of a pair name the same relay, and only while both are cut off', () => {
  const [a, b] = [host('a', ['b'], 'r'), host('b', ['a'], 's')];
  expect([relayOf(a, b), relayOf(b, a)]).toEqual(['r', 'r']);
  expect(relayOf(host('a', ['b'], 'r'), host('b', [], 's'))).toBeUndefined();
  expect(relayOf(host('a', ['b']), host('b', ['a'], 's'))).toBe('s');
  expect(relayOf(host('a', ['b'], 'b'), host('b', ['a']))).toBeUndefined();
});
