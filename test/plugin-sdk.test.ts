import { expect, test } from 'bun:test';
import { type Pod, podKind, serviceAccountKind, type TypeFacts } from '#api';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import type { AnyStrategy, ApiServerOptions } from '../core/apiserver/contract.ts';
import { defaultStrategy } from '../core/apiserver/default-strategy.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { type CustomObject, crd, Deadlines, type Plugin, plugin, retry, startPlugin, t } from '../core/sdk/index.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import cron from '../examples/cron-plugin/plugin.ts';
import { until } from './fixtures/eventually.ts';
import { rejection } from './fixtures/rejection.ts';

const common = { clock: systemClock, random: seededRandom(3), log: silentLog };
const noMetrics = { counter: () => ({ inc() {} }), gauge: () => ({ set() {} }) };

const text = { type: 'string' } as const;
/** Kinds without their own schema until plugins/crd serves them. */
const looseType: TypeFacts = {
  fields: {
    apiVersion: text,
    kind: text,
    metadata: { type: 'ref', ref: 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
    spec: { type: 'any' },
    status: { type: 'any' },
  },
};

/** The real API server with the plugin's kinds, and the plugin on it. */
async function run(scope: Scope, subject: Plugin, config = {}, deadlines?: Deadlines) {
  const schema = createSchemaEngine();
  for (const { kind } of subject.resources ?? []) schema.define(kind.type, looseType);
  const api = scope.use(
    await createApiServer({
      schema,
      store: await createMemoryStore(),
      ...common,
      serviceRange: '10.96.0.0/24',
      advertise: { ip: '192.0.2.1', port: 6443 },
      authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
      authorizer: { authorize: () => ({ allowed: true }) },
    } as ApiServerOptions),
  );
  for (const { kind } of subject.resources ?? [])
    await api.kinds.add({ kind, strategy: defaultStrategy(kind as never) as AnyStrategy });
  const client = createClient({ fetch: (request) => api.fetch(request), baseUrl: 'http://localhost' });
  const abort = new AbortController();
  scope.defer(() => abort.abort());
  await client.create(serviceAccountKind, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace: 'default' },
  });
  const informers = createInformers({ client, ...common, signal: abort.signal });
  const running = scope.use(
    await startPlugin(subject, { client, informers, ...common, config, metrics: noMetrics, deadlines }),
  );
  return { client, running };
}

test('the example runs unchanged: makes a pod, says so, makes the next when it is due, keeps the newest', async () => {
  await using scope = new Scope();
  const { client } = await run(scope, cron);
  const kind = cron.resources![0]!.kind;
  await client.create(kind, {
    apiVersion: 'cron.example.com/v1',
    kind: 'CronTask',
    metadata: { name: 'tick', namespace: 'default' },
    spec: { every: '1s', image: 'a:1', keep: 1 },
  } as CustomObject);
  const pods = async () => (await client.list(podKind, { namespace: 'default' })).items as Pod[];
  const first = await until(async () => (await pods())[0]);
  expect(first.metadata).toMatchObject({ ownerReferences: [{ kind: 'CronTask', name: 'tick', controller: true }] });
  expect(first.spec!.containers[0]!.image).toBe('a:1');
  const finish = (pod: Pod) =>
    client.patch(
      podKind,
      { namespace: 'default', name: pod.metadata.name! },
      { type: 'merge', body: { status: { phase: 'Succeeded' } } },
      { subresource: 'status' },
    );
  await finish(first);
  const status = await until(async () => {
    const task = (await client.get(kind, { namespace: 'default', name: 'tick' })) as CustomObject;
    return (task.status as { lastRun?: string } | undefined)?.lastRun && task.status;
  });
  expect(status).toMatchObject({ lastRun: first.metadata.creationTimestamp });
  const second = await until(async () => (await pods()).find(({ metadata }) => metadata.name !== first.metadata.name));
  await finish(second);
  await until(async () => !(await pods()).some(({ metadata }) => metadata.name === first.metadata.name));
});

const Note = crd({
  group: 'test.example.com',
  kind: 'Note',
  version: 'v1',
  spec: t.object({ text: t.string() }),
  status: t.object({ seen: t.int() }),
});
const note = (name: string) =>
  ({
    apiVersion: 'test.example.com/v1',
    kind: 'Note',
    metadata: { name, namespace: 'default' },
    spec: { text: 'x' },
  }) as CustomObject;

