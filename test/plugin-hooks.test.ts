// Hooks of plugins in processes of their own, called by the real API server over socket and socket pair.
import { afterAll, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import {
  clusterRoleBindingKind,
  clusterRoleKind,
  configMapKind,
  eventKind,
  type Kind,
  type KubeObject,
  type Node,
  nodeKind,
  podKind,
  serviceAccountKind,
} from '#api';
import { Scope, spawnDuplex, systemClock, systemFiles } from '#base';
import { createInformers } from '../core/client/cache-informer.ts';
import { runPluginCommand } from '../core/host/command.ts';
import { advisersOf } from '../core/host/hooks/advisers.ts';
import { pluginKind } from '../core/host/kind.ts';
import { approved, bundleFolder } from '../core/host/verify.ts';
import { startScheduler } from '../core/scheduler/scheduler.ts';
import { createEventRecorder } from '../core/sdk/recorder.ts';
import {
  built,
  type Cluster,
  cluster,
  install,
  phase,
  removePlace,
  sandboxed,
  seams,
  statusOf,
  store,
  until,
} from './fixtures/hook-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

afterAll(removePlace);

type Task = KubeObject & { spec: { image?: string; size?: number; notes?: string[] } };
const taskKind = (version = 'v1'): Kind<Task> => ({
  group: 'hooks.example.com',
  version,
  kind: 'Task',
  plural: 'tasks',
  singular: 'task',
  namespaced: true,
  type: `hooks.example.com/${version}.Task`,
});
const task = (name: string, spec: Task['spec'], version = 'v1'): Task => ({
  apiVersion: `hooks.example.com/${version}`,
  kind: 'Task',
  metadata: { name, namespace: 'default' },
  spec,
});
/** In the source of a plugin: the resource. */
const crdText = (
  more = '',
) => `import { crd, t } from "pintle/sdk"; const Task = crd({ group: "hooks.example.com", kind: "Task", version: "v1",
  spec: t.object({ image: t.string().optional(), size: t.int().optional(), notes: t.array(t.string()).optional() }), ${more} });`;
const hookPlugin = (
  setup: string,
  options: { name?: string; version?: string; level?: string; crd?: string; needs?: string } = {},
) =>
  built(
    options.name ?? 'guard',
    setup,
    `resources: [Task], ${options.needs ? `needs: ${options.needs},` : ''}`,
    options.version,
    options.level ?? 'process',
    crdText(options.crd),
  );
const attached = (to: Cluster, name = 'guard') =>
  until('hooks are attached', async () => {
    const hooks = (await statusOf(to, name))?.hooks ?? [];
    return hooks.length > 0 && to.board.isAttached(name) && hooks;
  });
const create = (to: Cluster, object: Task) => to.client.create(taskKind(), object);
const messageOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: { code: number; reason: string; message: string }) => `${error.code} ${error.reason}: ${error.message}`,
  );

const judge = `validate(Task, ({ object, operation, old, user }) => {
  if (object.spec.image === "who") return operation + " by " + user.name + " " + (old ? old.spec.size : "-");
  return object.spec.image?.includes(":") || "spec.image needs a tag";
}, { on: ["CREATE", "UPDATE", "DELETE"] });
mutate(Task, ({ object }) => { object.spec.size ??= 7; object.metadata.labels = { ...object.metadata.labels, seen: "yes" }; object.metadata.name = "other"; object.spec.unknown = 1; });`;

