import { expect, test } from 'bun:test';
import type { HostLease, OverlayStatus } from './kinds.ts';
import { dutiesOf, planMigration } from './plan-migration.ts';
import { markOf } from './plan-peers.ts';

interface Played {
  readonly name: string;
  readonly sends: string;
  readonly others: readonly string[];
  readonly applied: readonly string[];
  readonly ready: string;
}
const endpoint = '192.0.2.1';
const lease = (
  name: string,
  sends: string,
  others: string[] = [],
  applied = [sends, ...others],
  ready = 'True',
): Played => ({ name, sends, others, applied, ready });

/** Each host has applied what all others offer now, of the backends that it says. */
function leasesOf(hosts: readonly Played[]): HostLease[] {
  const offering = (backend: string) => hosts.filter(({ sends, others }) => [sends, ...others].includes(backend));
  return hosts.map(({ name, sends, others, applied, ready }) => ({
    ...({ apiVersion: 'net.pintle.dev/v1', kind: 'HostLease', metadata: { name } } as const),
    spec: { subnets: [], backend: sends, endpoint, offers: others.map((backend) => ({ backend, endpoint })) },
    status: {
      applied: applied.map((backend) => {
        const peers = offering(backend).filter((one) => one.name !== name);
        const peersMark = String(markOf(peers.map((one) => ({ node: one.name, endpoint, data: {} }))));
        return { backend, peersMark, sends: backend === sends };
      }),
      conditions: [{ type: 'Ready', status: ready as 'True', reason: '', message: '', lastTransitionTime: '' }],
    },
  }));
}
const plan = (status: OverlayStatus, wanted: string, hosts: Played[], down: string[] = []) =>
  planMigration({
    settings: { backend: wanted },
    status,
    leases: leasesOf(hosts),
    isLive: (name) => !down.includes(name),
  });

const preparing = { backend: 'vxlan', phase: 'Preparing', next: 'wireguard' } as const;
const switching = { backend: 'vxlan', phase: 'Switching', next: 'wireguard' } as const;
const removing = { backend: 'wireguard', phase: 'Removing', previous: 'vxlan' } as const;
const settled = { backend: 'wireguard', phase: 'Settled' } as const;

test('nobody sends by a backend that does not lead to everybody', () => {
  const refusing = (refused: string[]) => {
    const hosts = leasesOf([lease('a', 'vxlan', ['wireguard']), lease('b', 'vxlan', ['wireguard'])]);
    hosts[0]!.status!.applied = hosts[0]!.status!.applied!.map((one) =>
      one.backend === 'wireguard' ? { ...one, refused } : one,
    );
    return hosts;
  };
  const planned = (leases: HostLease[], isLive = (_: string) => true) =>
    planMigration({ settings: { backend: 'wireguard' }, status: preparing, leases, isLive });
  expect(planned(refusing([]))).toEqual(switching);
  expect(planned(refusing(['b']))).toEqual({ ...preparing, waitingFor: ['a'] });
  expect(planned(refusing(['gone']), (name) => name !== 'gone')).toEqual(switching); // nobody is held up by a host that is down
});

test('a move, step by step', () => {
  expect(plan({}, 'vxlan', [])).toEqual({ backend: 'vxlan', phase: 'Settled' });
  const [a, b] = [lease('a', 'vxlan'), lease('b', 'vxlan')];
  expect(plan({ backend: 'vxlan', phase: 'Settled' }, 'vxlan', [a, b])).toEqual({ backend: 'vxlan', phase: 'Settled' });
  expect(plan({ backend: 'vxlan', phase: 'Settled' }, 'wireguard', [a, b])).toEqual(preparing);
  const ready = lease('a', 'vxlan', ['wireguard']);
  expect(plan(preparing, 'wireguard', [ready, b])).toEqual({ ...preparing, waitingFor: ['b'] });
  const offered = lease('b', 'vxlan', ['wireguard'], ['vxlan']); // its peers are not in force yet
  expect(plan(preparing, 'wireguard', [ready, offered])).toEqual({ ...preparing, waitingFor: ['b'] });
  expect(plan(preparing, 'wireguard', [ready, lease('b', 'vxlan', ['wireguard'])])).toEqual(switching);
  const moved = lease('a', 'wireguard', ['vxlan']);
  expect(plan(switching, 'wireguard', [moved, ready])).toEqual({ ...switching, waitingFor: ['a'] });
  expect(plan(switching, 'wireguard', [moved, moved])).toEqual(removing);
  const clean = lease('a', 'wireguard');
  expect(plan(removing, 'wireguard', [clean, lease('b', 'wireguard', [], ['wireguard', 'vxlan'])])).toEqual({
    ...removing,
    waitingFor: ['b'],
  });
  expect(plan(removing, 'wireguard', [clean, clean])).toEqual(settled);
});

