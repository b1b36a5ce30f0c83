import { expect, test } from 'bun:test';
import { silentLog } from '#base';
import type { Lease, LocalHost, NetworkBackend } from '#net/backend';
import type { WorkApplier } from '#net/wanted/device';
import type { NetworkWork } from '#net/wanted/list';
import type { NetworkContribution } from '#sdk';
import { contribute } from '../../../test/fixtures/contributor.ts';
import { networkPlugin, vxlanPlugin } from '../../../test/fixtures/network-plugins.ts';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { NodeContributions } from './contributions.ts';
import { CarriedNetworks, failedPeers } from './networks.ts';

const host: LocalHost = { node: 'n1', subnets: ['10.77.1.0/24'], endpoint: '192.0.2.1', underlayMtuBytes: 1_500 };
const lease = (index: number, data: Lease['data'] = { mac: `0a:00:00:00:00:0${index}` }): Lease => ({
  node: `n${index}`,
  subnets: [`10.77.${index}.0/24`],
  endpoint: `192.0.2.${index}`,
  backend: 'tunnels',
  data,
});

function node(own: readonly NetworkBackend[] = []) {
  const contributions = new NodeContributions();
  const applied: NetworkWork[] = [];
  const calls: string[] = [];
  const applier: WorkApplier = {
    async apply(work, _local, how) {
      calls.push(how?.keepsRest ? 'add' : 'replace');
      applied.push(work);
      return { made: [{ name: 'vx', type: 'vxlan', mac: '0a:00:00:00:00:01' }], set: [], failures: [] };
    },
    purge: async () => void calls.push('purge'),
  };
  const podRanges = ['10.77.0.0/16'];
  const networks = new CarriedNetworks({ contributions, own, podRanges, applierOf: () => applier, log: silentLog });
  return { contributions, networks, applied, calls };
}

test('what is computed is applied whole; a plugin that is down or hangs leaves what is in force', async () => {
  const { contributions, networks, applied, calls } = node();
  expect([networks.names(), networks.get('tunnels')]).toEqual([[], undefined]);
  const tunnels = await contribute(contributions, networkPlugin(vxlanPlugin()));
  const backend = networks.get('tunnels')!;
  expect([networks.names(), backend.overheadBytes]).toEqual([['tunnels'], 50]);
  expect((await rejection(backend.sync([]))).message).toContain('prepare() comes before sync()');
  const data = { mac: '0a:00:00:00:00:01' };
  expect(await backend.prepare(host)).toEqual({ endpoint: '192.0.2.1', data, podMtuBytes: 1_450 });
  const report = await backend.sync([lease(2), lease(3, { mac: 'none' })]);
  expect(report).toMatchObject({
    rejected: [{ node: 'n3', reason: 'hardware address "none" is none of a tunnel' }],
    data,
  });
  expect(applied.at(-1)?.routes).toEqual([{ to: '10.77.2.0/24', link: 'vx', via: '10.77.2.0' }]);
  tunnels.crash();
  expect((await rejection(backend.sync([lease(2)]))).message).toContain('does not run now');
  await tunnels.begin();
  expect(networks.get('tunnels')).toBe(backend); // also after an upgrade
  await backend.sync([lease(2)]);
  tunnels.hang();
  expect((await rejection(backend.sync([]))).message).toContain('gave no answer');
  expect(calls).toEqual(['add', 'replace', 'replace']);
  await tunnels.leave(false);
  expect([networks.names(), calls.at(-1)]).toEqual([[], 'replace']);
});

test('uninstalled, all of it goes; the change is told', async () => {
  const { contributions, networks, calls } = node();
  let changes = 0;
  using _listening = networks.onChange(() => changes++);
  const tunnels = await contribute(contributions, networkPlugin(vxlanPlugin()));
  await networks.get('tunnels')!.prepare(host);
  await tunnels.leave();
  expect([networks.get('tunnels'), calls, changes]).toEqual([undefined, ['add', 'purge'], 2]);
});

test("the platform's own names cannot be taken, and of two plugins the first one has it", async () => {
  const own = { name: 'tunnels' } as NetworkBackend;
  const taken = node([own]);
  await contribute(taken.contributions, networkPlugin(vxlanPlugin()));
  expect(taken.networks.get('tunnels')).toBe(own);
  expect(taken.contributions.unused('tunnels')).toEqual([
    'network backend tunnels is not used: the platform has one of that name',
  ]);
});

const answering = (sync: unknown, more: Partial<NetworkContribution> = {}) =>
  ({ ...vxlanPlugin(), sync: () => sync, ...more }) as NetworkContribution;
test.each<[string, NetworkContribution, string]>([
  [
    'the default route',
    answering({ work: { routes: [{ to: '0.0.0.0/0', link: 'vx' }] } }),
    'routes[0].to: "0.0.0.0/0" lies in no',
  ],
  ['a command', answering({ work: { exec: ['reboot'] } }), 'exec: there is no such work'],
  [
    'a stranger rejected',
    answering({ work: {}, rejected: [{ node: 'n9', reason: '' }] }),
    'rejected: it must be a list of peers',
  ],
  ['nothing', answering(null), 'it is no list of work'],
])('a plugin that wants %s is refused by name, and nothing is applied', async (_what, network, why) => {
  const { contributions, networks, calls } = node();
  await contribute(contributions, networkPlugin(network));
  const backend = networks.get('tunnels')!;
  await backend.prepare(host);
  expect((await rejection(backend.sync([lease(2)]))).message).toContain(why);
  expect(calls).toEqual(['add']);
});
test.each<[string, Partial<NetworkContribution>, string]>([
  [
    'a way that is not its own',
    { publish: () => ({ endpoint: '198.51.100.1' }) },
    'endpoint: "198.51.100.1" is not this host',
  ],
  ['data without end', { publish: () => ({ data: { key: 'x'.repeat(2_000) } }) }, 'data: it must be at most'],
  [
    'a route before there are peers',
    { prepare: () => ({ routes: [{ to: '10.77.2.0/24', via: '192.0.2.2' }] }) },
    'routes[0].to',
  ],
])('one that publishes %s is refused', async (_what, more, why) => {
  const { contributions, networks } = node();
  await contribute(contributions, networkPlugin(answering({ work: {} }, more)));
  expect((await rejection(networks.get('tunnels')!.prepare(host))).message).toContain(why);
});

test('a line that the machine refuses is said of its peer alone; one of nobody of all', () => {
  const peers = [lease(2), lease(3)];
  const failures = [{ line: 'route replace 10.77.2.0/24 via 192.0.2.3 proto 120', why: 'no way' }];
  expect(failedPeers({ failures }, peers).map(({ node }) => node)).toEqual(['n2']);
  const all = failedPeers({ failures: [{ line: 'link add x', why: 'no device' }] }, peers);
  expect(all).toEqual(peers.map(({ node }) => ({ node, reason: 'no device (link add x)' })));
});