test.each(sandboxed ? ['process', 'sandbox'] : ['process'])(
  'validate and mutate of its own kind: every write path, the words of a refusal, figures in the status (%s)',
  async (level) => {
    await using scope = new Scope();
    const to = await cluster(scope);
    await install(to, await hookPlugin(judge, { level }));
    const hooks = await attached(to);
    expect(hooks.map(({ name, failurePolicy, priority }) => `${name} ${failurePolicy} ${priority}`)).toEqual([
      'mutate tasks.hooks.example.com Fail 0',
      'validate tasks.hooks.example.com Fail 0',
      'delete tasks.hooks.example.com Fail 0',
    ]);
    const made = await create(to, task('a', { image: 'x:1' }));
    expect(made.spec).toEqual({ image: 'x:1', size: 7 });
    expect(made.metadata).toMatchObject({ name: 'a', labels: { seen: 'yes' } });
    const denial = '403 Forbidden: admission plugin "guard" denied the request: ';
    expect(await messageOf(create(to, task('b', { image: 'x' })))).toBe(`${denial}spec.image needs a tag`);
    expect(await messageOf(create(to, task('b', { image: 'who' })))).toBe(`${denial}CREATE by admin -`);
    const key = { namespace: 'default', name: 'a' };
    const patch = (image: string) => to.client.patch(taskKind(), key, { type: 'merge', body: { spec: { image } } });
    expect(await messageOf(patch('who'))).toBe(`${denial}UPDATE by admin 7`);
    expect(await messageOf(to.client.update(taskKind(), { ...made, spec: { image: 'none' } }))).toContain(denial);
    expect(await messageOf(to.client.delete(taskKind(), key))).toBe('done');
    const p99 = await until('figures', async () => {
      await to.host.refreshHooks();
      return (await statusOf(to, 'guard'))?.hooks?.[1]?.p99;
    });
    expect(p99).toMatch(/^[\d.]+ms$/);
  },
);

test('no answer: closed for its own kinds, at once while it is down; detached in quarantine, and its data is served', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  await install(
    to,
    await hookPlugin(
      `validate(Task, ({ object }) => { if (object.spec.image === "hang") return new Promise(() => {}); if (object.spec.image === "throw") throw new Error("not today"); if (object.spec.image === "crash") process.exit(3); return true; });`,
    ),
  );
  await attached(to);
  await create(to, task('a', {}));
  const failure = '500 InternalError: Internal error occurred: failed calling plugin "guard": ';
  expect(await messageOf(create(to, task('b', { image: 'throw' })))).toBe(`${failure}not today`);
  const began = performance.now();
  expect(await messageOf(create(to, task('b', { image: 'hang' })))).toBe(`${failure}no answer within 1000 ms`);
  expect(performance.now() - began).toBeGreaterThan(900);
  expect(to.board.counts('guard')).toEqual({ calls: 3, timeouts: 1 });
  for (let crash = 0; crash < 5; crash++) {
    await until('it answers', () => create(to, task(`c${crash}`, {})));
    expect(await messageOf(create(to, task('b', { image: 'crash' })))).toStartWith(failure);
  }
  await phase(to, 'guard', 'Quarantined');
  expect((await statusOf(to, 'guard'))?.hooks).toEqual([]);
  expect(await messageOf(create(to, task('b', { image: 'throw' })))).toBe('done');
  expect((await to.client.list(taskKind())).items.length).toBe(7);
});

test('a hook that returns 20 or 100 MB is cut, its process ended, and nobody else notices', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  await install(
    to,
    await hookPlugin(
      `validate(Task, ({ object }) => {
  if (object.spec.image === "large") return "x".repeat(20_000_000);
  if (object.spec.image === "raw") { const frame = Buffer.alloc(65536, 120); frame.writeUInt32BE(99999996); for (let at = 0; at < 100_000_000;) try { at += require("fs").writeSync(3, frame); } catch {} }
  return true;
});
mutate(Task, ({ object }) => { if (object.spec.image === "proto") Object.defineProperty(object.spec, "__proto__", { value: { polluted: 1 }, enumerable: true }); if (object.spec.image === "labels") object.metadata.labels = { a: { b: 1 } }; });`,
    ),
  );
  await attached(to);
  const before = process.memoryUsage().rss;
  expect(await messageOf(create(to, task('a', { image: 'large' })))).toMatch(
    /"guard": a message of \d{8} bytes; 4194304 is/,
  );
  expect((await statusOf(to, 'guard'))?.restarts).toBe(0);
  expect(await messageOf(create(to, task('a', { image: 'raw' })))).toContain(
    '"guard": it sent a message of 99999996 bytes',
  );
  expect(process.memoryUsage().rss - before).toBeLessThan(90 * 1024 * 1024);
  await until('it is back', () => create(to, task('b', {})));
  expect((await statusOf(to, 'guard'))?.restarts).toBe(1);
  expect(await messageOf(create(to, task('c', { image: 'labels' })))).toContain('that are no texts');
  expect(await messageOf(create(to, task('c', { image: 'proto' })))).toContain('it has a key __proto__');
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});

