// Deployments on real clusters: no request fails while one is rolled out, and stock kubectl's words for them.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectOk, lacking, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const hasKubectl = Bun.which('kubectl') !== null;
const withoutEngine = lacking();
const runtimes = [
  ['processes and the userspace proxy', 'process', hasKubectl ? '' : 'needs kubectl'],
  ['containers and nftables', 'docker', hasKubectl ? withoutEngine : 'needs kubectl'],
] as const;
for (const [what, , why] of runtimes) if (why) skipped('e2e', `a rollout with ${what}`, why);

/** Answers after a moment with its version; told to end, it answers what it has begun and takes nothing more. */
const program = `
const server = Bun.serve({
  hostname: process.env.POD_IP || '0.0.0.0',
  port: 8080,
  async fetch({ url }) {
    if (!url.endsWith('/healthz')) await Bun.sleep(30);
    return new Response(process.env.VERSION);
  },
});
process.on('SIGTERM', async () => {
  await server.stop();
  process.exit(0);
});`;
const serviceOf = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: name }, ports: [{ port: 8080, targetPort: 8080 }] },
});
const deploymentOf = (name: string, replicas: number, rollingUpdate: object, preStopSeconds: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    strategy: { type: 'RollingUpdate', rollingUpdate },
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: preStopSeconds + 20,
        containers: [
          {
            name: 'web',
            image: 'pintle/demo:local',
            imagePullPolicy: 'IfNotPresent',
            command: ['bun', '--smol', '-e', program],
            env: [{ name: 'VERSION', value: '1' }],
            ports: [{ containerPort: 8080 }],
            readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1, timeoutSeconds: 10 },
            lifecycle: { preStop: { sleep: { seconds: preStopSeconds } } },
          },
        ],
      },
    },
  },
});

interface Load {
  readonly answers: Map<string, number>;
  readonly failures: string[];
  readonly stop: () => Promise<void>;
}
/** Six clients that ask without a pause longer than 20 ms, each request on a connection of its own. */
function loadOn(url: string): Load {
  const answers = new Map<string, number>();
  const failures: string[] = [];
  let isOn = true;
  const client = async () => {
    for (; isOn; await Bun.sleep(20))
      try {
        const answer = await fetch(url, {
          headers: { connection: 'close' },
          keepalive: false,
          signal: AbortSignal.timeout(20_000),
        });
        const text = `${answer.status} ${await answer.text()}`;
        if (answer.status !== 200) failures.push(text);
        answers.set(text, (answers.get(text) ?? 0) + 1);
      } catch (error) {
        failures.push(String(error));
      }
  };
  const clients = Array.from({ length: 6 }, client);
  return {
    answers,
    failures,
    stop: async () => {
      isOn = false;
      await Promise.all(clients);
    },
  };
}

