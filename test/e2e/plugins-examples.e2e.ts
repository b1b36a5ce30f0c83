// The two examples as a third party's plugins: installed, used, upgraded with a change of their definition, rolled back, removed.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectOk, repository, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const able = Bun.which('kubectl') !== null && Bun.which('unshare') !== null;
if (!able) skipped('e2e', 'the example plugins', 'needs kubectl and unshare');

const cluster = new TestCluster();
let place: string;
beforeAll(async () => {
  if (!able) return;
  place = mkdtempSync(join(tmpdir(), 'ptx-'));
  await cluster.up('--runtime', 'process');
  expectOk(await cluster.run('image', 'demo'));
});
afterAll(async () => {
  if (!able) return;
  await cluster[Symbol.asyncDispose]();
  rmSync(place, { recursive: true, force: true });
});

const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
const plugin = async (...words: string[]) => expectOk(await cluster.run('plugin', ...words));
const apply = (object: object) => cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(object) });
const read = (path: string, ...what: string[]) => kubectl('get', ...what, '-o', `jsonpath={${path}}`);
const active = (name: string) => read('.status.phase} {.status.activeVersion', 'plugin', name);
/** The example with some of its lines written anew, as its author would. */
function nextVersion(example: string, changes: readonly (readonly [string, string])[]): string {
  const folder = join(place, `${example}-next`);
  cpSync(join(repository, 'examples', example), folder, { recursive: true });
  let text = readFileSync(join(folder, 'plugin.ts'), 'utf8');
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`the example has no ${from}`);
    text = text.replace(from, to);
  }
  writeFileSync(join(folder, 'plugin.ts'), text);
  return folder;
}
const healthy = (name: string, version: string) =>
  until(
    `${name} ${version} has been healthy`,
    async () => (await read('.status.lastGood.version', 'plugin', name)) === version,
  );
/** Whether this host asks installed plugins: what it does not carry it says. */
const carriesHooks = async (name: string) =>
  !(await read('.status.conditions[*].reason', 'plugin', name)).includes('HooksNotCarried');
const fieldsOf = async (crd: string) =>
  Object.keys(
    JSON.parse(await read('.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties', 'crd', crd)) as object,
  );