test('convert: other versions on read, write and list; without the plugin the stored one is served and the other is 503', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const more = `otherVersions: { v1alpha1: { spec: t.object({ picture: t.string().optional() }) } },
    convert: (object, to) => to === "v1" ? { ...object, spec: { image: object.spec.picture } } : { ...object, spec: { picture: object.spec.image } },`;
  await install(to, await hookPlugin('', { crd: more }));
  await attached(to);
  const old = taskKind('v1alpha1') as Kind<KubeObject & { spec: { picture?: string } }>;
  await create(to, task('a', { image: 'x:1' }));
  const key = { namespace: 'default', name: 'a' };
  expect((await to.client.get(old, key)).spec).toEqual({ picture: 'x:1' });
  await to.client.patch(old, key, { type: 'merge', body: { spec: { picture: 'y:2' } } });
  expect((await to.client.get(taskKind(), key)).spec).toEqual({ image: 'y:2' });
  expect((await to.client.list(old)).items.map(({ spec }) => spec.picture)).toEqual(['y:2']);
  await to.client.patch(pluginKind, { name: 'guard' }, { type: 'merge', body: { spec: { paused: true } } });
  await phase(to, 'guard', 'Paused');
  expect((await to.client.get(taskKind(), key)).spec).toEqual({ image: 'y:2' });
  await create(to, task('b', { image: 'z:3' }));
  expect(await messageOf(to.client.get(old, { namespace: 'default', name: 'b' }))).toStartWith(
    '503 ServiceUnavailable: plugin "guard" did not convert',
  );
});

test('schedule: one call for each pod with all candidate nodes, filter, score and permit; skipped when it is late', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const { client } = to;
  await client.create(serviceAccountKind, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace: 'default' },
  });
  for (const [name, blocked] of [['a'], ['b'], ['c', true]] as const)
    await client.create(nodeKind, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { rank: name } },
      spec: blocked ? { unschedulable: true } : {},
      status: {
        allocatable: { cpu: '8', memory: '8Gi', pods: '110' },
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    } as Node);
  await install(
    to,
    await hookPlugin(`let asked = 0; let denied = 0;
schedule({ name: "rank", weight: 50,
  filter: (pod, nodes) => nodes.map((node) => pod.metadata.name.startsWith("none") ? "asked about " + nodes.map((one) => one.metadata.name).join("+") : true),
  score: (pod, nodes) => pod.metadata.name.startsWith("hang") ? new Promise(() => {}) : nodes.map(({ metadata }) => metadata.labels.rank === pod.metadata.annotations?.want ? 100 : 0),
  permit: (pod, node) => pod.metadata.name.startsWith("twice") && denied++ === 0 ? "not " + node + " yet" : true });`),
  );
  await attached(to);
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const events = scope.use(createEventRecorder({ client, ...seams, component: 'default-scheduler' }));
  scope.use(await startScheduler({ client, informers, events, ...seams, advisers: () => advisersOf(to.board) }));
  const pod = (name: string, want = '') =>
    client.create(podKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', annotations: { want } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
  const get = (name: string) => client.get(podKind, { namespace: 'default', name });
  const nodeOf = (name: string) => until(`${name} is bound`, async () => (await get(name)).spec?.nodeName);
  const told = (name: string) =>
    until(`${name} is refused`, async () =>
      (await client.list(eventKind)).items.find(
        (event) => event.involvedObject.name === name && event.reason === 'FailedScheduling',
      ),
    );
  for (const want of ['a', 'b', 'b', 'a', 'b']) {
    const name = `p${Math.random()}`;
    await pod(name, want);
    expect(await nodeOf(name)).toBe(want);
  }
  await pod('none-1');
  expect((await told('none-1')).message).toStartWith(
    '0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) refused by plugin guard/rank: asked about a+b.',
  );
  await pod('twice-1', 'b');
  expect((await told('twice-1')).message).toBe('plugin guard/rank does not permit node b: not b yet');
  expect(await nodeOf('twice-1')).toBe('b');
  await pod('hang-1');
  expect(['a', 'b']).toContain(await nodeOf('hang-1'));
  expect(to.board.statusOf('guard')?.find(({ name }) => name === 'schedule rank')?.timeouts).toBe(1);
  const required = { ...to.board.statusOf('guard')![0]!, failurePolicy: 'Fail' as const };
  to.board.attach('guard', { isResponsive: false, channel: undefined }, [required]);
  await pod('required-1');
  expect((await told('required-1')).message).toContain('2 plugin guard/rank gave no answer');
});

