// What a packet meets on its way to a service, in both address families: client (outside) -- host with the rules -- pods.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { type Log, silentLog, systemExec } from '#base';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { Backend, Route } from '../../net/service-proxy.ts';
import { eventually, until } from '../fixtures/eventually.ts';
import {
  askingPod,
  backendPort,
  createServiceNamespaces,
  hostAddresses,
  podAddress,
  podGateways,
  podRanges,
  type ServiceNamespaces,
  strangers,
} from '../fixtures/service-namespaces.ts';
import { skipped } from '../fixtures/skipped.ts';

const able = process.getuid?.() === 0 && Bun.which('nft') && Bun.which('ip') && Bun.which('nsenter');
if (!able) skipped('net', 'paths of packets to services', 'they need root, nft, ip and nsenter');
const hasConntrack = Boolean(Bun.which('conntrack'));
if (able && !hasConntrack) skipped('net', 'what becomes of tracked flows', 'conntrack is not installed');

const id = `pp${process.pid % 10_000}`;
const tableName = `pintle_${id}`;
const serviceRanges = ['10.96.0.0/16', 'fd00:96::/112'];
const complaints: string[] = [];
const log: Log = { ...silentLog, warn: (text) => void complaints.push(text) };
let world: ServiceNamespaces;
const make = () => createNftablesProxy({ tableName, exec: systemExec, netns: world.netns, serviceRanges, log });
let proxy: ReturnType<typeof make>;
const apply = (...routes: Route[]) => proxy.apply({ routes, podRanges });

const virtual = { 4: '10.96.0.10', 6: 'fd00:96::10' } as const;
const balancer = { 4: '203.0.113.1', 6: 'fd00:e::1' } as const;
const families = [4, 6] as const;
type Family = (typeof families)[number];
const backend = (family: Family, last: number, local = true): Backend => ({
  ip: podAddress(family, last),
  port: backendPort,
  local,
});
const backends = (family: Family, ...lasts: number[]) => lasts.map((last) => backend(family, last));
const web = (family: Family, more: Partial<Route> = {}): Route => ({
  id: `default/web:#${family}`,
  protocol: 'tcp',
  virtual: { ip: virtual[family], port: 80 },
  nodePort: 30_080,
  backends: backends(family, 2, 3, 4),
  ...more,
});
const lastsOf = (answers: readonly string[]) => [...new Set(answers.map((one) => one.split(' ')[0]!))].sort();
const seenBy = (answers: readonly string[]) => [...new Set(answers.map((one) => one.split(' ')[1]!))];
/** A dropped packet has no answer, however long one waits. */
const silentMs = 400;

/** For how long the pod that asks is remembered; undefined: it is not. */
async function leftSeconds(family: Family): Promise<number | undefined> {
  for (const seat of [0, 1, 2, 3, 4, 5]) {
    const text = await world.run('nft', '-j', 'list', 'set', family === 4 ? 'ip' : 'ip6', tableName, `sticky${seat}`);
    const found = new RegExp(
      `"${askingPod[family]}", "${virtual[family]}"[^}]*\\}, "timeout": \\d+, "expires": (\\d+)`,
    ).exec(text);
    if (found) return Number(found[1]);
  }
  return undefined;
}