describe.skipIf(!able)('canary-plugin', () => {
  const crd = 'canaries.canary.example.com';
  const controller = (name: string, replicas: number) => ({
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name },
    spec: {
      replicas,
      selector: { app: 'shop', 'canary.example.com/track': name },
      template: {
        metadata: { labels: { app: 'shop', 'canary.example.com/track': name } },
        spec: {
          containers: [
            {
              name: 'web',
              image: 'pintle/demo:local',
              imagePullPolicy: 'IfNotPresent',
              ports: [{ containerPort: 8080 }],
              readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1, timeoutSeconds: 10 },
              lifecycle: { preStop: { sleep: { seconds: 2 } } },
            },
          ],
        },
      },
    },
  });
  const canary = (percent: number, more: object = {}) => ({
    apiVersion: 'canary.example.com/v1',
    kind: 'Canary',
    metadata: { name: 'shop' },
    spec: { stable: 'stable', canary: 'canary', pods: 4, percent, every: '1s', ...more },
  });
  const shifted = (percent: number) =>
    until(
      `a share of ${percent}`,
      async () => (await read('.status.phase} {.status.percent', 'canary', 'shop')) === `Done ${percent}`,
    );
  const sizes = async () => [
    await read('.spec.replicas', 'rc', 'stable'),
    await read('.spec.replicas', 'rc', 'canary'),
  ];

  test('installed: its kind is there, what it may do is shown and approved', async () => {
    const folder = join(repository, 'examples/canary-plugin');
    expect((await cluster.run('plugin', 'install', folder)).err).toContain('replicationcontrollers: get, patch');
    await plugin('install', folder, '--yes');
    expect(await active('canary')).toBe('Active 1.0.0');
    expect(await kubectl('explain', 'canary.spec')).toContain('percent');
    expect(await kubectl('auth', 'can-i', 'patch', 'rc', '--as=system:serviceaccount:pintle-plugins:canary')).toBe(
      'yes',
    );
    const other = await cluster.kubectl([
      'auth',
      'can-i',
      'create',
      'pods',
      '--as=system:serviceaccount:pintle-plugins:canary',
    ]);
    expect(other.out.trim()).toBe('no');
  });

  test('used: traffic moves step by step, and no request fails', async () => {
    for (const object of [
      controller('stable', 4),
      controller('canary', 0),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'shop' },
        spec: { selector: { app: 'shop' }, ports: [{ port: 8080 }] },
      },
    ])
      expectOk(await apply(object));
    await until('four pods', async () => (await read('.status.readyReplicas', 'rc', 'stable')) === '4');
    const ip = await read('.spec.clusterIP', 'service', 'shop');
    const ask = async () => {
      const answer = await fetch(`http://${ip}:8080/`, {
        headers: { connection: 'close' },
        signal: AbortSignal.timeout(20_000),
      });
      if (!answer.ok) throw new Error(`${answer.status}`);
      return (await answer.text()).split('-')[0]!; // the controller's name is the head of the pod's
    };
    await until('the first answer', () =>
      ask().then(
        () => true,
        () => false,
      ),
    );
    const failures: string[] = [];
    let isOn = true;
    const load = (async () => {
      for (; isOn; await Bun.sleep(20)) await ask().catch((error: unknown) => failures.push(String(error)));
    })();
    expectOk(await apply(canary(50)));
    await shifted(50);
    expect(await sizes()).toEqual(['2', '2']);
    await until(
      'the pods that gave way are gone',
      async () => (await kubectl('get', 'pods', '-l', 'app=shop', '-o', 'name')).split('\n').length === 4,
    );
    const seen = { stable: 0, canary: 0 } as Record<string, number>;
    for (let i = 0; i < 200; i++) seen[await ask()]!++;
    expect(seen['canary']).toBeGreaterThan(50);
    expect(seen['stable']).toBeGreaterThan(50);
    isOn = false;
    await load;
    expect(failures).toEqual([]);
    expect(await kubectl('get', 'canaries')).toMatch(/NAME\s+WANTED\s+NOW\s+PHASE[\s\S]*shop\s+50\s+50\s+Done/);
  });

  test('admission: what the schema refuses, and what only its code can', async () => {
    expect((await apply(canary(50, { canary: 'stable' }))).err).toContain('must be two replication controllers');
    expect((await apply(canary(101))).err).toContain('should be less than or equal to 100');
    if (!(await carriesHooks('canary')))
      return skipped('e2e', 'admission by an installed plugin', 'this host does not call hooks');
    await healthy('canary', '1.0.0');
    expectOk(await apply(canary(0)));
    await shifted(0);
    expect((await apply(canary(90))).err).toContain('spec.percent may rise by 50 at once, and it is 0 now');
    expectOk(await apply(canary(50)));
    await shifted(50);
  });

  test('scheduling: a node that takes no canaries gets none, and the shift waits', async () => {
    if (!(await carriesHooks('canary')))
      return skipped('e2e', 'a scheduling hook of an installed plugin', 'this host does not call hooks');
    const node = await read('.items[0].metadata.name', 'nodes');
    await kubectl('label', 'node', node, 'canary.example.com/keep-out=true');
    expectOk(await apply(canary(75)));
    await until('the reason, by an event', async () =>
      (await read('.items[*].message', 'events', '--field-selector=reason=FailedScheduling')).includes(
        'the node takes no canaries',
      ),
    );
    await until('the shift waits', async () => (await read('.status.phase', 'canary', 'shop')) === 'Waiting');
    expect(await sizes()).toEqual(['2', '3']);
    await kubectl('label', 'node', node, 'canary.example.com/keep-out-');
    await shifted(75);
    expectOk(await apply(canary(50)));
    await shifted(50);
  });

  test('upgraded with a new field, rolled back, upgraded again: the objects stay, the field comes and goes', async () => {
    await healthy('canary', '1.0.0');
    const next = nextVersion('canary-plugin', [
      ['version: "1.0.0"', 'version: "1.1.0"'],
      [
        'every: t.duration().min("1s").default("5s"),',
        'every: t.duration().min("1s").default("5s"), hold: t.boolean().default(false),',
      ],
      [
        '      const read =',
        '      if (spec.hold) return void (await status({ percent: 0, phase: "Held" }));\n      const read =',
      ],
    ]);
    await plugin('install', next, '--yes');
    expect(await active('canary')).toBe('Active 1.1.0');
    await plugin('rollback', 'canary');
    expect(await active('canary')).toBe('Active 1.0.0');
    await shifted(50); // the older version serves the same objects
    await healthy('canary', '1.0.0');
    await plugin('install', next, '--yes');
    await until('the field', async () => (await fieldsOf(crd)).includes('hold'));
    expect(await read('.spec.hold', 'canary', 'shop')).toBe('false'); // stored before the field was there
    expectOk(await apply(canary(50, { hold: true })));
    await until('held', async () => (await read('.status.phase', 'canary', 'shop')) === 'Held');
    expect(await sizes()).toEqual(['2', '2']);
  });

  test('removed: its data stays, what it made goes on; then with its data', async () => {
    await plugin('uninstall', 'canary');
    expect((await cluster.kubectl(['get', 'plugin', 'canary'])).err).toContain('NotFound');
    expect(await read('.spec.percent', 'canary', 'shop')).toBe('50');
    expect(await sizes()).toEqual(['2', '2']);
    await plugin('install', join(repository, 'examples/canary-plugin'), '--yes');
    await plugin('uninstall', 'canary', '--purge', '--yes');
    expect((await cluster.kubectl(['get', 'crd', crd])).err).toContain('NotFound');
    for (const kind of ['clusterrole', 'clusterrolebinding'])
      expect(await kubectl('get', kind, '-o', 'name')).not.toContain('pintle:plugin:canary');
    expect(await kubectl('get', 'serviceaccounts', '-n', 'pintle-plugins', '-o', 'name')).not.toContain('/canary');
    expect(existsSync(cluster.home.path('plugins', 'canary'))).toBe(false);
    await kubectl('delete', 'rc/stable', 'rc/canary', 'service/shop', '--wait=false');
  });
});

