import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitMsMax } from '../fixtures/eventually.ts';
import { leftOf, podLinksOf } from '../fixtures/leaks.ts';
import { readUntil } from '../fixtures/read-until.ts';
import { skipped } from '../fixtures/skipped.ts';

const root = join(import.meta.dir, '../..');
const able =
  process.getuid?.() === 0 &&
  ['dockerd', 'nft', 'ip', 'nsenter'].every((name) =>
    Bun.which(name, { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }),
  );
if (!able) skipped('e2e', 'the main job', 'it needs root, dockerd, nft, ip and nsenter');

let home: string;
async function pintle(...args: string[]): Promise<{ code: number; out: string }> {
  const child = Bun.spawn([join(root, 'pintle'), ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    cwd: root,
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out: out + err };
}
async function kubectl(...args: string[]): Promise<{ code: number; out: string }> {
  return pintle('kubectl', '--home', home, ...args);
}
async function expectOk(result: { code: number; out: string }): Promise<string> {
  if (result.code !== 0) throw new Error(`exit code ${result.code}: ${result.out}`);
  return result.out;
}

/** The name of the one pod of a selector, once the others (still terminating after a scale-down) are gone. */
async function onlyPod(selector: string): Promise<string> {
  const end = performance.now() + 60_000;
  for (;;) {
    const names = (await expectOk(await kubectl('get', 'pods', '-l', selector, '-o', 'name'))).trim().split('\n');
    if (names.length === 1 && names[0]) return names[0].replace('pod/', '');
    if (performance.now() > end) throw new Error(`still ${names.length} pods with ${selector}: ${names.join(' ')}`);
  }
}

/** Three ready pods behind a service. */
async function runWeb(): Promise<void> {
  await expectOk(await kubectl('apply', '-f', join(root, 'examples/web.yaml')));
  const count = ['rc', 'web', '--for=jsonpath={.status.readyReplicas}=3', '--timeout=120s'];
  await expectOk(await kubectl('wait', ...count));
}

describe.skipIf(!able)('the main job on real containers', () => {
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'pt-'));
    rmSync(home, { recursive: true });
    await expectOk(await pintle('up', '--yes', '--detach', '--home', home));
  });
  afterAll(async () => {
    if (existsSync(home)) await pintle('down', '--purge', '--yes', '--home', home);
  });

  test('up twice is harmless and status says that all runs', async () => {
    await expectOk(await pintle('up', '--yes', '--detach', '--home', home));
    expect(await expectOk(await pintle('status', '--home', home))).toContain('ready');
  });

  test('the demo passes', async () => {
    expect(await expectOk(await pintle('demo', '--home', home))).toContain('Every step passed.');
  });

  test('stock kubectl: apply, get, scale, logs, exec, describe, delete', async () => {
    await runWeb();
    expect(await expectOk(await kubectl('get', 'rc,po,svc,ep', '-o', 'wide'))).toContain('replicationcontroller/web');
    await expectOk(await kubectl('scale', 'rc', 'web', '--replicas=1'));
    const pod = await onlyPod('app=web');
    expect(await expectOk(await kubectl('exec', pod, '--', 'echo', 'hello'))).toContain('hello');
    expect((await kubectl('exec', pod, '--', 'sh', '-c', 'exit 7')).code).toBe(7);
    await expectOk(await kubectl('logs', pod, '--tail=5'));
    for (const end = performance.now() + waitMsMax; ; ) {
      const said = await expectOk(await kubectl('describe', 'pod', pod));
      if (said.includes('Scheduled')) break; // events are told a moment after what they tell of
      if (performance.now() > end) throw new Error(said);
    }
    await expectOk(await kubectl('delete', '-f', join(root, 'examples/web.yaml')));
  });

  test('stock kubectl streams: logs -f to the end, exec on a terminal, port-forward', async () => {
    const lines =
      'while [ ! -e /tmp/go ]; do sleep 0.1; done; for i in 1 2 3; do echo line $i; sleep 0.3; done; sleep 2';
    const run = ['run', 'counter', '--image=pintle/demo:local', '--restart=Never', '--image-pull-policy=Never'];
    await expectOk(await kubectl(...run, '--command', '--', 'sh', '-c', lines));
    await expectOk(await kubectl('wait', '--for=jsonpath={.status.phase}=Running', 'pod/counter', '--timeout=120s'));
    const followed = kubectl('logs', '-f', 'counter');
    await expectOk(await kubectl('exec', 'counter', '--', 'touch', '/tmp/go')); // it must not be over before it is followed
    expect(await expectOk(await followed)).toBe('line 1\nline 2\nline 3\n');
    await expectOk(await kubectl('delete', 'pod', 'counter', '--grace-period=1'));

    await expectOk(await kubectl('run', 'serve', '--image=pintle/demo:local', '--image-pull-policy=Never'));
    await expectOk(await kubectl('wait', '--for=condition=Ready', 'pod/serve', '--timeout=120s'));
    const typed = `${join(root, 'pintle')} kubectl --home ${home} exec -it serve -- sh -c 'tty; exit 5'`;
    const terminal = Bun.spawn(['script', '-qefc', typed, '/dev/null'], { stdin: 'ignore', stdout: 'pipe' });
    expect(await terminal.stdout.text()).toContain('/dev/pts/');
    expect(await terminal.exited).toBe(5);

    const forward = Bun.spawn([join(root, 'pintle'), 'kubectl', '--home', home, 'port-forward', 'pod/serve', ':8080'], {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'ignore',
    });
    try {
      const said = await readUntil(forward.stdout.getReader(), '\n'); // stays open: kubectl would die of SIGPIPE
      const port = /127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      for (let round = 0; round < 5; round++)
        expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('serve\n');
    } finally {
      forward.kill();
      await forward.exited;
    }
    await expectOk(await kubectl('delete', 'pod', 'serve', '--grace-period=1'));
  });

  test('an unmodified client in a pod finds the API and is who its ServiceAccount says', async () => {
    const program = [join(home, 'bin/kubectl'), Bun.which('kubectl') ?? ''].find((path) => existsSync(path))!;
    const manifest = join(home, 'in-cluster.yaml');
    await Bun.write(
      manifest,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'inside' },
        spec: {
          containers: [
            {
              name: 'c',
              image: 'pintle/demo:local',
              volumeMounts: [{ name: 'kubectl', mountPath: '/opt/kubectl', readOnly: true }],
            },
          ],
          volumes: [{ name: 'kubectl', hostPath: { path: realpathSync(program), type: 'File' } }],
        },
      }),
    );
    await expectOk(await kubectl('apply', '-f', manifest));
    await expectOk(await kubectl('wait', '--for=condition=Ready', 'pod/inside', '--timeout=120s'));
    const inside = (...args: string[]) => kubectl('exec', 'inside', '--', '/opt/kubectl', ...args);
    expect(await expectOk(await inside('auth', 'whoami'))).toContain('system:serviceaccount:default:default');
    expect(await expectOk(await inside('version'))).toContain('Server Version: v1.37');
    const refused = await inside('get', 'pods');
    expect(refused.code).toBe(1);
    expect(refused.out).toContain(
      'pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API group "" in the namespace "default"',
    );
    await expectOk(await kubectl('delete', 'pod', 'inside', '--grace-period=1'));
  });

  test('down --purge ends running pods and leaves nothing on the machine', async () => {
    await runWeb();
    const { clusterId } = JSON.parse(readFileSync(join(home, 'config.json'), 'utf8')) as { clusterId: string };
    const links = await podLinksOf(clusterId);
    expect(links.length).toBe(3);
    await expectOk(await pintle('down', '--purge', '--yes', '--home', home));
    expect(existsSync(home)).toBe(false);
    expect(await leftOf(home, clusterId, links)).toEqual([]);
  });
});
