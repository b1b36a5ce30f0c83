import { afterAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../../core/cmd/processes.ts';
import { leftOf } from '../fixtures/leaks.ts';
import {
  expectOk,
  type Finished,
  freePort,
  lacking,
  pintle,
  repository,
  runProgram,
  TestCluster,
  until,
} from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking();
if (why) skipped('e2e', 'bad input to the command line', why);

const work = mkdtempSync(join(tmpdir(), 'pt-bad-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const firstLine = ({ err }: Finished): string => /pintle: .*\[[A-Z_]+\]/.exec(err)?.[0] ?? err;
/** The end of a command that must refuse: its code in brackets, a next step, nothing on stdout. */
function refused(result: Finished, code: string, exitCode = 1): string {
  expect(firstLine(result)).toContain(`[${code}]`);
  expect(result.err).toContain('\n  next: ');
  expect(result.out).toBe('');
  expect(result.code).toBe(exitCode);
  return result.err;
}
function program(name: string, script: string, folder = join(work, 'programs')): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}
const processRuntime = ['--runtime', 'process'] as const;

describe.skipIf(why !== '')('homes and ports', () => {
  test('a file, a folder of others, and one that cannot be written', async () => {
    writeFileSync(join(work, 'file'), '');
    mkdirSync(join(work, 'full/of'), { recursive: true });
    refused(await pintle(['up', '--home', join(work, 'file')]), 'BAD_HOME', 2);
    refused(await pintle(['up', '--home', join(work, 'full')]), 'HOME_NOT_EMPTY');
    refused(await pintle(['up', '--home', '/proc/here']), 'HOME_NOT_WRITABLE');
    const long = join(work, 'x'.repeat(120));
    refused(
      await pintle(['up', '--detach', '--runtime', 'docker', '--home', long], { env: noEngine() }),
      'HOME_TOO_LONG',
    );
    expect(existsSync(long)).toBe(false);
  });

  test('commands on a home without a cluster', async () => {
    const home = join(work, 'none');
    for (const words of [['status'], ['logs'], ['kubectl']])
      refused(
        await pintle([...words, '--home', home, ...(words[0] === 'kubectl' ? ['get', 'pods'] : [])]),
        'NO_CLUSTER',
      );
    refused(await pintle(['demo', '--home', home]), 'NO_CLUSTER');
    for (const words of [['down'], ['down', '--purge'], ['down', '--purge', '--yes']])
      expect((await pintle([...words, '--home', home])).code).toBe(0);
    expect(existsSync(home)).toBe(false);
  });

  test('a port that another program has', async () => {
    const listener = Bun.listen({ hostname: '0.0.0.0', port: freePort(), socket: { data() {} } });
    const home = join(work, 'port');
    const result = await pintle(['up', '--detach', ...processRuntime, '--home', home, '--port', String(listener.port)]);
    listener.stop(true);
    expect(refused(result, 'PORT_TAKEN')).toContain(String(listener.port));
    expect(existsSync(home)).toBe(false);
  });

  test('too little space', async () => {
    const disk = join(work, 'small');
    mkdirSync(disk);
    expectOk(await runProgram(['mount', '-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', disk]));
    try {
      refused(await pintle(['up', '--detach', '--home', join(disk, 'h')]), 'MACHINE_UNFIT');
      expect(existsSync(join(disk, 'h'))).toBe(false);
    } finally {
      expectOk(await runProgram(['umount', disk]));
    }
  });
});

/** Words to put before a command that shall not see these programs: their files are covered in a mount namespace of its own. */
function without(...names: string[]): string[] {
  const paths = names.flatMap(
    (name) => Bun.which(name, { PATH: `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin` }) ?? [],
  );
  const cover = paths.map((path) => `mount --bind /dev/null "$(readlink -f ${path})"`).join(' && ');
  return ['unshare', '--mount', 'sh', '-c', `${cover || ':'} && exec "$@"`, 'sh'];
}
/** No engine's socket either. */
const noEngine = (): Record<string, string> => ({
  ...(process.env as Record<string, string>),
  DOCKER_HOST: 'unix:///nowhere/docker.sock',
});
const launcher = join(repository, 'pintle');

describe.skipIf(why !== '')('a machine that lacks something', () => {
  const doctor = async (
    ...absent: string[]
  ): Promise<Record<string, { state: string; detail: string; fix?: string }>> => {
    const argv = [...without(...absent), launcher, 'doctor', '--json', '--home', join(work, 'none')];
    const { out } = await runProgram(argv, { env: noEngine() });
    const rows = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; state: string; detail: string; fix?: string });
    return Object.fromEntries(rows.map((row) => [row.name, row]));
  };

  test('doctor names what is absent and what mends it', async () => {
    const found = await doctor('dockerd', 'nft', 'ip', 'kubectl');
    for (const name of ['engine', 'nft', 'ip', 'kubectl']) {
      expect(`${name} ${found[name]?.state}`).toBe(`${name} missing`);
      expect(found[name]?.fix ?? '').not.toBe('');
    }
  });

  test('a PATH without the system folders, as after a plain su, hides nothing', async () => {
    const env = { ...noEngine(), PATH: `${join(work, 'links')}:/usr/bin:/bin` };
    program('bun', `exec ${process.execPath} "$@"`, join(work, 'links'));
    const { out } = await pintle(['doctor', '--json', '--home', join(work, 'none')], { env });
    for (const name of ['nft', 'ip']) expect(out).toContain(`{"name":"${name}","state":"ok"`);
  });

  test('an old kubectl is named with what will not work', async () => {
    program('kubectl', `echo '{"clientVersion":{"gitVersion": "v1.20.2"}}'`);
    const env = { ...noEngine(), PATH: `${join(work, 'programs')}:${process.env['PATH']}` };
    const { out } = await pintle(['doctor', '--home', join(work, 'none')], { env });
    expect(out).toContain('v1.20.2');
    expect(out).toContain('exec, attach, cp and port-forward');
  });

  test('docker asked for where there is none', async () => {
    const argv = [
      ...without('dockerd'),
      launcher,
      'up',
      '--detach',
      '--runtime',
      'docker',
      '--home',
      join(work, 'nodocker'),
    ];
    refused(await runProgram(argv, { env: noEngine() }), 'NO_ENGINE');
    expect(existsSync(join(work, 'nodocker'))).toBe(false);
  });

  test('an engine that was there and is gone: said at once, and nothing is left running', async () => {
    await using cluster = new TestCluster();
    if (!expectOk(await cluster.run('up', '--detach', '--port', String(freePort()))) || !cluster.config.engine?.private)
      return;
    expectOk(await cluster.run('down'));
    const argv = [...without('dockerd'), launcher, 'up', '--detach', '--home', cluster.home.folder];
    refused(await runProgram(argv, { env: noEngine() }), 'PROGRAM_MISSING');
    expect((await leftOf(cluster.home.folder, 'none')).filter((one) => one.includes('main.ts'))).toEqual([]);
  });

  test('the launcher without Bun and without npm, and with an npm that reaches nothing', async () => {
    const copy = join(work, 'clone');
    mkdirSync(copy);
    for (const name of ['pintle', 'package.json', 'bun.lock']) cpSync(join(repository, name), join(copy, name));
    for (const name of ['sh', 'dirname', 'readlink', 'mkdir', 'cmp'])
      program(name, `exec ${Bun.which(name)} "$@"`, join(work, 'bare'));
    const env = { PATH: join(work, 'bare'), HOME: work };
    const bare = await runProgram([join(copy, 'pintle'), 'up'], { env, cwd: copy });
    expect(bare.code).not.toBe(0);
    expect(bare.err).toContain('Bun');
    expect(bare.err).toContain('next: ');
    program('npm', 'exit 1', join(work, 'bare'));
    const offline = await runProgram([join(copy, 'pintle'), 'up'], { env, cwd: copy });
    expect(offline.code).not.toBe(0);
    expect(offline.err).toContain('npm registry');
    expect(offline.err).toContain('next: ');
  });
});