describe.each(runtimes)('with %s', (_what, runtime, why) => {
  if (why) return;
  const cluster = new TestCluster();
  const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
  const apply = async (...objects: object[]) => {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    expectOk(await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(list) }));
  };
  beforeAll(async () => {
    await cluster.up('--runtime', runtime);
    expectOk(await cluster.run('image', 'demo'));
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  /** Brings it up, changes it under load, and gives what the clients saw. */
  async function rolled(
    name: string,
    replicas: number,
    rollingUpdate: object,
    preStopSeconds: number,
    change: string[],
  ) {
    await apply(serviceOf(name), deploymentOf(name, replicas, rollingUpdate, preStopSeconds));
    await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=120s');
    const ip = await kubectl('get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}');
    await until('the first answer', async () =>
      fetch(`http://${ip}:8080/`, { signal: AbortSignal.timeout(10_000) }).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    const load = loadOn(`http://${ip}:8080/`);
    await until('load', () => (load.answers.get('200 1') ?? 0) > 20);
    for (const words of change) await kubectl(...words.split(' '));
    await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=120s');
    // Pods of the old template are still on their way out, and what they serve must be answered too.
    await until('the last old pod gone', async () => {
      const names = await kubectl('get', 'pods', '-l', `app=${name}`, '-o', 'name');
      return names.split('\n').length === replicas;
    });
    const before = load.answers.get('200 1') ?? 0;
    const enough = (load.answers.get('200 2') ?? 0) + 20;
    await until('answers of the new version', () => (load.answers.get('200 2') ?? 0) > enough);
    expect(load.answers.get('200 1') ?? 0).toBe(before);
    await load.stop();
    await kubectl('delete', `deployment/${name}`, `service/${name}`, '--wait=false');
    return load;
  }

  test.each([
    ['surge', { maxSurge: 1, maxUnavailable: 0 }],
    ['missing', { maxSurge: 0, maxUnavailable: 1 }],
    ['default', { maxSurge: '25%', maxUnavailable: '25%' }],
  ])(
    'no request fails while three pods are replaced: %s %p',
    async (name, rollingUpdate) => {
      const change = [`set env deployment/${name} VERSION=2`];
      const load = await rolled(name, 3, rollingUpdate, 2, change);
      console.log(`${runtime}, ${name}: ${JSON.stringify(Object.fromEntries(load.answers))}`);
      expect(load.failures).toEqual([]);
    },
    180_000,
  );

  test('nor where the only pod goes before its successor is ready: it serves while it terminates', async () => {
    const load = await rolled('only', 1, { maxSurge: 0, maxUnavailable: 1 }, 15, ['set env deployment/only VERSION=2']);
    expect(load.failures).toEqual([]);
  });

  test('nor while it is resized and rolled on at once', async () => {
    const load = await rolled('both', 2, { maxSurge: 1, maxUnavailable: 0 }, 2, [
      'set env deployment/both VERSION=2',
      'scale deployment/both --replicas=4',
      'scale deployment/both --replicas=2',
    ]);
    expect(load.failures).toEqual([]);
  });
});

describe.skipIf(!hasKubectl)('stock kubectl', () => {
  const cluster = new TestCluster();
  const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
  const image = () => kubectl('get', 'deployment', 'shop', '-o', 'jsonpath={.spec.template.spec.containers[0].image}');
  beforeAll(async () => {
    await cluster.up('--runtime', 'process');
    expectOk(await cluster.run('image', 'demo'));
    // The same server under two names.
    const folder = cluster.home.path('images', 'shop');
    mkdirSync(folder);
    symlinkSync(cluster.home.path('images', 'pintle_demo_local', 'root'), join(folder, 'root'));
    const demo = await Bun.file(cluster.home.path('images', 'pintle_demo_local', 'image.json')).json();
    writeFileSync(join(folder, 'image.json'), JSON.stringify({ ...demo, names: ['shop:1', 'shop:2'] }));
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('create deployment, rollout status, scale', async () => {
    await kubectl('create', 'deployment', 'shop', '--image=shop:1', '--replicas=2', '--port=8080');
    expect(await kubectl('rollout', 'status', 'deployment/shop', '--timeout=120s')).toContain(
      'successfully rolled out',
    );
    await kubectl('scale', 'deployment/shop', '--replicas=3');
    await kubectl('rollout', 'status', 'deployment/shop', '--timeout=120s');
    expect(await kubectl('get', 'deployment', 'shop')).toMatch(/shop\s+3\/3\s+3\s+3/);
    const bad = await cluster.kubectl(['scale', 'deployment/shop', '--current-replicas=9', '--replicas=1']);
    expect(bad.err).toContain('Expected replicas to be 9, was 3');
  });

  test('set image, history, undo, undo to a revision', async () => {
    await kubectl('annotate', 'deployment/shop', 'kubernetes.io/change-cause=the first');
    await kubectl('set', 'image', 'deployment/shop', 'shop=shop:2');
    await kubectl('annotate', 'deployment/shop', 'kubernetes.io/change-cause=the second', '--overwrite');
    await kubectl('rollout', 'status', 'deployment/shop', '--timeout=120s');
    expect(await kubectl('rollout', 'history', 'deployment/shop')).toMatch(/1\s+the first\n2\s+the second/);
    expect(await kubectl('rollout', 'history', 'deployment/shop', '--revision=1')).toContain('shop:1');
    await kubectl('rollout', 'undo', 'deployment/shop');
    await kubectl('rollout', 'status', 'deployment/shop', '--timeout=120s');
    expect(await image()).toBe('shop:1');
    expect(await kubectl('rollout', 'history', 'deployment/shop')).toMatch(/2\s+the second\n3\s+/);
    await kubectl('rollout', 'undo', 'deployment/shop', '--to-revision=2');
    await kubectl('rollout', 'status', 'deployment/shop', '--timeout=120s');
    expect(await image()).toBe('shop:2');
    const none = await cluster.kubectl(['rollout', 'undo', 'deployment/shop', '--to-revision=77']);
    expect(none.err).toContain('unable to find specified revision 77');
  });

  test('pause, resume, restart', async () => {
    await kubectl('rollout', 'pause', 'deployment/shop');
    await kubectl('set', 'image', 'deployment/shop', 'shop=shop:1');
    const sets = () =>
      kubectl(
        'get',
        'rs',
        '-o',
        'jsonpath={range .items[?(@.spec.replicas>0)]}{.spec.template.spec.containers[0].image}{end}',
      );
    expect((await cluster.kubectl(['rollout', 'restart', 'deployment/shop'])).err).toContain('paused');
    await until('the pause is told', async () =>
      (await kubectl('get', 'deployment', 'shop', '-o', 'jsonpath={.status.conditions[*].reason}')).includes(
        'DeploymentPaused',
      ),
    );
    expect(await sets()).toBe('shop:2');
    await kubectl('rollout', 'resume', 'deployment/shop');
    await kubectl('rollout', 'status', 'deployment/shop', '--timeout=120s');
    expect(await sets()).toBe('shop:1');
    const uids = () => kubectl('get', 'pods', '-l', 'app=shop', '-o', 'jsonpath={.items[*].metadata.uid}');
    const before = (await uids()).split(' ');
    await kubectl('rollout', 'restart', 'deployment/shop');
    await kubectl('rollout', 'status', 'deployment/shop', '--timeout=120s');
    await until('other pods', async () => !(await uids()).split(' ').some((uid) => before.includes(uid)));
  });

  test('autoscale is not there, and it says so', async () => {
    const refused = await cluster.kubectl(['autoscale', 'deployment/shop', '--max=5']);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('the server could not find the requested resource');
  });

  test('expose and delete: what it made goes with it', async () => {
    await kubectl('expose', 'deployment/shop', '--port=8080');
    const ip = await kubectl('get', 'service', 'shop', '-o', 'jsonpath={.spec.clusterIP}');
    await until('an answer', async () =>
      fetch(`http://${ip}:8080/`, { signal: AbortSignal.timeout(10_000) }).then(
        async (answer) => (await answer.text()).startsWith('shop-'),
        () => false,
      ),
    );
    await kubectl('delete', 'deployment', 'shop');
    await until('nothing of it', async () => (await kubectl('get', 'rs,pods', '-l', 'app=shop', '-o', 'name')) === '');
  });
});
