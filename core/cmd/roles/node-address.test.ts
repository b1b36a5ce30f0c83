import { afterAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, silentLog, systemClock } from '#base';
import { Home } from '../home.ts';
import { goneAddresses, type LinkAddress, NodeAddress, nodeAddressOf, secondAddressOf } from './node-address.ts';

const at = (link: string, ...addresses: string[]) => addresses.map((address) => ({ link, address }));
const lan = (address: string) => ({ link: 'eth0', address });

test.each<[string, Parameters<typeof nodeAddressOf>, ReturnType<typeof nodeAddressOf>]>([
  [
    'what it was given, as long as it has it',
    ['10.0.0.1', undefined, at('eth0', '10.0.0.9', '10.0.0.1')],
    lan('10.0.0.1'),
  ],
  [
    'another of that link',
    ['10.0.0.1', lan('10.0.0.1'), [...at('eth1', '10.1.0.1'), ...at('eth0', '10.0.0.9')]],
    lan('10.0.0.9'),
  ],
  ['of the same family', ['10.0.0.1', lan('10.0.0.1'), at('eth0', 'fd00::1', '10.0.0.9')], lan('10.0.0.9')],
  [
    'where it stands now, not back and forth',
    ['10.0.0.1', lan('10.0.0.9'), at('eth0', '10.0.0.8', '10.0.0.9')],
    lan('10.0.0.9'),
  ],
  ['the given one when it is back', ['10.0.0.1', lan('10.0.0.9'), at('eth0', '10.0.0.9', '10.0.0.1')], lan('10.0.0.1')],
  ['the last one while it has none', ['10.0.0.1', lan('10.0.0.1'), at('eth1', '10.1.0.1')], lan('10.0.0.1')],
  ['a router’s, for good', ['203.0.113.7', undefined, at('eth0', '10.0.0.9')], { address: '203.0.113.7' }],
])('a node is reached at %s', (_, given, found) => {
  expect(nodeAddressOf(...given)).toEqual(found);
});

test('what is gone: links’ own addresses come and go with every pod', () => {
  expect(goneAddresses(at('eth0', '10.0.0.1', 'fe80::1', 'fd00::1'), at('eth0', '10.0.0.9', 'fd00::1'))).toEqual([
    '10.0.0.1',
  ]);
});

const folder = mkdtempSync(join(tmpdir(), 'node-address-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a host that moves is followed, and knows where it stands at its next start', async () => {
  const home = new Home(folder);
  mkdirSync(home.path('node'));
  let own: LinkAddress[] = [...at('eth0', '10.0.0.1'), ...at('pa1', '192.0.2.64')];
  const stop = new AbortController();
  const gone: string[] = [];
  const clock: Clock = { ...systemClock, sleep: () => systemClock.soon() };
  const options = {
    ...{ home, given: '10.0.0.1', clock, log: silentLog, signal: stop.signal },
    addresses: () => own,
    announcingLink: 'pa1',
    onGone: (addresses: readonly string[]) => void gone.push(...addresses),
  };
  const node = new NodeAddress(options);
  const changed = new Promise<void>((resolve) => node.onChange(resolve));
  const kept = node.keep();
  expect(node.now()).toEqual(['10.0.0.1']);
  own = at('eth0', '10.0.0.9'); // and what load balancers had is no loss
  await changed;
  stop.abort();
  await kept;
  expect(node.now()).toEqual(['10.0.0.9']);
  expect(gone).toEqual(['10.0.0.1']);
  own = at('eth0', '10.0.0.7'); // while it was off
  expect(new NodeAddress(options).address).toBe('10.0.0.7');
});

test('a host’s address of the other family is one of the same link that others reach', () => {
  const six = at('eth0', '192.0.2.7', 'fe80::1', '2001:db8::7');
  const seven = { link: 'eth0', address: '192.0.2.7' };
  expect(secondAddressOf(seven, [...at('eth1', '2001:db8:1::7'), ...six])).toBe('2001:db8::7');
  expect(secondAddressOf(seven, at('eth0', '192.0.2.7', 'fe80::1'))).toBeUndefined();
  expect(secondAddressOf({ address: '203.0.113.9' }, six)).toBeUndefined();
  expect(secondAddressOf({ link: 'eth0', address: '2001:db8::7' }, six)).toBe('192.0.2.7');
});