test('nobody sends by what a host that came late is not known by', () => {
  const hosts = leasesOf([lease('a', 'vxlan', ['wireguard']), lease('b', 'vxlan', ['wireguard'])]);
  const [late] = leasesOf([lease('c', 'vxlan', ['wireguard'])]);
  const input = { settings: { backend: 'wireguard' }, status: preparing, isLive: () => true };
  expect(planMigration({ ...input, leases: hosts })).toEqual(switching);
  expect(planMigration({ ...input, leases: [...hosts, late!] })).toEqual({ ...preparing, waitingFor: ['a', 'b', 'c'] });
  const changed = structuredClone(hosts);
  changed[0]!.spec.offers![0]!.data = { publicKey: 'another' };
  expect(planMigration({ ...input, leases: changed })).toEqual({ ...preparing, waitingFor: ['b'] });
});

test('a host that is down holds nobody up; one that is not ready does', () => {
  const ready = lease('a', 'vxlan', ['wireguard']);
  expect(plan(preparing, 'wireguard', [ready, lease('b', 'vxlan')], ['b'])).toEqual(switching);
  const broken = lease('b', 'vxlan', ['wireguard'], ['vxlan', 'wireguard'], 'False');
  expect(plan(preparing, 'wireguard', [ready, broken])).toEqual({ ...preparing, waitingFor: ['b'] });
});

test('a wish taken back is undone before the switch, and waits after it', () => {
  const both = lease('a', 'vxlan', ['wireguard']);
  expect(plan(preparing, 'vxlan', [both])).toEqual({ backend: 'vxlan', phase: 'Removing', previous: 'wireguard' });
  expect(plan(preparing, 'host-gw', [both])).toEqual({ backend: 'vxlan', phase: 'Removing', previous: 'wireguard' });
  expect(plan(switching, 'vxlan', [both])).toEqual({ ...switching, waitingFor: ['a'] });
  expect(plan(settled, 'vxlan', [lease('a', 'wireguard')])).toEqual({
    backend: 'wireguard',
    phase: 'Preparing',
    next: 'vxlan',
  });
});

test('what hosts do in each state', () => {
  expect(dutiesOf({})).toBeUndefined();
  expect(dutiesOf(settled)).toEqual({ send: 'wireguard', receive: [] });
  expect(dutiesOf(preparing)).toEqual({ send: 'vxlan', receive: ['wireguard'] });
  expect(dutiesOf(switching)).toEqual({ send: 'wireguard', receive: ['vxlan'] });
  expect(dutiesOf(removing)).toEqual({ send: 'wireguard', receive: [] });
});

test('no state is left without an end: every host does its duty, and the cluster settles', () => {
  let status: OverlayStatus = { backend: 'vxlan', phase: 'Settled' };
  const seen: string[] = [];
  for (let step = 0; step < 10; step++) {
    const { send, receive } = dutiesOf(status)!;
    status = plan(status, 'host-gw', [lease('a', send, [...receive]), lease('b', send, [...receive])]);
    seen.push(status.phase!);
  }
  expect(seen.slice(0, 5)).toEqual(['Preparing', 'Switching', 'Removing', 'Settled', 'Settled']);
  expect(status).toEqual({ backend: 'host-gw', phase: 'Settled' });
});
