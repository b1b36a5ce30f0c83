import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type DuplexChild, type Exec, spawnDuplex, systemExec } from '#base';
import { Home } from '../../core/cmd/home.ts';
import { applyDelays } from '../../core/cmd/lab/delay.ts';
import { Lab } from '../../core/cmd/lab/record.ts';
import { blockOf } from '../../net/underlay/block.ts';
import { type Cut, cutCommands } from '../../net/underlay/cuts.ts';
import { lay, takeUp, unplug } from '../../net/underlay/device.ts';
import { netnsPrefix, planUnderlay, type Underlay, type UnderlayHost, underlayKinds } from '../../net/underlay/plan.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = process.getuid?.() === 0 ? '' : 'needs root';
if (unfit) skipped('net', 'underlay of a lab', unfit);

const must = async (...argv: string[]) => {
  const result = await systemExec.run(argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
  return result.stdout;
};
const randomId = () => crypto.randomUUID().slice(0, 8);
const port = 7_000;
const echo = `Bun.listen({ hostname: '::', port: ${port}, socket: { data() {}, open(socket) { socket.end('hello'); } } }); console.log('ready')`;
/** Exit code 0 when somebody answers at the address. */
const knock = `const end = (code) => process.exit(code); setTimeout(() => end(1), 1500);
Bun.connect({ hostname: process.argv[1], port: ${port}, socket: { data: () => end(0), error: () => end(1), close: () => end(1) } }).catch(() => end(1))`;

/** A machine of its own, with a firewall as a Docker engine sets it, and a world beyond; what is laid hangs below it. */
async function newMachine() {
  const id = randomId().slice(0, 5);
  const [machine, world] = [`pt${id}m`, `pt${id}w`];
  for (const name of [machine, world]) await must('ip', 'netns', 'add', name);
  await must('ip', '-n', machine, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up0', 'netns', world);
  for (const [name, ip] of [
    [machine, '192.0.2.1'],
    [world, '192.0.2.2'],
  ] as const) {
    await must('ip', '-n', name, 'address', 'add', `${ip}/24`, 'dev', 'up0');
    for (const link of ['lo', 'up0']) await must('ip', '-n', name, 'link', 'set', 'dev', link, 'up');
  }
  const exec: Exec = {
    run: (argv, options) => systemExec.run(argv, { ...options, netns: options?.netns ?? `/run/netns/${machine}` }),
  };
  for (const words of ['-N DOCKER-USER', '-A DOCKER-USER -j RETURN', '-A FORWARD -j DOCKER-USER', '-P FORWARD DROP'])
    await exec.run(['iptables', ...words.split(' ')]);
  return {
    exec,
    machine,
    world,
    [Symbol.asyncDispose]: async () => {
      for (const name of [machine, world]) await systemExec.run(['ip', 'netns', 'delete', name]);
    },
  };
}

/** Somebody who answers in each of these namespaces. */
async function answering(names: readonly string[]): Promise<AsyncDisposable> {
  const children: DuplexChild[] = names.map((name) =>
    spawnDuplex([process.execPath, '-e', echo], { netns: `/run/netns/${name}` }),
  );
  for (const child of children) await child.stdout.getReader().read();
  return {
    [Symbol.asyncDispose]: async () => {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => child.exited));
    },
  };
}
const reaches = async (netns: string, address: string): Promise<boolean> =>
  (await systemExec.run([process.execPath, '-e', knock, address], { netns: `/run/netns/${netns}` })).code === 0;
/** `h1>h2` for every pair of hosts where the first reaches the second's own address. */
async function mesh(
  plan: Underlay,
  addressOf = (host: UnderlayHost): string | undefined => host.address,
): Promise<string> {
  const pairs = plan.hosts.flatMap((from) => plan.hosts.flatMap((to) => (from === to ? [] : [{ from, to }])));
  const seen = await Promise.all(pairs.map(({ from, to }) => reaches(from.netns, addressOf(to) ?? '')));
  return pairs.flatMap(({ from, to }, at) => (seen[at] ? [`${from.name}>${to.name}`] : [])).join(' ');
}
const everybody = 'h1>h2 h1>h3 h2>h1 h2>h3 h3>h1 h3>h2';