test('rest: a kind that is stored nowhere, behind the same door; 503 without its plugin, while all else goes on', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const served = `const notes = new Map([["default/a", { metadata: { name: "a", namespace: "default" }, text: "one" }]]);
const key = (call) => call.namespace + "/" + call.name;
rest({ group: "live.example.com", version: "v1", kind: "Note",
  get: (call) => { if (call.name === "throw") throw new Error("not today"); return notes.get(key(call)); },
  list: (call) => [...notes.values()].filter((one) => !call.namespace || one.metadata.namespace === call.namespace),
  create: (call, object) => { notes.set(call.namespace + "/" + object.metadata.name, { ...object, by: call.user.name }); return notes.get(call.namespace + "/" + object.metadata.name); },
  delete: (call) => { notes.delete(key(call)); } });`;
  await install(to, await built('live', served));
  const kind = { ...taskKind(), group: 'live.example.com', kind: 'Note', plural: 'notes', singular: 'note' } as Kind<
    KubeObject & { text?: string; by?: string }
  >;
  const key = (name: string) => ({ namespace: 'default', name });
  await until('it is served', () => to.client.get(kind, key('a')));
  expect(await to.client.get(kind, key('a'))).toMatchObject({
    kind: 'Note',
    apiVersion: 'live.example.com/v1',
    text: 'one',
  });
  const made = await to.client.create(kind, { apiVersion: 'live.example.com/v1', kind: 'Note', metadata: key('b') });
  expect(made.by).toBe('admin');
  expect((await to.client.list(kind)).items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
  await to.client.delete(kind, key('b'));
  expect(await messageOf(to.client.get(kind, key('b')))).toBe('404 NotFound: notes.live.example.com "b" not found');
  expect(await messageOf(to.client.get(kind, key('throw')))).toBe('500 InternalError: plugin "live": not today');
  expect(await messageOf(to.client.update(kind, made))).toStartWith('405 ');
  expect(await messageOf(to.clientOf('weak').get(kind, key('a')))).toStartWith('403 ');
  const ask = (path: string, accept = 'application/json') =>
    to.server.fetch(new Request(`http://localhost${path}`, { headers: { authorization: 'Bearer admin', accept } }));
  const path = '/apis/live.example.com/v1';
  const { resources } = (await (await ask(path)).json()) as { resources: { name: string; verbs: string[] }[] };
  expect(resources).toMatchObject([{ name: 'notes', verbs: ['get', 'list', 'create', 'delete', 'deletecollection'] }]);
  const table = (await (await ask(`${path}/notes`, 'application/json;as=Table;v=v1;g=meta.k8s.io')).json()) as {
    rows: { cells: unknown[] }[];
  };
  expect(table.rows[0]!.cells[0]).toBe('a');
  to.board.attach('live', { isResponsive: false, channel: undefined }, to.board.statusOf('live')!);
  const gone = await ask(`${path}/notes`);
  expect([gone.status, gone.headers.get('retry-after')]).toEqual([503, '1']);
  expect(((await gone.json()) as { message: string }).message).toBe(
    'plugin "live" does not answer: plugin live does not run',
  );
  expect((await ask('/apis')).status).toBe(200);
  await to.client.delete(pluginKind, { name: 'live' });
  await until('it is gone', async () => (await ask(`${path}/notes`)).status === 404);
});