describe.skipIf(why !== '')('one cluster, misused', () => {
  const cluster = new TestCluster();
  let clusterId = '';
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('two ups at the same moment make one cluster', async () => {
    const words = ['up', '--detach', ...processRuntime, '--port', String(freePort())];
    for (const result of await Promise.all([cluster.run(...words), cluster.run(...words)])) expectOk(result);
    clusterId = cluster.config.clusterId;
    expectOk(await cluster.run('status'));
  });

  test('flags that differ from what is recorded', async () => {
    for (const flags of [
      ['--port', '1'],
      ['--runtime', 'docker'],
      ['--pod-cidr', '10.1.0.0/16'],
      ['--service-cidr', '10.2.0.0/16'],
      ['--node-ports', '1000-2000'],
      ['--store', 'etcd://127.0.0.1:1?plaintext=1'],
    ])
      expect(refused(await cluster.run('up', '--detach', ...flags), 'HOME_IN_USE')).toContain(flags[0]!);
  });

  test('another user is told whose it is', async () => {
    const argv = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', join(repository, 'pintle')];
    const result = await runProgram([...argv, 'up', '--detach', '--home', cluster.home.folder]);
    if (/permission denied/i.test(result.err) && !result.err.includes('pintle:')) return; // the checkout is not readable for others
    refused(result, 'HOME_NOT_YOURS');
  });

  test('a purge that nobody confirmed removes nothing', async () => {
    refused(await cluster.run('down', '--purge'), 'NOT_CONFIRMED');
    expectOk(await cluster.run('status'));
  });

  test('a damaged store: refused with the reason, nothing changed, and back when it is mended', async () => {
    const marker = 'pintle-marker-'.repeat(40);
    expectOk(await cluster.kubectl(['create', 'configmap', 'kept', `--from-literal=text=${marker}`]));
    expectOk(await cluster.run('down'));
    const path = cluster.home.path('data', 'store.db');
    const whole = readFileSync(path);
    const flipped = Buffer.from(whole);
    const at = flipped.indexOf('pintle-marker-pintle-marker-');
    expect(at).toBeGreaterThan(0);
    flipped[at + 3]! ^= 1;
    const broken: [string, () => void][] = [
      ['a flipped bit', () => writeFileSync(path, flipped)],
      ['cut in half', () => truncateSync(path, whole.length / 2)],
      ['emptied', () => truncateSync(path, 0)],
      ['no database at all', () => writeFileSync(path, 'hello, world\n'.repeat(2_000))],
    ];
    for (const [name, breakIt] of broken) {
      writeFileSync(path, whole);
      breakIt();
      const before = readFileSync(path);
      const result = await cluster.run('up', '--detach');
      expect(`${name}: ${firstLine(result)}`).toContain('[STORE_DAMAGED]');
      expect(result.code).toBe(1);
      expect(isAlive(cluster.state?.supervisor)).toBe(false); // a start that failed leaves nothing running
      expect(readFileSync(path).equals(before)).toBe(true);
    }
    writeFileSync(path, whole);
    expectOk(await cluster.run('up', '--detach'));
    expect(expectOk(await cluster.kubectl(['get', 'configmap', 'kept', '-o', 'jsonpath={.data.text}']))).toBe(marker);
  });

  test('a home that is moved away takes its processes along, and comes back', async () => {
    const away = `${cluster.home.folder}-away`;
    renameSync(cluster.home.folder, away);
    await until('its processes end', async () =>
      (await leftOf(cluster.home.folder, clusterId)).every((one) => !one.includes('main.ts')),
    );
    renameSync(away, cluster.home.folder);
    expectOk(await cluster.run('up', '--detach'));
  });

  test('a damaged configuration is read from its copy', async () => {
    writeFileSync(cluster.home.configPath, '{"formatVersion":1,');
    expectOk(await cluster.run('status'));
    expectOk(await cluster.run('down'));
    expectOk(await cluster.run('up', '--detach'));
  });

  test('down twice, purge twice, and nothing is left', async () => {
    expectOk(await cluster.run('down'));
    expectOk(await cluster.run('down'));
    expect((await cluster.run('status')).code).toBe(1);
    expectOk(await cluster.run('down', '--purge', '--yes'));
    expectOk(await cluster.run('down', '--purge', '--yes'));
    expect(await leftOf(cluster.home.folder, clusterId)).toEqual([]);
  });
});