describe.skipIf(unfit !== '')('the underlay of a lab, beside a firewall that drops what is forwarded', () => {
  let base: Awaited<ReturnType<typeof newMachine>>;
  beforeAll(async () => {
    base = await newMachine();
  });
  afterAll(() => base?.[Symbol.asyncDispose]());

  for (const kind of underlayKinds)
    test(`${kind}: who reaches whom, one host plugged anew, cuts, and nothing left`, async () => {
      const { exec } = base;
      const id = randomId();
      const plan = planUnderlay({ id, kind, hosts: 3, block: blockOf('172.30.0.0/19', id), mtuBytes: 1500 });
      const linksBefore = (await exec.run(['ip', '-o', 'link'])).stdout.split('\n').length;
      const rulesBefore = (await exec.run(['iptables', '-S'])).stdout;
      const cut = async (...cuts: Cut[]) =>
        expect(
          await systemExec.run(['nft', '-f', '-'], {
            stdin: cutCommands(plan, cuts),
            netns: `/run/netns/${plan.middle}`,
          }),
        ).toMatchObject({ code: 0, stderr: '' });
      try {
        expect(await lay(exec, plan)).toEqual(plan.places.map(({ netns }) => netns));
        expect(await lay(exec, plan)).toEqual([]); // complete: left alone
        const atFirst = kind === 'nat' ? 'h2>h1 h3>h1' : everybody; // hidden hosts reach out, nobody reaches in
        {
          await using _answers = await answering([...plan.hosts.map(({ netns }) => netns), base.machine, base.world]);
          expect(await mesh(plan)).toBe(atFirst);
          if (kind !== 'nat') expect(await mesh(plan, (host) => host.address6)).toBe(everybody);
          expect(await reaches(base.machine, plan.hosts[0]!.address)).toBe(true);
          for (const host of plan.hosts)
            expect([host.name, await reaches(host.netns, '192.0.2.2')]).toEqual([host.name, true]);
          await cut({ from: 'h2', to: 'h1' });
          expect(await mesh(plan)).toBe(kind === 'nat' ? 'h3>h1' : 'h1>h3 h2>h3 h3>h1 h3>h2'); // answers do not come back either
          await cut({ from: 'outside', to: 'h1' });
          expect(await reaches(base.machine, plan.hosts[0]!.address)).toBe(false);
          await cut();
          expect(await mesh(plan)).toBe(atFirst);
        }
        const [, second, third] = plan.hosts;
        await unplug(exec, plan, second!.netns);
        await systemExec.run(['ip', '-n', third!.netns, 'link', 'set', 'dev', 'lo', 'alias', '']); // a crash before it was complete
        expect((await lay(exec, plan)).sort()).toEqual([second!.netns, third!.netns]);
        {
          await using _answers = await answering(plan.hosts.map(({ netns }) => netns));
          expect(await mesh(plan)).toBe(atFirst);
        }
      } finally {
        await takeUp(exec, id);
      }
      expect(await must('ip', 'netns', 'list')).not.toContain(netnsPrefix(id));
      expect((await exec.run(['ip', '-o', 'link'])).stdout.split('\n').length).toBe(linksBefore);
      expect((await exec.run(['iptables', '-S'])).stdout).toBe(rulesBefore);
      expect((await exec.run(['nft', 'list', 'tables'])).stdout).not.toContain(id);
    });

  test('packets of one host are held back, and pass at once again', async () => {
    const id = randomId();
    const record = {
      formatVersion: 1,
      id,
      kind: 'flat',
      hosts: 3,
      block: '172.30.32.0/19',
      port: 1,
      serverFlags: [],
      cuts: [],
    } as const;
    const labWith = (delayMs: number) =>
      new Lab(new Home('/nowhere'), {
        ...record,
        delays: delayMs > 0 ? [{ host: 'h2', delayMs, jitterMs: 0, lossPercent: 0 }] : [],
      });
    const lab = labWith(0);
    const [one, two, three] = lab.hosts;
    const tookMs = async (from: UnderlayHost, to: UnderlayHost) => {
      const program = `const start = performance.now(); Bun.connect({ hostname: '${to.address}', port: ${port}, socket: { data() {}, open() { console.log(performance.now() - start); process.exit(); } } })`;
      return Number(
        (await systemExec.run([process.execPath, '-e', program], { netns: `/run/netns/${from.netns}` })).stdout,
      );
    };
    try {
      await lay(base.exec, lab.underlay);
      await using _answers = await answering(lab.hosts.map(({ netns }) => netns));
      await tookMs(one!, two!); // who is where is known from here on
      await applyDelays(labWith(300));
      await applyDelays(labWith(300)); // again: the same
      const late = await tookMs(one!, two!);
      expect(late).toBeGreaterThanOrEqual(600); // there and back
      expect(await tookMs(one!, three!)).toBeLessThan(late / 2);
      await applyDelays(labWith(100));
      expect(await tookMs(one!, two!)).toBeGreaterThanOrEqual(200);
      await applyDelays(lab);
      expect(await tookMs(one!, two!)).toBeLessThan(late / 2);
      expect((await must('ip', '-n', lab.underlay.middle, '-o', 'link')).match(/(?<=^\d+: )h2[^@:]*/gm)).toEqual([
        'h2',
      ]);
    } finally {
      await takeUp(base.exec, id);
    }
  });
});