test('authenticators: only when approved, first positive answer, nobody of the system', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const who = `authenticate({ name: "words", authenticate: (token) => token === "ada" ? { name: "ada", groups: ["makers"] } : token === "root" ? { name: "x", groups: ["system:masters"] } : token === "node" ? { name: "system:node:a", groups: [] } : undefined });`;
  const review = 'needs: { "tokenreviews.authentication.k8s.io": ["create"] },';
  await install(to, await built('plain', who));
  expect(JSON.stringify((await phase(to, 'plain', 'Failed')).conditions)).toContain('AuthenticatorNotApproved');
  await install(to, await built('words', who, review));
  await attached(to, 'words');
  const self = (token: string) =>
    to
      .clientOf(token)
      .request<{ status: { userInfo: { username: string; groups: string[] } } }>(
        'POST',
        '/apis/authentication.k8s.io/v1/selfsubjectreviews',
        { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
      )
      .then(({ status }) => status.userInfo);
  const answer = await until('ada is known', () => self('ada'));
  expect(answer).toMatchObject({ username: 'ada', groups: ['makers', 'system:authenticated'] });
  for (const token of ['root', 'node', 'nobody'])
    expect(await self(token).catch(() => ({ username: 'system:anonymous' }))).toMatchObject({
      username: 'system:anonymous',
    });
});

test('authorizers: only when approved; they refuse what roles allow, with their reason, and allow nothing', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const gate = `authenticate({ name: "words", authenticate: (token) => token.startsWith("word-") ? { name: token.slice(5), groups: ["makers"] } : undefined });
authorize({ name: "gate", deny: async ({ user, verb, resource, namespace }) => {
  if (namespace === "hang") await new Promise(() => {});
  return verb !== "get" && resource === "configmaps" && user.name + " only reads " + resource; } });`;
  const needs = (...names: string[]) => `needs: { ${names.map((name) => `"${name}": ["create"]`).join(', ')} },`;
  const tokens = 'tokenreviews.authentication.k8s.io';
  await install(to, await built('open', gate, needs(tokens)));
  expect(JSON.stringify((await phase(to, 'open', 'Failed')).conditions)).toContain('AuthorizerNotApproved');
  await install(to, await built('gate', gate, needs(tokens, 'subjectaccessreviews.authorization.k8s.io')));
  expect((await attached(to, 'gate')).map(({ name, failurePolicy }) => `${name} ${failurePolicy}`)).toEqual([
    'authenticate words Fail',
    'authorize gate Ignore',
  ]);
  await to.client.create(clusterRoleKind, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'makers' },
    rules: [{ apiGroups: [''], resources: ['configmaps', 'pods'], verbs: ['*'] }],
  });
  await to.client.create(clusterRoleBindingKind, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'makers' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'makers' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'makers' }],
  });
  const ada = to.clientOf('word-ada');
  await until('ada may read', () => ada.list(podKind));
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace: 'default' } };
  expect(await messageOf(ada.create(configMapKind, map))).toBe(
    '403 Forbidden: configmaps is forbidden: User "ada" cannot create resource "configmaps" in API group "" in the namespace "default": plugin "gate": ada only reads configmaps',
  );
  expect(await messageOf(to.client.create(configMapKind, map))).toBe('done');
  expect(await messageOf(to.clientOf('weak').get(configMapKind, { namespace: 'default', name: 'm' }))).not.toContain(
    'gate',
  );
  const may = async (verb: string, resource = 'configmaps') => {
    const { status } = await ada.request<{ status: unknown }>(
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { verb, resource, namespace: 'default' } },
      },
    );
    return status;
  };
  expect(await may('delete')).toEqual({
    allowed: false,
    denied: true,
    reason: 'plugin "gate": ada only reads configmaps',
  });
  expect(await may('get')).toMatchObject({ allowed: true });
  expect(await may('create', 'nodes')).toMatchObject({ allowed: false });
  expect(await may('create', 'nodes')).not.toHaveProperty('denied');
  const late = await messageOf(ada.get(podKind, { namespace: 'hang', name: 'x' }));
  expect(late).toEndWith('in the namespace "hang": plugin "gate" gave no answer');
});

test('metrics: declared names and labels, of every plugin, through the door; what came later is dropped', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  await install(
    to,
    await built(
      'counting',
      `const seen = metrics.counter("seen_total", "Seen.", ["what"]); seen.inc(3, { what: "x" });
       void (async () => { await new Promise((done) => setTimeout(done, 50)); metrics.counter("late_total", "Late.").inc(9); })();`,
    ),
  );
  const text = await until('its metrics', async () => {
    const all = await to.ask.metricsText();
    return all.includes('seen_total{') && all.includes('dropped') && all;
  });
  expect(text).toContain('# TYPE seen_total counter\nseen_total{plugin="counting",what="x"} 3\n');
  expect(text).not.toContain('late_total');
});

