import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Exec, systemExec } from '#base';
import { createBridgeNetwork } from '../../net/pods/bridge.ts';
import { createCniNetwork } from '../../net/pods/cni.ts';
import { networkContract } from '../contracts/network.ts';
import { skipped } from '../fixtures/skipped.ts';

const binFolders = ['/opt/cni/bin', '/usr/lib/cni'].filter((folder) => existsSync(folder));
const must = async (...argv: string[]) => {
  const result = await systemExec.run(argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
};

/** A host and a neighbour of it, each a namespace of its own; pods are further namespaces. */
async function world() {
  const id = Math.random().toString(36).slice(2, 7);
  const host = `pt${id}h`;
  const outside = `pt${id}o`;
  const made = new Set<string>();
  const add = async (name: string) => {
    await must('ip', 'netns', 'add', name);
    made.add(name);
  };
  await add(host);
  await add(outside);
  await must('ip', '-n', host, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up0', 'netns', outside);
  for (const [name, ip] of [
    [host, '192.0.2.1'],
    [outside, '192.0.2.2'],
  ] as const) {
    await must('ip', '-n', name, 'address', 'add', `${ip}/24`, 'dev', 'up0');
    const ip6 = ip.replace('192.0.2.', '2001:db8::');
    await must('ip', '-n', name, 'address', 'add', `${ip6}/64`, 'dev', 'up0', 'nodad');
    for (const link of ['lo', 'up0']) await must('ip', '-n', name, 'link', 'set', 'dev', link, 'up');
  }
  const exec: Exec = {
    run: (argv, options) => systemExec.run(argv, { ...options, netns: options?.netns ?? `/run/netns/${host}` }),
  };
  const folder = mkdtempSync(join(tmpdir(), 'pintle-pods-'));
  const podName = (name: string) => `pt${id}${name}`;
  return {
    exec,
    folder,
    hostNetns: `/run/netns/${host}`,
    outside: { ip: '192.0.2.2', netns: `/run/netns/${outside}`, hostIp: '192.0.2.1' },
    async newPod(name: string) {
      await add(podName(name));
      return `/run/netns/${podName(name)}`;
    },
    async removePod(name: string) {
      await must('ip', 'netns', 'delete', podName(name));
      made.delete(podName(name));
    },
    async close() {
      for (const name of made) await must('ip', 'netns', 'delete', name);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

if (process.getuid?.() !== 0) skipped('net', 'network contracts', 'namespaces need root');
else {
  networkContract('bridge', async () => {
    const one = await world();
    return {
      ...one,
      make: () =>
        createBridgeNetwork({
          bridge: 'ptbr0',
          subnets: ['10.241.0.0/24'],
          podRanges: ['10.241.0.0/16'],
          serviceRanges: ['10.242.0.0/16'],
          stateFolder: join(one.folder, 'state'),
          exec: one.exec,
        }),
    };
  });
  networkContract('bridge, both families', async () => {
    const one = await world();
    return {
      ...one,
      outside6: { ip: '2001:db8::2', hostIp: '2001:db8::1' },
      make: () =>
        createBridgeNetwork({
          bridge: 'ptbr0',
          subnets: ['10.241.0.0/24', 'fd41::/64'],
          podRanges: ['10.241.0.0/16', 'fd41::/48'],
          serviceRanges: ['10.242.0.0/16', 'fd42::/112'],
          stateFolder: join(one.folder, 'state'),
          exec: one.exec,
        }),
    };
  });
  test('bridge: links of pods whose records are lost go at the next start; those of pods that are known stay', async () => {
    const one = await world();
    const make = (stateFolder: string) =>
      createBridgeNetwork({
        bridge: 'ptbr0',
        subnets: ['10.241.0.0/24'],
        podRanges: ['10.241.0.0/16'],
        stateFolder: join(one.folder, stateFolder),
        exec: one.exec,
      });
    const links = async () =>
      (await one.exec.run(['ip', '-o', 'link', 'show', 'master', 'ptbr0'])).stdout.split('\n').length - 1;
    try {
      const network = make('state');
      await network.prepare();
      await network.attach({ uid: 'a', netnsPath: await one.newPod('a') });
      await make('state').prepare();
      expect(await links()).toBe(1);
      const lost = make('other');
      await lost.prepare();
      expect(await links()).toBe(0);
      await lost.purge();
    } finally {
      await one.close();
    }
  });
  const iptables = Bun.which('iptables');
  if (!iptables) skipped('net', 'pods beside a dropping firewall', 'iptables is not installed');
  else
    test('bridge: pods reach the world beside an engine that drops forwarded packets; purge leaves nothing', async () => {
      const one = await world();
      const run = (...argv: string[]) => one.exec.run(argv);
      const network = createBridgeNetwork({
        bridge: 'ptbr1',
        subnets: ['10.244.0.0/24'],
        podRanges: ['10.244.0.0/16'],
        stateFolder: join(one.folder, 'state'),
        exec: one.exec,
      });
      try {
        await run('iptables', '-N', 'DOCKER-USER');
        await run('iptables', '-A', 'DOCKER-USER', '-j', 'RETURN');
        await run('iptables', '-A', 'FORWARD', '-j', 'DOCKER-USER');
        await run('iptables', '-P', 'FORWARD', 'DROP');
        const before = (await run('iptables', '-S')).stdout;
        const links = (await run('ip', '-o', 'link')).stdout.split('\n').length;
        await network.prepare();
        const rules = (await run('iptables', '-S')).stdout;
        await network.prepare();
        expect((await run('iptables', '-S')).stdout).toBe(rules); // repeated, nothing doubles
        const netnsPath = await one.newPod('pod');
        await network.attach({ uid: 'pod', netnsPath });
        const program =
          'require("node:net").connect(9, "192.0.2.2").once("error", (error) => console.log(error.code)); setTimeout(() => process.exit(), 2000)';
        const tried = await one.exec.run([process.execPath, '-e', program], { netns: netnsPath });
        expect(tried.stdout).toBe('ECONNREFUSED\n');
        await network.purge();
        expect((await run('iptables', '-S')).stdout).toBe(before);
        expect((await run('ip', '-o', 'link')).stdout.split('\n').length).toBe(links);
        expect((await run('nft', 'list', 'tables')).stdout).not.toContain('ptbr1');
      } finally {
        await one.close();
      }
    });
  if (binFolders.length === 0) skipped('net', 'network contract on CNI', 'no plugins in /opt/cni/bin or /usr/lib/cni');
  else
    networkContract('cni', async () => {
      const one = await world();
      const configFolder = join(one.folder, 'net.d');
      mkdirSync(configFolder);
      const ipam = {
        type: 'host-local',
        ranges: [[{ subnet: '10.243.0.0/24' }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: join(one.folder, 'ipam'),
      };
      writeFileSync(
        join(configFolder, '10-test.conflist'),
        JSON.stringify({
          cniVersion: '1.0.0',
          name: 'test',
          plugins: [
            { type: 'bridge', bridge: 'ptcni0', isGateway: true, ipMasq: true, hairpinMode: true, ipam },
            { type: 'portmap', capabilities: { portMappings: true } },
            { type: 'bandwidth', capabilities: { bandwidth: true } },
          ],
        }),
      );
      return {
        ...one,
        burstBits: true,
        make: () =>
          createCniNetwork({ configFolder, binFolders, stateFolder: join(one.folder, 'state'), exec: one.exec }),
      };
    });
  if (binFolders.length > 0)
    test('cni: a purge takes away the bridge and the reservations that came with our pods, and nothing of others', async () => {
      const one = await world();
      try {
        const configFolder = join(one.folder, 'net.d');
        const dataDir = join(one.folder, 'ipam');
        mkdirSync(configFolder);
        const listOf = (name: string, bridge: string, subnet: string) => ({
          cniVersion: '1.0.0',
          name,
          plugins: [{ type: 'bridge', bridge, isGateway: true, ipam: { type: 'host-local', dataDir, subnet } }],
        });
        const use = (...list: Parameters<typeof listOf>) =>
          writeFileSync(join(configFolder, '10-test.conflist'), JSON.stringify(listOf(...list)));
        const run = (...argv: string[]) => one.exec.run(argv);
        const make = () =>
          createCniNetwork({ configFolder, binFolders, stateFolder: join(one.folder, 'state'), exec: one.exec });
        await run('ip', 'link', 'add', 'ptold0', 'type', 'bridge');
        use('first', 'ptfirst0', '10.243.9.0/24');
        let network = make();
        await network.prepare();
        for (const [name, bridge, subnet] of [
          ['new', 'ptnew0', '10.243.1.0/24'],
          ['old', 'ptold0', '10.243.2.0/24'],
          ['used', 'ptused0', '10.243.3.0/24'],
        ] as const) {
          use(name, bridge, subnet);
          await network.attach({ uid: name, netnsPath: await one.newPod(name), name, namespace: 'default' });
        }
        await run('ip', 'link', 'add', 'stranger', 'type', 'veth', 'peer', 'name', 'stranger1');
        await run('ip', 'link', 'set', 'stranger', 'master', 'ptused0');
        writeFileSync(join(dataDir, 'used', '10.243.3.77'), 'stranger');
        network = make(); // the process ended meanwhile
        await network.purge();
        const links = (await run('ip', '-o', 'link')).stdout;
        expect(links).not.toContain('ptnew0');
        expect(links).not.toContain('veth');
        for (const kept of ['ptold0', 'ptused0', 'stranger']) expect(links).toContain(kept);
        expect(existsSync(join(dataDir, 'new'))).toBe(false);
        expect(existsSync(join(dataDir, 'used', '10.243.3.77'))).toBe(true);
        await run('ip', 'link', 'delete', 'stranger');
        await make().purge(); // again, and it need not find anything
      } finally {
        await one.close();
      }
    });
}
