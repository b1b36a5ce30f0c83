import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { type DuplexChild, spawnDuplex, systemExec } from '#base';
import { until } from '../fixtures/eventually.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = process.getuid?.() === 0 ? '' : 'needs root';
if (unfit) skipped('net', 'announced addresses', unfit);
const must = async (...argv: string[]): Promise<string> => {
  const result = await systemExec.run(argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
  return result.stdout;
};

/** Exit code 0 when the kernel there refuses a connection: somebody has the address. */
const knock = `const end = (code) => process.exit(code); setTimeout(() => end(1), 1500);
require('node:net').connect(9, process.argv[1]).on('error', ({ code }) => end(code === 'ECONNREFUSED' ? 0 : 1))`;

/** A host's announcer, in its namespace. */
class Host {
  readonly #child: DuplexChild;
  readonly #lines: AsyncIterator<Uint8Array>;
  constructor(
    readonly netns: string,
    nodeIp: string,
  ) {
    const program = join(import.meta.dir, '../fixtures/announce-program.ts');
    this.#child = spawnDuplex([process.execPath, program, 'pa-test', nodeIp], { netns: `/run/netns/${netns}` });
    this.#lines = this.#child.stdout[Symbol.asyncIterator]();
  }
  async hold(ips: readonly string[] | 'purge'): Promise<string> {
    await this.#child.stdin.write(new TextEncoder().encode(`${JSON.stringify(ips)}\n`));
    return new TextDecoder().decode((await this.#lines.next()).value).trim();
  }
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Two hosts and a client on one bridge. */
async function network() {
  const id = crypto.randomUUID().slice(0, 5);
  const names = ['wire', 'one', 'two', 'client'].map((name) => `pt${id}-${name}`);
  const [wire, ...rest] = names as [string, ...string[]];
  for (const name of names) await must('ip', 'netns', 'add', name);
  await must('ip', '-n', wire, 'link', 'add', 'br0', 'type', 'bridge');
  await must('ip', '-n', wire, 'link', 'set', 'br0', 'up');
  for (const [index, name] of rest.entries()) {
    await must('ip', '-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `p${index}`, 'netns', wire);
    await must('ip', '-n', wire, 'link', 'set', `p${index}`, 'master', 'br0', 'up');
    await must('ip', '-n', name, 'address', 'add', `192.0.2.${index + 1}/24`, 'dev', 'eth0');
    await must('ip', '-n', name, 'address', 'add', `fd00:2::${index + 1}/64`, 'dev', 'eth0', 'nodad');
    for (const link of ['lo', 'eth0']) await must('ip', '-n', name, 'link', 'set', link, 'up');
  }
  const [one, two, client] = rest as [string, string, string];
  const hosts = [new Host(one, '192.0.2.1'), new Host(two, '192.0.2.2')] as const;
  return {
    hosts,
    names: { one, two, client },
    /** Whether the client gets an answer from the address. */
    answers: async (ip: string) =>
      (await systemExec.run([process.execPath, '-e', knock, ip], { netns: `/run/netns/${client}` })).code === 0,
    /** Whom the client takes for the owner. */
    ownerOf: async (ip: string) => (await must('ip', '-n', client, 'neigh', 'show', ip)).match(/lladdr (\S+)/)?.[1],
    macOf: async (name: string) =>
      (JSON.parse(await must('ip', '-j', '-n', name, 'link', 'show', 'eth0')) as { address: string }[])[0]!.address,
    async [Symbol.asyncDispose]() {
      for (const host of hosts) host.kill();
      for (const name of names) await systemExec.run(['ip', 'netns', 'delete', name]);
    },
  };
}
const [ip4, ip6] = ['192.0.2.64', 'fd00:2::64'];

describe.skipIf(unfit !== '')('addresses that hosts answer for', () => {
  test('neighbours reach them in both families, and follow when another host takes them over', async () => {
    await using net = await network();
    const { hosts, names } = net;
    expect(await net.answers(ip4)).toBe(false);
    expect(await hosts[0].hold([ip4, ip6])).toBe('held');
    for (const ip of [ip4, ip6]) {
      await until(() => net.answers(ip));
      expect(await net.ownerOf(ip)).toBe(await net.macOf(names.one));
    }
    // The first one fails without a word; the client is not asked to look again.
    hosts[0].kill();
    await must('ip', '-n', names.one, 'link', 'set', 'eth0', 'down');
    expect(await hosts[1].hold([ip4, ip6])).toBe('held');
    const second = await net.macOf(names.two);
    for (const ip of [ip4, ip6]) {
      await until(async () => (await net.ownerOf(ip)) === second);
      expect(await net.answers(ip)).toBe(true);
    }
  });

  test('what is given back is answered no more; what a killed process held is found and removed', async () => {
    await using net = await network();
    const { hosts, names } = net;
    expect(await hosts[0].hold([ip4, ip6])).toBe('held');
    expect(await hosts[0].hold([ip6])).toBe('held');
    await must('ip', '-n', names.client, 'neigh', 'flush', 'all');
    expect(await net.answers(ip4)).toBe(false);
    expect(await net.answers(ip6)).toBe(true);
    hosts[0].kill();
    const again = new Host(names.one, '192.0.2.1');
    expect(await again.hold('purge')).toBe('held');
    again.kill();
    expect(await must('ip', '-br', '-n', names.one, 'link')).not.toContain('pa-test');
    expect(await must('ip', '-6', '-n', names.one, 'neigh', 'show', 'proxy')).toBe('');
  });
});