test('an upgrade moves the hooks: no write in between goes unjudged, and the newer version has the last word', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const says = (version: string) => hookPlugin(`validate(Task, () => "${version} says no");`, { version });
  await install(to, await says('1.0.0'));
  await attached(to);
  await until('1.0.0 is good', async () => (await statusOf(to, 'guard'))?.lastGood?.version === '1.0.0');
  const heard = new Set<string>();
  const over = new AbortController();
  const asking = (async () => {
    while (!over.signal.aborted) heard.add(await messageOf(create(to, task('a', {}))));
  })();
  const next = await says('1.1.0');
  store(to, next);
  const spec = { digest: next.digest, version: '1.1.0' };
  await to.client.patch(pluginKind, { name: 'guard' }, { type: 'merge', body: { spec } });
  await until('1.1.0 answers', async () => [...heard].some((one) => one.endsWith('1.1.0 says no')));
  await until('1.1.0 is active', async () => (await statusOf(to, 'guard'))?.activeVersion === '1.1.0');
  over.abort();
  await asking;
  const denial = '403 Forbidden: admission plugin "guard" denied the request: ';
  expect([...heard]).toEqual([`${denial}1.0.0 says no`, `${denial}1.1.0 says no`]);
});

test('while the host is away its own kinds stay closed, and all else is open', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  await install(to, await hookPlugin('validate(Task, () => true);'));
  await attached(to);
  await create(to, task('a', {}));
  await to.host[Symbol.asyncDispose]();
  expect(await messageOf(create(to, task('b', {})))).toBe(
    '500 InternalError: Internal error occurred: failed calling plugin "guard": plugin guard does not run',
  );
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace: 'default' } };
  expect(await messageOf(to.client.create(configMapKind, map))).toBe('done');
});

test.skipIf(!sandboxed)('commands run sandboxed, under the rights of who typed them', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const bundle = await built(
    'counter',
    `command({ name: "count", help: "Counts.", flags: t.object({ limit: t.int().default(2) }),
  async run({ flags, words, print }) { print(words.join("+") + " " + flags.limit + " " + (await api.configmaps.list({ namespace: "default" })).length + " \\u001b[2J"); } });
command({ name: "fails", help: "Fails.", run() { throw new Error("not today"); } });
command({ name: "dies", help: "Dies.", run() { process.exit(4); } });
command({ name: "peeks", help: "Peeks.", run({ print }) { print(require("fs").readdirSync("/").join(" ")); } });
panel({ name: "p", title: "Counts", module: "counts.js" });`,
    'needs: { configmaps: ["list"] },',
    '1.0.0',
    'sandbox',
    'import { t } from "pintle/sdk";',
    { 'counts.ts': 'export const draw = (): string => "counts";' },
  );
  await install(to, bundle);
  const status = await phase(to, 'counter', 'Active');
  expect(status.commands?.map(({ name }) => name)).toEqual(['count', 'fails', 'dies', 'peeks']);
  expect(status.panels).toEqual([{ name: 'p', title: 'Counts', module: 'counts.js' }]);
  const run = async (name: string, token = 'admin', words: string[] = []) => {
    const lines: string[] = [];
    await runPluginCommand({
      bundle: { ...bundle, folder: bundleFolder(to.folder, 'counter', bundle.digest) },
      command: { name, flags: { limit: 3 }, words },
      config: {},
      token,
      fetch: (request) => to.server.fetch(request),
      baseUrl: 'http://localhost',
      spawn: spawnDuplex,
      files: systemFiles,
      clock: systemClock,
      clusterId: 'test',
      runFolder: to.run,
      print: (line) => void lines.push(line),
    });
    return lines;
  };
  expect(await run('count', 'admin', ['a', 'b'])).toEqual(['a+b 3 0 \ufffd[2J']);
  expect((await rejection(run('count', 'weak'))).message).toContain('configmaps is forbidden: User "weak"');
  expect((await rejection(run('fails'))).message).toBe('counter fails: not today');
  expect((await rejection(run('dies'))).message).toBe('counter dies: it ended with code 4');
  expect((await run('peeks'))[0]).not.toContain('home');
  expect(readdirSync(to.run).filter((name) => name.startsWith('.'))).toEqual([]);
});

