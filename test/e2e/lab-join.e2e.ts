import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lackingForLab, TestLab } from '../fixtures/lab.ts';
import { expectOk, repository, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'hosts of a lab that leave and join', unfit);

/** By default ten hosts leave, in two rounds of five. LAB_LEAVING=10 LAB_ROUNDS=5: fifty, which takes 2 GB. */
const rounds = Number(process.env['LAB_ROUNDS'] ?? 2);
const leaving = Number(process.env['LAB_LEAVING'] ?? 5);
const openFilesMore = 16;
interface Lease {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly subnets: readonly string[] };
}

describe.skipIf(unfit !== '')('hosts that leave and join', () => {
  test('again and again: subnets stay unique, nobody keeps anything of who left, and nothing is leaked', async () => {
    const devices = new Set<string>();
    {
      await using lab = new TestLab();
      await lab.ok('up', '--hosts', '2');
      await lab.ok('up', '--hosts', String(leaving + 1)); // more, later
      const goers = lab.lab.hosts.slice(1).map(({ name }) => name);
      const all = ['h1', ...goers].sort();
      const before: string[] = [];
      let filesBefore = 0;
      for (let round = 0; round <= rounds; round++) {
        await lab.untilReady(...all);
        await expectUnique(lab, all);
        await until('h1 serves all others', async () => (await traces(lab, 'h1')).peers === goers.length);
        const { rest, tunnels } = await traces(lab, 'h1');
        if (round === 0) before.push(...rest);
        expect(rest).toEqual(before);
        expect(tunnels).toHaveLength(1);
        const files = openFiles(join(lab.home.folder, 'hosts/h1/'));
        if (round === 1) filesBefore = files; // the first round warms what is kept
        if (round > 1) expect(files).toBeLessThan(filesBefore + openFilesMore);
        for (const name of all) for (const device of (await traces(lab, name)).tunnels) devices.add(device);
        if (round === rounds) break;
        await Promise.all(goers.map((name, index) => leave(lab, name, index % 2 === 0)));
        await lab.untilReady('h1');
        await expectUnique(lab, ['h1']);
        await until('h1 forgets who left', async () => (await traces(lab, 'h1')).peers === 0);
        for (const name of goers) rmSync(lab.home.path('hosts', name), { recursive: true, force: true }); // a new disk
        await lab.ok('up');
      }
    }
    for (const name of devices) expect([name, existsSync(`/var/run/wireguard/${name}.sock`)]).toEqual([name, false]);
  });
});

/** By a power cut and the word of an operator, or by that word alone: then the host takes away what it has made. */
async function leave(lab: TestLab, name: string, byPowerCut: boolean): Promise<void> {
  if (byPowerCut) await lab.ok('kill', name);
  expectOk(await lab.run('exec', 'h1', '--', join(repository, 'pintle'), 'node', 'remove', name, '--yes'));
  if (byPowerCut) return;
  await until(`${name} has taken away what it made`, async () => {
    const { rest, tunnels, peers } = await traces(lab, name);
    return rest.join() === 'eth0,lo' && tunnels.length === 0 && peers === 0;
  });
  await lab.ok('kill', name); // its engine was there before it
}

/** Objects of exactly these hosts, and no subnet twice (I9). */
async function expectUnique(lab: TestLab, names: readonly string[]): Promise<void> {
  const namesAt = async (path: string) =>
    (await lab.json<{ items: Lease[] }>(path)).items.map(({ metadata }) => metadata.name).sort();
  const leases = await lab.json<{ items: Lease[] }>('/apis/net.pintle.dev/v1/hostleases');
  expect(new Set(leases.items.flatMap(({ spec }) => spec.subnets)).size).toBe(names.length);
  expect(await namesAt('/apis/net.pintle.dev/v1/hostleases')).toEqual([...names]);
  expect(await namesAt('/api/v1/nodes')).toEqual([...names]);
  expect(await namesAt('/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases')).toEqual([...names]);
}

/** What a host's network holds: links and tables, tunnels of the overlay, peers (as many routes as entries in the tunnel). */
async function traces(lab: TestLab, host: string) {
  const links = [...(await lab.exec(host, 'ip', '-o', 'link')).matchAll(/^\d+: ([^:@]+)/gm)].map(([, name]) => name!);
  const tables = (await lab.exec(host, 'nft', 'list', 'tables')).split('\n').filter(Boolean);
  const routes = (await lab.exec(host, 'ip', '-o', 'route', 'show', 'proto', '87')).split('\n').filter(Boolean);
  const tunnels = links.filter((name) => name.startsWith('pw'));
  const peers = await Promise.all(tunnels.map((name) => lab.exec(host, 'wg', 'show', name, 'peers')));
  const known = peers.join('').split('\n').filter(Boolean).length;
  return {
    rest: [...links.filter((name) => !tunnels.includes(name)).sort(), ...tables.sort()],
    tunnels,
    peers: known === routes.length ? known : Number.NaN,
  };
}

/** Of all processes with this text in their arguments. */
function openFiles(text: string): number {
  let count = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text)) count += readdirSync(`/proc/${pid}/fd`).length;
    } catch {} // it ended while we looked
  return count;
}