describe.skipIf(!able)('cron-plugin', () => {
  const crd = 'crontasks.cron.example.com';
  const task = (more: object = {}) => ({
    apiVersion: 'cron.example.com/v1',
    kind: 'CronTask',
    metadata: { name: 'tick' },
    spec: { every: '1s', image: 'pintle/demo:local', keep: 1, ...more },
  });
  const podsOfTask = async () =>
    (await kubectl('get', 'pods', '-o', 'name')).split('\n').filter((name) => name.startsWith('pod/tick-'));

  test('installed with a configuration, and used', async () => {
    await plugin('install', join(repository, 'examples/cron-plugin'), '--yes', '--config', '{"maxActive":2}');
    expect(await active('cron')).toBe('Active 1.2.0');
    expectOk(await apply(task()));
    await until('as many pods as its configuration allows', async () => (await podsOfTask()).length === 2);
    await until('its status', async () => (await read('.status.active', 'crontask', 'tick')) === '2');
    expect(await kubectl('get', 'crontasks')).toMatch(/NAME\s+EVERY\s+ACTIVE\s+[\s\S]*tick\s+1s\s+2/);
    if (!(await carriesHooks('cron'))) return;
    // Hooks are attached when it has been healthy for a while.
    const untagged = JSON.stringify(task({ image: 'untagged' }));
    await until('a refusal in its words', async () =>
      (await cluster.kubectl(['apply', '--dry-run=server', '-f', '-'], { stdin: untagged })).err.includes(
        'spec.image needs a tag',
      ),
    );
  });

  test('upgraded with a new field, rolled back, upgraded again', async () => {
    await healthy('cron', '1.2.0');
    const next = nextVersion('cron-plugin', [
      ['version: "1.2.0"', 'version: "1.3.0"'],
      [
        'keep: t.int().min(1).default(3) }),',
        'keep: t.int().min(1).default(3), suspend: t.boolean().default(false) }),',
      ],
      [
        '      await status({ active, lastRun: last });',
        '      await status({ active, lastRun: last });\n      if (spec.suspend) return;',
      ],
    ]);
    await plugin('install', next, '--yes');
    expect(await active('cron')).toBe('Active 1.3.0');
    await plugin('rollback', 'cron');
    expect(await active('cron')).toBe('Active 1.2.0');
    await healthy('cron', '1.2.0');
    await plugin('install', next, '--yes');
    expect(await active('cron')).toBe('Active 1.3.0');
    await until('the field', async () => (await fieldsOf(crd)).includes('suspend'));
    expectOk(await apply(task({ suspend: true })));
    await kubectl('delete', 'pods', ...(await podsOfTask()).map((name) => name.slice(4)), '--wait=false');
    await until('no pod, and none to come', async () => (await podsOfTask()).length === 0);
    await until('it says so', async () => (await read('.status.active', 'crontask', 'tick')) === '0');
    expect(await podsOfTask()).toEqual([]);
    expect(JSON.parse(await read('.spec.config', 'plugin', 'cron'))).toEqual({ maxActive: 2 }); // kept over versions
  });

  test('removed: its data stays', async () => {
    await plugin('uninstall', 'cron');
    expect(await read('.spec.suspend', 'crontask', 'tick')).toBe('true');
    expect(existsSync(cluster.home.path('plugins', 'cron'))).toBe(false);
  });
});