const podOf = (name: string, namespace = 'default', labels: Record<string, string> = {}) =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { containers: [{ name: 'a', image: 'a:1' }] },
  }) as never;

test('pods, which are not its own: asked when approved, open without an answer unless granted, never about the system’s', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  for (const namespace of ['default', 'kube-system'])
    await to.client.create(serviceAccountKind, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace },
    });
  const bundle = await hookPlugin(
    `validate("pods", ({ object, user }) => {
      if (object.metadata.labels?.mode === "hang") return new Promise(() => {});
      return object.metadata.labels?.mode !== "bad" || user.name + " may not";
    });
    mutate("pods", ({ object }) => {
      object.metadata.labels = { ...object.metadata.labels, seen: "yes" };
      if (object.metadata.labels.mode === "wrong") object.spec.containers = "none";
      else object.spec.priorityClassName ??= undefined, object.spec.terminationGracePeriodSeconds = 7;
    });`,
    { needs: '{ pods: ["validate", "mutate"] }' },
  );
  expect(bundle.manifest.provides).toMatchObject({ validates: ['pods'], mutates: ['pods'] });
  await install(to, bundle);
  const hooks = await attached(to);
  expect(hooks.map(({ name, failurePolicy }) => `${name} ${failurePolicy}`)).toEqual([
    'mutate pods Ignore',
    'validate pods Ignore',
  ]);
  const make = (...args: Parameters<typeof podOf>) => to.client.create(podKind, podOf(...args));
  const made = await make('a');
  expect([made.metadata.labels, made.spec!.terminationGracePeriodSeconds]).toEqual([{ seen: 'yes' }, 7]);
  expect(await messageOf(make('b', 'default', { mode: 'bad' }))).toBe(
    '403 Forbidden: admission plugin "guard" denied the request: admin may not',
  );
  expect(await messageOf(make('b', 'default', { mode: 'wrong' }))).toContain('what is no Pod: spec.containers');
  const system = await make('b', 'kube-system', { mode: 'bad' });
  expect(system.metadata.labels).toEqual({ mode: 'bad' });
  expect(await messageOf(make('open', 'default', { mode: 'hang' }))).toBe('done');
  await to.client.patch(
    pluginKind,
    { name: 'guard' },
    { type: 'merge', body: { spec: { failClosed: ['validate pods'] } } },
  );
  await until('it fails closed', async () =>
    (await statusOf(to, 'guard'))?.hooks?.some((one) => one.name === 'validate pods' && one.failurePolicy === 'Fail'),
  );
  expect(await messageOf(make('closed', 'default', { mode: 'hang' }))).toContain('failed calling plugin "guard"');
}, 120_000);

test('a hook on a kind of others that nobody approved does not start, and a manifest cannot slip one in', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const bundle = await hookPlugin('validate("pods", () => true);', { needs: '{ pods: ["validate"] }' });
  await install(to, bundle, { approvedNeeds: {} });
  const failed = await phase(to, 'guard', 'Failed');
  expect(failed.conditions?.find(({ type }) => type === 'Approved')?.message).toBe(
    'spec.approvedNeeds lacks sees and may refuse pods',
  );
  // The right to see them is one that who installs must hold.
  const weak = { ...bundle, manifest: { ...bundle.manifest, name: 'guard' } };
  expect((await rejection(install(to, weak, {}, to.clientOf('weak')))).message).toContain('forbidden');
  for (const [setup, needs, words] of [
    ['validate("pods", () => true);', '{ pods: ["list"] }', 'validate("pods") is not among its needs'],
    ['mutate("secrets", () => {});', '{ secrets: ["mutate"] }', 'no plugin is asked about secrets'],
  ] as const)
    expect((await rejection(hookPlugin(setup, { needs }))).message).toContain(words);
  const slipped = { ...bundle.manifest, needs: {} };
  expect(() => approved({ ...bundle, manifest: slipped }, { digest: '', version: '1.0.0' })).toThrow('pods: validate');
}, 120_000);