describe.skipIf(why !== '')('a first start that is cut short', () => {
  test('Ctrl-C stops what had started; up goes on', async () => {
    await using cluster = new TestCluster();
    const words = ['up', '--detach', ...processRuntime, '--port', String(freePort()), '--home', cluster.home.folder];
    for (const ms of [150, 400, 900]) {
      const result = await pintle(words, { signalAfter: ['SIGINT', ms] });
      if (result.code === 0) continue; // it was faster
      await until('nothing of it runs', async () =>
        (await leftOf(cluster.home.folder, 'none')).every((one) => one.startsWith('folder')),
      );
    }
    expectOk(await pintle(words));
    expectOk(await cluster.run('status'));
  });

  test('kill -9 at many moments; up goes on each time', async () => {
    await using cluster = new TestCluster();
    const words = ['up', '--detach', ...processRuntime, '--port', String(freePort()), '--home', cluster.home.folder];
    for (const ms of [80, 160, 240, 320, 450, 600, 800]) await pintle(words, { signalAfter: ['SIGKILL', ms] });
    expectOk(await pintle(words));
    expectOk(await cluster.run('status'));
    for (const { restarts, name } of cluster.state!.components) expect(`${name} ${restarts}`).toBe(`${name} 0`);
  });
});

describe.skipIf(why !== '')('F7 a disk that fills up under a running cluster', () => {
  test('writes are refused with the reason, reads and deletes go on, and it recovers', async () => {
    const disk = join(work, 'disk');
    mkdirSync(disk);
    expectOk(await runProgram(['mount', '-t', 'tmpfs', '-o', 'size=600m', 'tmpfs', disk]));
    try {
      await using cluster = new TestCluster(join(disk, 'h'));
      await cluster.up(...processRuntime);
      expectOk(await cluster.kubectl(['create', 'configmap', 'early', '--from-literal=a=b']));
      expectOk(await cluster.kubectl(['create', 'configmap', 'kept', '--from-literal=a=b']));
      const fill = await runProgram(['dd', 'if=/dev/zero', `of=${disk}/fill`, 'bs=1M']);
      expect(fill.err).toContain('No space left');
      let refusal: Finished | undefined;
      writeFileSync(join(work, 'big'), 'x'.repeat(300_000));
      await until('a write is refused', async () => {
        const name = `filler-${crypto.randomUUID()}`;
        refusal = await cluster.kubectl(['create', 'configmap', name, `--from-file=${join(work, 'big')}`]);
        return refusal.code !== 0;
      });
      expect(refusal?.err).toContain('is full: nothing was written');
      expect(expectOk(await cluster.kubectl(['get', 'configmap', '-o', 'name']))).toContain('configmap/kept');
      expectOk(await cluster.kubectl(['delete', 'configmap', 'early']));
      expectOk(await cluster.run('status'));
      rmSync(join(disk, 'fill'));
      const took = await until(
        'writes are taken again',
        async () => (await cluster.kubectl(['create', 'configmap', 'late', '--from-literal=a=b'])).code === 0,
      );
      console.log(`disk freed: writes are taken again after ${Math.round(took)} ms`);
      expect(expectOk(await cluster.kubectl(['get', 'configmap', '-o', 'name']))).toContain('configmap/kept');
    } finally {
      expectOk(await runProgram(['umount', disk]));
    }
  });
});