describe.if(Boolean(able))('packets to services', () => {
  beforeAll(async () => {
    world = await createServiceNamespaces(id);
    proxy = make();
  });
  afterAll(async () => {
    await proxy?.purge();
    await proxy?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });
  afterEach(() => {
    expect(complaints.splice(0)).toEqual([]); // a change that the kernel refuses is slow, and hidden by writing everything
  });

  describe.each(families.map((family) => [family]))('IPv%i', (family) => {
    const port = 80;
    const external = [{ ip: balancer[family] }];

    test('a pod is seen as itself, a stranger as the host, and one that reaches itself too', async () => {
      await apply(...families.map((one) => web(one, { external: [{ ip: balancer[one] }] })));
      const pod = askingPod[family];
      const fromPod = await world.ask('pod', { ip: virtual[family], port, from: pod, count: 20 });
      expect([lastsOf(fromPod), seenBy(fromPod)]).toEqual([['2', '3', '4'], [pod]]);
      for (const [ip, at] of [
        [virtual[family], port],
        [balancer[family], port],
        [hostAddresses[family], 30_080],
      ] as const) {
        const fromOutside = await world.ask('client', { ip, port: at, from: strangers[family], count: 12 });
        expect([ip, lastsOf(fromOutside).length > 1, seenBy(fromOutside)]).toEqual([ip, true, [podGateways[family]]]);
        expect([ip, lastsOf(await world.ask('host', { ip, port: at, count: 12 })).length > 1]).toEqual([ip, true]);
      }
      await apply(web(family, { backends: backends(family, 2) }));
      const itself = await world.ask('pods', { ip: virtual[family], port, from: podAddress(family, 2) });
      expect(itself).toEqual([`2 ${podGateways[family]}`]);
    });

    test('a policy for this host alone keeps clients as they are, from pods and the host any backend is reached', async () => {
      await apply(web(family, { external, externalLocal: backends(family, 2) }));
      for (const [ip, at] of [
        [balancer[family], port],
        [hostAddresses[family], 30_080],
      ] as const) {
        const outside = await world.ask('client', { ip, port: at, from: strangers[family], count: 8 });
        expect([...new Set(outside)]).toEqual([`2 ${strangers[family]}`]);
        const near = await world.ask('pod', { ip, port: at, from: askingPod[family], count: 20 });
        expect([lastsOf(near), seenBy(near)]).toEqual([['2', '3', '4'], [askingPod[family]]]);
        expect(lastsOf(await world.ask('host', { ip, port: at, count: 20 }))).toEqual(['2', '3', '4']);
      }
      await apply(web(family, { external, externalLocal: [], hasOthers: true }));
      for (const [ip, at] of [
        [balancer[family], port],
        [hostAddresses[family], 30_080],
      ] as const) {
        expect(await world.ask('client', { ip, port: at, silentMs })).toEqual(['silent']);
        expect(lastsOf(await world.ask('pod', { ip, port: at, from: askingPod[family] }))).not.toEqual(['silent']);
      }
    });

    test('without a backend everybody is refused, on every address; where others have one they are dropped', async () => {
      const none = web(family, { external, backends: [] });
      await apply(none);
      for (const from of ['client', 'host', 'pod'] as const) {
        expect([from, await world.ask(from, { ip: virtual[family], port })]).toEqual([from, ['refused']]);
        expect([from, await world.ask(from, { ip: balancer[family], port })]).toEqual([from, ['refused']]);
        expect([from, await world.ask(from, { ip: hostAddresses[family], port: 30_080 })]).toEqual([from, ['refused']]);
      }
      await apply({ ...none, id: 'default/dns:', protocol: 'udp' });
      expect(await world.ask('pod', { ip: virtual[family], port, protocol: 'udp', silentMs: 2_000 })).not.toEqual([
        expect.stringMatching(/^\d/),
      ]);
      await apply({ ...none, hasOthers: true });
      expect(await world.ask('pod', { ip: virtual[family], port, silentMs })).toEqual(['silent']);
    });

    test('only those in the source ranges come to a load balancer address; they may come by others', async () => {
      const range = family === 4 ? `${strangers[4]}/32` : `${strangers[6]}/128`;
      await apply(web(family, { external: [{ ip: balancer[family], sources: [range] }] }));
      const other = strangers[family].replace('7', '8');
      const ask = (ip: string, at: number, from: string) =>
        world.ask('client', { ip, port: at, from, silentMs: 20_000 });
      expect(lastsOf(await ask(balancer[family], port, strangers[family]))[0]).toMatch(/^\d$/);
      expect(await world.ask('client', { ip: balancer[family], port, from: other, silentMs })).toEqual(['silent']);
      expect(lastsOf(await ask(hostAddresses[family], 30_080, other))[0]).toMatch(/^\d$/);
    });

    test('clients that stay: over a restart of the proxy, while their backend is there, until their time is over', async () => {
      const stay = (ttlMs: number, ...lasts: number[]) =>
        web(family, { affinityTtlMs: ttlMs, backends: backends(family, ...lasts) });
      const ask = async (count = 8) =>
        lastsOf(await world.ask('pod', { ip: virtual[family], port, from: askingPod[family], count }));
      await apply(stay(600_000, 2, 3, 4));
      const first = await ask();
      expect(first).toHaveLength(1);
      await proxy[Symbol.asyncDispose]();
      proxy = make();
      const mine = Number(first[0]);
      const others = [2, 3, 4].filter((last) => last !== mine);
      await apply(stay(600_000, mine, others[0]!)); // the other one's seat is given away
      expect(await ask()).toEqual(first);
      await apply(stay(600_000, 2, 3, 4));
      expect(await ask()).toEqual(first);
      await apply(stay(600_000, ...others));
      const second = await ask();
      expect(second).toHaveLength(1);
      expect(others.map(String)).toContain(second[0]!);
      await apply(stay(5_000, 2, 3, 4));
      await ask(1);
      expect(await leftSeconds(family)).toBeLessThanOrEqual(5);
      await until(async () => (await leftSeconds(family)) === undefined);
    });

    test('a use begins the time anew', async () => {
      await apply(web(family, { affinityTtlMs: 500_000 }));
      const ask = () => world.ask('pod', { ip: virtual[family], port, from: askingPod[family] });
      await ask();
      const before = await eventually(
        () => leftSeconds(family),
        (seconds) => (seconds ?? 500) < 497,
      );
      await ask();
      expect((await leftSeconds(family))!).toBeGreaterThan(before!);
    });

    test.if(hasConntrack)(
      'UDP clients leave a backend that is gone, and stay with one that only gets nobody new',
      async () => {
        const dns = (more: Partial<Route>) =>
          web(family, { id: `default/dns:#${family}`, protocol: 'udp', nodePort: 30_053, external, ...more });
        const ask = async (ip: string, at: number) =>
          lastsOf(
            await world.ask('client', { ip, port: at, protocol: 'udp', from: strangers[family], fromPort: 4_242 }),
          );
        const ways = [
          [virtual[family], port],
          [balancer[family], port],
          [hostAddresses[family], 30_053],
        ] as const;
        await apply(dns({ backends: [] }));
        await world.ask('client', {
          ip: virtual[family],
          port,
          protocol: 'udp',
          from: strangers[family],
          fromPort: 4_242,
          silentMs,
        });
        await apply(dns({ backends: backends(family, 2) })); // the first endpoint of a service that had none
        for (const [ip, at] of ways) expect([ip, await ask(ip, at)]).toEqual([ip, ['2']]);
        await apply(dns({ backends: backends(family, 3), retained: backends(family, 2) }));
        for (const [ip, at] of ways) expect([ip, await ask(ip, at)]).toEqual([ip, ['2']]);
        await apply(dns({ backends: backends(family, 3) }));
        for (const [ip, at] of ways) expect([ip, await ask(ip, at)]).toEqual([ip, ['3']]);
      },
    );

    test.if(hasConntrack)(
      'a TCP connection goes on while its backend is listed, and is reset when that one is gone',
      async () => {
        await apply(web(family, { backends: backends(family, 2) }));
        await using line = await world.connect('client', virtual[family], port);
        expect(await line.say('one')).toBe('one');
        await apply(web(family, { backends: backends(family, 3), retained: backends(family, 2) }));
        expect(await line.say('two')).toBe('two');
        await apply(web(family, { backends: backends(family, 3) }));
        let said = '';
        await until(async () => (said = await line.say('three')) === 'closed');
        expect(said).toBe('closed');
      },
    );
  });

  test('rules for SCTP stand beside the others', async () => {
    expect(await apply(web(4, { protocol: 'sctp' }), web(6, { protocol: 'sctp', affinityTtlMs: 1_000 }))).toEqual({
      refused: [],
    });
    expect(await world.run('nft', 'list', 'map', 'ip', tableName, 'services')).toContain('10.96.0.10 . sctp . 80');
  });

  test('a connection outlives the proxy that is killed, and the next one removes what went meanwhile', async () => {
    const child = async (...routes: Route[]) => {
      const made = Bun.spawn([process.execPath, join(import.meta.dir, '../fixtures/proxy-process.ts')], {
        stdin: 'pipe',
        stdout: 'pipe',
        stderr: 'inherit',
      });
      made.stdin.write(
        `${JSON.stringify({ netns: world.netns, tableName, serviceRanges, table: { routes, podRanges } })}\n`,
      );
      await made.stdin.flush();
      await made.stdout.getReader().read();
      return made;
    };
    await proxy.purge();
    const old = web(4, { id: 'default/old:', virtual: { ip: '10.96.0.11', port: 80 }, nodePort: undefined });
    const first = await child(web(4), web(6), old);
    await using line4 = await world.connect('pod', virtual[4], 80);
    await using line6 = await world.connect('client', virtual[6], 80);
    first.kill('SIGKILL');
    await first.exited;
    expect([await line4.say('alone'), await line6.say('alone')]).toEqual(['alone', 'alone']);
    expect(lastsOf(await world.ask('pod', { ip: '10.96.0.11', port: 80 }))[0]).toMatch(/^\d$/);
    const second = await child(web(4), web(6));
    expect([await line4.say('again'), await line6.say('again')]).toEqual(['again', 'again']);
    expect(await world.ask('pod', { ip: '10.96.0.11', port: 80 })).toEqual(['refused']);
    second.kill('SIGKILL');
    await second.exited;
  });

  test('purge leaves no table of either family', async () => {
    await proxy.purge();
    expect(await world.run('nft', 'list', 'tables')).toBe('');
  });
});
