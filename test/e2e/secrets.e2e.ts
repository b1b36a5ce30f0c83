import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expectOk, pintle, repository, runProgram, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = Bun.which('kubectl') ? '' : 'kubectl is not on PATH';
if (why) skipped('e2e', 'secrets, proxies and streams', why);

const cluster = new TestCluster();
const { home } = cluster;
const marker = 'plain-as-day';
const secretsMade = 600;

describe.skipIf(why !== '')('one host whose pods are processes', () => {
  beforeAll(async () => {
    await cluster.up('--runtime', 'process');
    expectOk(await cluster.run('image', 'demo'));
    expectOk(await cluster.kubectl(['apply', '-f', join(repository, 'examples/web.yaml')]));
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  const pidOf = (name: string): number =>
    cluster.state!.components.find((component) => component.name === name)!.process!.pid;
  const ok = async (...args: string[]): Promise<string> => expectOk(await cluster.kubectl(args));
  const keys = (): string[] => readdirSync(home.path('pki', 'secrets')).sort();
  const status = (): { key: string; sealed: number; secrets: number; done: boolean } | undefined => {
    try {
      return JSON.parse(home.readFile('run/secrets.json') ?? '');
    } catch {
      return undefined;
    }
  };

  test('secrets rotate: killed in the middle, it goes on and ends with one key', async () => {
    const items = Array.from({ length: secretsMade }, (_, index) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `s${index}` },
      stringData: { word: `${marker}-${index}` },
    }));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    expectOk(await cluster.kubectl(['create', '-f', '-'], { stdin: list }));
    const before = keys();
    expect(before).toHaveLength(1);
    expect(statSync(home.path('pki', 'secrets', before[0]!)).mode & 0o777).toBe(0o600);
    const rotation = cluster.run('secrets', 'rotate');
    await until('some are sealed anew', () => {
      const now = status();
      return now !== undefined && `${now.key}.key` !== before[0] && now.sealed > 0;
    });
    process.kill(pidOf('apiserver'), 'SIGKILL');
    expect(expectOk(await rotation)).toContain('every secret is sealed with the key');
    expect(keys()).toHaveLength(1);
    expect(keys()).not.toEqual(before);
    const all = (await ok('get', 'secrets', '-A', '-o', 'name')).trim().split('\n').length; // plugins have theirs
    expect(all).toBeGreaterThanOrEqual(secretsMade);
    expect(status()).toMatchObject({ secrets: all, sealed: all, done: true });
    const last = await ok('get', 'secret', `s${secretsMade - 1}`, '-o', 'jsonpath={.data.word}');
    expect(atob(last)).toBe(`${marker}-${secretsMade - 1}`);
    expect(expectOk(await cluster.run('secrets', 'status'))).toContain(`${all} of ${all}`);
  });

  test('no file of the home holds what a secret says', () => {
    const wanted = [marker, btoa(marker).slice(0, 14)];
    const folders = ['data', 'logs', 'run'];
    const files = folders.flatMap((folder) => readdirSync(home.path(folder)).map((name) => home.path(folder, name)));
    const telling = files.filter((file) => {
      if (!statSync(file).isFile()) return false;
      const bytes = readFileSync(file);
      return wanted.some((text) => bytes.includes(text));
    });
    expect(telling).toEqual([]);
  });

  test('proxies: services by port and name, a pod, a node, kubectl proxy', async () => {
    await ok('wait', '--for=create', 'pod', '-l', 'app=web', '--timeout=120s');
    await ok('wait', '--for=condition=Ready', 'pod', '-l', 'app=web', '--timeout=120s');
    const base = '/api/v1/namespaces/default';
    const web = ['get', '--raw', `${base}/services/web/proxy/`];
    await until('the service has endpoints', async () => (await cluster.kubectl(web)).code === 0);
    for (const service of ['web:8080', 'web:http', 'http:web:http', 'web'])
      expect(await ok('get', '--raw', `${base}/services/${service}/proxy/`)).toStartWith('web-');
    const pod = await ok('get', 'pod', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}');
    expect((await ok('get', '--raw', `${base}/pods/${pod}/proxy/`)).trim()).toBe(pod);
    const node = cluster.config.nodeName;
    expect(await ok('get', '--raw', `/api/v1/nodes/${node}/proxy/stats/summary`)).toContain(`"name":"${pod}"`);
    expect(await ok('get', '--raw', `/api/v1/nodes/${node}/proxy/containerLogs/default/${pod}/web`)).toContain(pod);
    expect((await cluster.kubectl(['get', '--raw', `${base}/services/web:99/proxy/`])).err).toContain(
      'no service port "99" found for service "web"',
    );
    const proxy = Bun.spawn(['kubectl', 'proxy', '--port=0'], {
      env: { ...process.env, KUBECONFIG: home.kubeconfig },
      stdout: 'pipe',
      stderr: 'ignore',
    });
    const { value } = await proxy.stdout.getReader().read();
    const port = /:(\d+)/.exec(new TextDecoder().decode(value))![1];
    const bare = await fetch(`http://127.0.0.1:${port}${base}/services/web/proxy`, { redirect: 'manual' });
    expect(bare.status).toBe(301);
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
      expect((await fetch(`http://127.0.0.1:${port}${base}/services/web/proxy/`, { method })).status).toBe(200);
    proxy.kill();
    await proxy.exited;
  });

  test('kubectl cp there and back; an exec ends when its node process is killed, and the pod does not', async () => {
    const pod = await ok('get', 'pod', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}');
    const bytes = 8 * 1024 * 1024;
    await Bun.write(
      home.path('run', 'there'),
      crypto
        .getRandomValues(new Uint8Array(65_536))
        .toHex()
        .repeat(bytes / 131_072),
    );
    await ok('cp', home.path('run', 'there'), `${pod}:/tmp/there`);
    await ok('cp', `${pod}:/tmp/there`, home.path('run', 'back'));
    expect((await runProgram(['cmp', home.path('run', 'there'), home.path('run', 'back')])).code).toBe(0);
    const exec = cluster.kubectl(['exec', pod, '--', 'sh', '-c', 'touch /tmp/begun; while sleep 0.1; do echo x; done']);
    await until(
      'the command runs',
      async () => (await cluster.kubectl(['exec', pod, '--', 'ls', '/tmp/begun'])).code === 0,
    );
    process.kill(pidOf('node'), 'SIGKILL');
    expect((await exec).code).not.toBe(0);
    await until('the node serves again', async () => (await cluster.kubectl(['exec', pod, '--', 'true'])).code === 0);
    expect(await ok('get', 'pod', pod, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}')).toBe('0');
    await ok('exec', pod, '--', 'rm', '-f', '/tmp/there', '/tmp/begun'); // the machine's own folder
  });

  test('a namespace with running pods ends soon', async () => {
    await ok('create', 'namespace', 'gone');
    await ok('-n', 'gone', 'apply', '-f', join(repository, 'examples/web.yaml'));
    await ok('-n', 'gone', 'wait', '--for=create', 'pod', '-l', 'app=web', '--timeout=120s');
    await ok('-n', 'gone', 'wait', '--for=condition=Ready', 'pod', '-l', 'app=web', '--timeout=120s');
    await ok('delete', 'namespace', 'gone', '--timeout=120s');
    expect((await cluster.kubectl(['get', 'namespace', 'gone'])).err).toContain('NotFound');
  });
});

test('secrets: of no cluster, and an unknown verb', async () => {
  expect((await pintle(['secrets', 'rotate', '--home', '/tmp/pintle-no-such-home'])).err).toContain('[NO_CLUSTER]');
  expect((await pintle(['secrets', 'shuffle', '--home', '/tmp/pintle-no-such-home'])).code).not.toBe(0);
});