test('retry comes back, finalize runs before the object goes', async () => {
  await using scope = new Scope();
  const seen: string[] = [];
  const { client } = await run(
    scope,
    plugin({
      name: 'notes',
      version: '1.0.0',
      sdk: '^1.0',
      resources: [Note],
      setup({ reconcile }) {
        reconcile(
          Note,
          { finalize: async ({ metadata }) => void seen.push(`end ${metadata.name}`) },
          async (_o, { status }) => {
            if (seen.push('run') === 1) throw retry('not yet', '10ms');
            await status({ seen: 2 });
          },
        );
      },
    }),
  );
  await client.create(Note.kind, note('n'));
  await until(async () => ((await client.get(Note.kind, { namespace: 'default', name: 'n' })) as CustomObject).status);
  await client.delete(Note.kind, { namespace: 'default', name: 'n' });
  await until(async () => seen.includes('end n'));
  await until(async () => (await client.list(Note.kind)).items.length === 0);
});

test('what was not declared is refused with its name, and late registration too', async () => {
  await using scope = new Scope();
  const other = plugin({
    name: 'other',
    version: '1.0.0',
    sdk: '^1.0',
    setup: ({ reconcile }) => reconcile(Note, {}, async () => {}),
  });
  expect((await rejection(run(scope, other))).message).toMatch('plugin other: Note is not among its resources');
  let late = () => {};
  const { running } = await run(
    scope,
    plugin({
      name: 'late',
      version: '1.0.0',
      sdk: '^1.0',
      resources: [Note],
      setup({ reconcile }) {
        late = () => reconcile(Note, {}, async () => {});
      },
    }),
  );
  expect(running.contributions.controllers).toEqual([]);
  expect(late).toThrow('was called after setup() had returned');
});

test('a definition from one place', () => {
  const { manifest } = cron.resources![0]!;
  expect(manifest).toMatchObject({
    metadata: { name: 'crontasks.cron.example.com' },
    spec: {
      names: { kind: 'CronTask', plural: 'crontasks', listKind: 'CronTaskList' },
      versions: [
        {
          additionalPrinterColumns: [
            { name: 'Every', type: 'string', jsonPath: '.spec.every' },
            { name: 'Active', type: 'integer' },
          ],
          schema: { openAPIV3Schema: { properties: { spec: { required: ['every', 'image'] } } } },
          subresources: { status: {} },
        },
      ],
    },
  });
});

test.each([
  [{ kind: 'note' }, 'LikeThis'],
  [{ group: 'notes' }, 'a domain of yours'],
  [{ version: '1' }, 'v1beta2'],
  [{ columns: { A: '.spec.nope' } }, 'leads to no field'],
])('crd(%p) says what is wrong', (change, text) => {
  const options = { group: 'a.example.com', kind: 'A', version: 'v1', spec: t.object({}), ...change };
  expect(() => crd(options)).toThrow(text);
});

test('each word of a schema adds to those before it', () => {
  expect(t.int().min(1).max(20).default(2).json).toMatchObject({ minimum: 1, maximum: 20, default: 2 });
  expect(t.string().min(1).max(9).pattern(/^a/).json).toMatchObject({ minLength: 1, maxLength: 9, pattern: '^a' });
  expect(t.duration().min('1s').max('1h').json['x-kubernetes-validations']).toHaveLength(2);
  expect(t.array(t.string()).min(1).max(3).unique().describe('Names.').json).toMatchObject({
    minItems: 1,
    maxItems: 3,
    'x-kubernetes-list-type': 'set',
    description: 'Names.',
  });
});

test('a reconcile that hangs is cut at its deadline: its signal aborts, other objects go on, and it comes again', async () => {
  await using scope = new Scope();
  const seen: string[] = [];
  let hangs = true;
  const Thing = crd({ group: 'late.example.com', kind: 'Thing', version: 'v1', spec: t.object({}) });
  const subject = plugin({
    name: 'late',
    version: '1.0.0',
    sdk: '^1.0',
    resources: [Thing],
    setup({ reconcile }) {
      reconcile(Thing, { workersMax: 1 }, async ({ metadata: { name } }, { signal }) => {
        seen.push(name);
        if (name === 'hangs' && hangs)
          await new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
      });
    },
  });
  const deadlines = new Deadlines(50);
  const { client } = await run(scope, subject, {}, deadlines);
  const { kind } = Thing;
  const make = (name: string) =>
    client.create(kind, {
      apiVersion: 'late.example.com/v1',
      kind: 'Thing',
      metadata: { name, namespace: 'default' },
      spec: {},
    } as CustomObject);
  await make('hangs');
  await make('other');
  await until(async () => seen.includes('other'));
  await until(async () => deadlines.report().total > 1);
  expect(deadlines.report().objects).toEqual(['late-things default/hangs']);
  hangs = false;
  await until(async () => deadlines.report().objects.length === 0);
}, 60_000);
