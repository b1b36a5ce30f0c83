// What a host may bring along when it joins: each thing is refused with its code and its next step, or dealt with.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Node } from '#api';
import { systemExec } from '#base';
import { insideEnv } from '../../core/cmd/lab/inside.ts';
import { lackingForLab, TestLab } from '../fixtures/lab.ts';
import { expectOk, type Finished, repository, runProgram, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'hosts that are not fit to join', unfit);
const launcher = join(repository, 'pintle');

describe.skipIf(unfit !== '')('a host that joins', () => {
  const lab = new TestLab();
  const host = () => lab.lab.host('h2');
  const home = () => lab.lab.hostHome(host()).folder;
  const onServer = (...words: string[]): Promise<Finished> => lab.run('exec', 'h1', '--', launcher, ...words);
  /** As typed on the host; `before`: words in front of the program. */
  const argvOf = (before: readonly string[], words: readonly string[]): string[] => [
    'nsenter',
    `--net=/run/netns/${host().netns}`,
    ...before,
    launcher,
    ...words,
    '--home',
    home(),
  ];
  const environment = () => ({ ...(process.env as Record<string, string>), ...insideEnv(lab.lab, host()) });
  const typed = (
    before: readonly string[],
    words: readonly string[],
    signalAfter?: readonly [NodeJS.Signals, number],
  ) => runProgram(argvOf(before, words), { env: environment(), ...(signalAfter && { signalAfter }) });
  /** In a mount namespace of its own, with something covered. */
  const where = (shell: string): string[] => ['unshare', '--mount', 'sh', '-c', `${shell} && exec "$@"`, 'sh'];
  let server = '';
  const newToken = async (): Promise<string> => {
    const made = JSON.parse(expectOk(await onServer('token', 'create', '--json'))) as { token: string; server: string };
    server = made.server;
    return made.token;
  };
  const joinWords = (token: string) => ['join', server, '--token', token, '--node-name', 'h2', '--detach'];
  const joinWith = (token: string, before: readonly string[] = [], signalAfter?: readonly [NodeJS.Signals, number]) =>
    typed(before, joinWords(token), signalAfter);
  const leave = async (): Promise<void> => {
    await typed([], ['down', '--purge', '--yes']);
    expectOk(await onServer('node', 'remove', 'h2', '--yes'));
  };
  const refused = (result: Finished, code: string): string => {
    expect(result.code).not.toBe(0);
    expect(result.err).toContain(`[${code}]`);
    expect(result.err).toContain('next: ');
    expect(existsSync(home())).toBe(false); // what was refused leaves nothing behind
    return result.err;
  };
  const nodeH2 = async () =>
    (await lab.json<{ items: Node[] }>('/api/v1/nodes')).items.find((one) => one.metadata?.name === 'h2');

  beforeAll(async () => {
    await lab.ok('up', '--hosts', '2');
    await leave();
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  test('without nft, with a network of the cluster, with another’s name or pin: refused, and the token stays good', async () => {
    const token = await newToken();
    const nft = Bun.which('nft', { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` })!;
    refused(await joinWith(token, where(`mount --bind /dev/null "$(readlink -f ${nft})"`)), 'NODE_UNFIT');
    const within = { netns: `/run/netns/${host().netns}` };
    const { podCidr } = lab.lab.hostHome(lab.lab.first).read();
    const route = podCidr.replace(/\.\d+\.\d+\/\d+$/, '.77.0/24');
    await systemExec.run(['ip', 'route', 'add', 'unreachable', route], within);
    expect(refused(await joinWith(token), 'RANGE_TAKEN')).toContain(route);
    await systemExec.run(['ip', 'route', 'delete', 'unreachable', route], within);
    refused(await typed([], ['join', server, '--token', token, '--node-name', 'h1', '--detach']), 'NODE_NAME_TAKEN');
    refused(await typed([], ['join', server, '--token', `${token.slice(0, -4)}0000`, '--detach']), 'JOIN_PIN_MISMATCH');
    const tokens = JSON.parse(expectOk(await onServer('token', 'list', '--json'))) as { id: string; state: string }[];
    expect(tokens.find(({ id }) => token.startsWith(`pintle.${id}.`))?.state).toBe('good');
  });

  test('killed at any moment, it joins when the command is repeated; its port is another where it is taken', async () => {
    const token = await newToken();
    const port = Bun.spawn(['nsenter', `--net=/run/netns/${host().netns}`, process.execPath, '-e', listener], {
      stdout: 'pipe',
    });
    try {
      await port.stdout.getReader().read();
      for (const afterMs of [150, 400, 700, 1_000]) await joinWith(token, [], ['SIGKILL', afterMs]);
      const last = await joinWith(token);
      // Had it joined already, the next step is said.
      if (last.code !== 0) expect(last.err).toContain('[HOME_IN_USE]');
      if (last.code !== 0) expectOk(await typed([], ['agent', '--detach']));
      await lab.untilReady('h1', 'h2');
      expect(lab.lab.hostHome(host()).read().kubeletPort).not.toBe(10_250);
    } finally {
      port.kill();
      await port.exited;
    }
    expect((await joinWith(token)).err).toContain('[HOME_IN_USE]');
    await leave();
    expect(refused(await joinWith(token), 'JOIN_TOKEN_USED')).toContain('h2');
  });

  test('without a tun device and a kernel that knows WireGuard its node says what to do', async () => {
    const kernel = await systemExec.run(['ip', 'link', 'add', 'pwprobe', 'type', 'wireguard'], {
      netns: `/run/netns/${host().netns}`,
    });
    if (kernel.code === 0) return skipped('e2e', 'no tun device', 'the kernel knows WireGuard, which needs none');
    const joining = Bun.spawn(argvOf(where('mount -t tmpfs none /dev/net'), joinWords(await newToken())), {
      env: environment(),
    });
    try {
      await until('the node says it', async () => {
        const ready = (await nodeH2())?.status?.conditions?.find(({ type }) => type === 'Ready');
        return ready?.status === 'False' && /no \/dev\/net\/tun here; .*modprobe tun/.test(ready.message ?? '');
      });
    } finally {
      joining.kill('SIGINT');
      await joining.exited;
    }
    await leave();
  });
});

const listener = `Bun.listen({ hostname: '0.0.0.0', port: 10250, socket: { data() {} } }); console.log('listens')`;
