// Kinds that plugins answer themselves, in processes of their own, behind the real API server.
import { afterAll, expect, test } from 'bun:test';
import { configMapKind, type Kind, type KubeObject } from '#api';
import { Scope } from '#base';
import { createInformers } from '../core/client/cache-informer.ts';
import { garbageController } from '../core/controllers/garbage.ts';
import { pluginKind } from '../core/host/kind.ts';
import { specOf, startControllers } from '../core/sdk/controller.ts';
import { built, type Cluster, cluster, install, phase, removePlace, seams, until } from './fixtures/hook-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

afterAll(removePlace);

type Note = KubeObject & { text?: string; by?: string };
const noteKind: Kind<Note> = {
  group: 'live.example.com',
  version: 'v1',
  kind: 'Note',
  plural: 'notes',
  singular: 'note',
  namespaced: true,
  type: 'live.example.com/v1.Note',
};
const key = (name: string) => ({ namespace: 'default', name });
const note = (name: string, text: string, labels: Record<string, string> = {}): Note => ({
  apiVersion: 'live.example.com/v1',
  kind: 'Note',
  metadata: { ...key(name), labels },
  text,
});
/** The same with a schema, and what judges it from outside. */
const typed = `const notes = liveObjects({ now, historyMax: 8 });
rest({ group: "typed.example.com", version: "v1", kind: "Note", schema: t.object({ spec: t.object({
  text: t.string().max(8).describe("What is to be remembered."), size: t.int().default(1),
}).rule("self.text != 'rule'", "is no text") }), ...notes.reads, ...notes.writes });`;
const inMemory = `const notes = liveObjects({ now, historyMax: 8 });
rest({ group: "live.example.com", version: "v1", kind: "Note", ...notes.reads, ...notes.writes });`;
/** One object in memory and a way to make many changes at once. */
async function served(scope: Scope): Promise<Cluster> {
  const to = await cluster(scope);
  await install(
    to,
    await built(
      'live',
      inMemory,
      '',
      '1.0.0',
      'process',
      'import { LiveObjects } from "pintle/sdk"; const liveObjects = (o: any) => new LiveObjects<any>(o);',
    ),
  );
  await until('it is served', () => to.client.create(noteKind, note('a', 'one', { kept: 'yes' })));
  return to;
}
const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const paths = '/apis/live.example.com/v1';
const ask = (to: Cluster, path: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
  to.server.fetch(
    new Request(`http://localhost${paths}${path}`, {
      ...init,
      headers: { authorization: 'Bearer admin', accept: 'application/json', ...init.headers },
    }),
  );
interface Frame {
  readonly type: string;
  readonly object: KubeObject & {
    code?: number;
    reason?: string;
    rows?: { cells: unknown[] }[];
    columnDefinitions?: unknown;
  };
}
/** Reads a watch line by line. */
async function watching(scope: Scope, to: Cluster, query: string, accept = 'application/json') {
  const over = scope.use({
    stop: new AbortController(),
    [Symbol.dispose]() {
      this.stop.abort();
    },
  }).stop;
  const response = await ask(to, `/namespaces/default/notes?watch=true&${query}`, {
    headers: { accept },
    signal: over.signal,
  });
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  return {
    response,
    stop: () => reader.cancel(),
    /** undefined: it has ended. */
    async next(): Promise<Frame | undefined> {
      for (;;) {
        const end = rest.indexOf('\n');
        if (end >= 0) {
          const text = rest.slice(0, end);
          rest = rest.slice(end + 1);
          return JSON.parse(text) as Frame;
        }
        const { value, done } = await reader.read();
        if (done) return undefined;
        rest += decoder.decode(value, { stream: true });
      }
    },
  };
}
const told = (frame: Frame | undefined) => frame && `${frame.type} ${frame.object.metadata?.name ?? frame.object.code}`;

test('watch: what is there, every change, from a version on, tables, selectors; 410 and ends', async () => {
  await using scope = new Scope();
  const to = await served(scope);
  const all = await watching(scope, to, '');
  expect(all.response.headers.get('content-type')).toBe('application/json');
  expect(told(await all.next())).toBe('ADDED a');
  const listed = await to.client.list(noteKind);
  const since = listed.metadata.resourceVersion!;
  expect(since).toMatch(/^\d+$/);
  const later = await watching(scope, to, `resourceVersion=${since}`);
  const rows = await watching(scope, to, '', 'application/json;as=Table;v=v1;g=meta.k8s.io');
  const kept = await watching(scope, to, 'labelSelector=kept%3Dyes');
  const named = await watching(scope, to, 'fieldSelector=metadata.name%3Db');
  expect(told(await kept.next())).toBe('ADDED a');
  await to.client.create(noteKind, note('b', 'two'));
  await to.client.patch(noteKind, key('a'), { type: 'merge', body: { metadata: { labels: { kept: null } } } });
  await to.client.delete(noteKind, key('b'));
  for (const one of [all, later]) {
    expect(told(await one.next())).toBe('ADDED b');
    expect(told(await one.next())).toBe('MODIFIED a');
    const gone = await one.next();
    expect(told(gone)).toBe('DELETED b');
    expect(gone!.object).toMatchObject({ kind: 'Note', apiVersion: 'live.example.com/v1', text: 'two' });
  }
  expect(told(await kept.next())).toBe('DELETED a');
  expect(told(await named.next())).toBe('ADDED b');
  const [first, second] = [await rows.next(), await rows.next()];
  expect([first!.object.rows![0]!.cells[0], second!.object.rows![0]!.cells[0]]).toEqual(['a', 'b']);
  expect([first!.object.columnDefinitions === null, second!.object.columnDefinitions]).toEqual([false, null]);
  for (let change = 0; change < 9; change++)
    await to.client.patch(noteKind, key('a'), { type: 'merge', body: { text: String(change) } });
  const old = await watching(scope, to, `resourceVersion=${since}`);
  const refused = await old.next();
  expect([refused!.type, refused!.object.code, refused!.object.reason]).toEqual(['ERROR', 410, 'Expired']);
  expect(await old.next()).toBeUndefined();
  const short = await watching(
    scope,
    to,
    `resourceVersion=${(await to.client.list(noteKind)).metadata.resourceVersion}&timeoutSeconds=1`,
  );
  expect(await short.next()).toBeUndefined();
  const streaming = await ask(to, '/notes?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan');
  expect(streaming.status).toBe(422);
});

test('an informer follows it through a restart of the plugin; meanwhile discovery and garbage collection go on', async () => {
  await using scope = new Scope();
  const to = await served(scope);
  const { client } = to;
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const followed = informers.informer(noteKind);
  const texts = () => followed.cache.list().map(({ text }) => text);
  await followed.synced;
  expect(texts()).toEqual(['one']);
  scope.use(await startControllers([specOf(garbageController)], { client, informers, ...seams }));
  const pause = (paused: boolean) =>
    client.patch(pluginKind, { name: 'live' }, { type: 'merge', body: { spec: { paused } } });
  to.board.attach('live', { isResponsive: false, channel: undefined }, to.board.statusOf('live')!);
  const away = await ask(to, '/notes?watch=true');
  expect([away.status, away.headers.get('retry-after')]).toEqual([503, '1']);
  const discovery = await ask(to, '');
  const { resources } = (await discovery.json()) as { resources: { verbs: string[] }[] };
  expect(resources[0]!.verbs.toSorted()).toEqual(verbs.toSorted());
  const map = (name: string, owner?: KubeObject) =>
    client.create(configMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        ...key(name),
        ...(owner && {
          ownerReferences: [
            { apiVersion: 'v1', kind: 'ConfigMap', name: owner.metadata.name!, uid: owner.metadata.uid! },
          ],
        }),
      },
    });
  await map('dependent', await map('owner'));
  await client.delete(configMapKind, key('owner'));
  await until('the dependent is gone', async () => {
    const { items } = await client.list(configMapKind);
    return items.every(({ metadata }) => metadata.name !== 'dependent');
  });
  await pause(true);
  await phase(to, 'live', 'Paused');
  await pause(false);
  await until('it is back', () => client.create(noteKind, note('z', 'new life')));
  await until('the informer has seen it', async () => texts().join() === 'new life');
});

test('a plugin that ends takes its watches with it, in words; they come back with it', async () => {
  await using scope = new Scope();
  const to = await served(scope);
  const stream = await watching(scope, to, '');
  expect(told(await stream.next())).toBe('ADDED a');
  await to.client.delete(pluginKind, { name: 'live' });
  const last = await stream.next();
  expect(last === undefined || last.type === 'ERROR').toBe(true);
  if (last) expect([410, 503]).toContain(last.object.code!);
});

test('patch by JSON and merge patches, from get into update; others are refused by their names', async () => {
  await using scope = new Scope();
  const to = await served(scope);
  const merged = await to.client.patch(noteKind, key('a'), { type: 'merge', body: { text: 'two' } });
  expect(merged).toMatchObject({ text: 'two', metadata: { labels: { kept: 'yes' } } });
  const patch = (type: string, body: unknown, query = '') =>
    ask(to, `/namespaces/default/notes/a${query}`, {
      method: 'PATCH',
      headers: { 'content-type': type },
      body: JSON.stringify(body),
    });
  const json = 'application/json-patch+json';
  const replaced = await patch(json, [{ op: 'replace', path: '/text', value: 'three' }]);
  expect([replaced.status, ((await replaced.json()) as Note).text]).toEqual([200, 'three']);
  expect((await patch(json, [{ op: 'test', path: '/text', value: 'x' }])).status).toBe(422);
  expect((await patch('application/merge-patch+json', { text: 'dry' }, '?dryRun=All')).status).toBe(200);
  expect((await to.client.get(noteKind, key('a'))).text).toBe('three');
  for (const type of ['application/strategic-merge-patch+json', 'application/apply-patch+yaml']) {
    const answer = await patch(type, { text: 'x' }, type.includes('apply') ? '?fieldManager=m' : '');
    expect(answer.status).toBe(415);
    expect(((await answer.json()) as { message: string }).message).toContain(
      'accepted media types include: application/json-patch+json, application/merge-patch+json',
    );
  }
  const stale = { metadata: { resourceVersion: '1' }, text: 'x' };
  expect((await rejection(to.client.patch(noteKind, key('a'), { type: 'merge', body: stale }))).message).toContain(
    'modified',
  );
  const other = { metadata: { name: 'b' } };
  expect((await rejection(to.client.patch(noteKind, key('a'), { type: 'merge', body: other }))).message).toContain(
    'does not match the name on the URL',
  );
  // Many at once: each is held against what the others wrote, and tried again.
  await Promise.all(
    Array.from({ length: 4 }, (_, index) =>
      to.client.patch(noteKind, key('a'), { type: 'merge', body: { metadata: { labels: { [`l${index}`]: 'x' } } } }),
    ),
  );
  expect(Object.keys((await to.client.get(noteKind, key('a'))).metadata.labels!).length).toBe(5);
});

test('deletecollection by selector, deletions with conditions, refusals in the words of the plugin', async () => {
  await using scope = new Scope();
  const to = await served(scope);
  await to.client.create(noteKind, note('b', 'two'));
  await to.client.create(noteKind, note('c', 'three'));
  expect((await rejection(to.client.create(noteKind, note('c', 'three')))).message).toBe('c already exists');
  const gone = await ask(to, '/namespaces/default/notes?labelSelector=%21kept', { method: 'DELETE' });
  const { items } = (await gone.json()) as { items: Note[] };
  expect(items.map(({ metadata }) => metadata.name)).toEqual(['b', 'c']);
  const preconditions = { resourceVersion: '7' };
  const held = await ask(to, '/namespaces/default/notes/a', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', preconditions }),
  });
  expect(held.status).toBe(409);
  expect((await to.client.list(noteKind)).items.map(({ metadata }) => metadata.name)).toEqual(['a']);
});

const typedKind = { ...noteKind, group: 'typed.example.com', type: 'com.example.typed.v1.Note' } as Kind<Typed>;
type Typed = KubeObject & { spec?: { text?: string; size?: number; other?: string } };
const typedNote = (name: string, spec: object): Typed => ({
  apiVersion: 'typed.example.com/v1',
  kind: 'Note',
  metadata: key(name),
  spec,
});
async function typedServed(scope: Scope): Promise<Cluster> {
  const to = await cluster(scope);
  const head = 'import { LiveObjects, t } from "pintle/sdk"; const liveObjects = (o: any) => new LiveObjects<any>(o);';
  await install(to, await built('typed', typed, '', '1.0.0', 'process', head));
  await until('it is served', () => to.client.create(typedKind, typedNote('a', { text: 'one' })));
  return to;
}

test('a schema is published for explain, and held against what is written', async () => {
  await using scope = new Scope();
  const to = await typedServed(scope);
  expect((await to.client.get(typedKind, key('a'))).spec).toEqual({ text: 'one', size: 1 });
  const kept = await to.client.create(typedKind, typedNote('b', { text: 'two', other: 'x' }));
  expect(kept.spec).toEqual({ text: 'two', size: 1 });
  const write = (spec: object) => rejection(to.client.create(typedKind, typedNote('c', spec)));
  expect((await write({ text: 'more than eight' })).message).toContain('spec.text: Too long');
  expect((await write({ text: 'rule' })).message).toContain('spec: Invalid value: is no text');
  expect((await write({ text: 7 })).message).toContain('spec.text');
  expect(
    await rejection(to.client.patch(typedKind, key('a'), { type: 'merge', body: { spec: { size: 'x' } } })),
  ).toMatchObject({ code: 422 });
  type Document = { components: { schemas: Record<string, Schema> }; paths: Record<string, unknown> };
  type Schema = { properties: { spec: { properties: { text: { description: string } } } } };
  const read = async (path: string) =>
    (await (
      await to.server.fetch(new Request(`http://localhost${path}`, { headers: { authorization: 'Bearer admin' } }))
    ).json()) as Document;
  const document = await read('/openapi/v3/apis/typed.example.com/v1');
  const schema = document.components.schemas['com.example.typed.v1.Note']!;
  expect(schema.properties.spec.properties.text.description).toBe('What is to be remembered.');
  expect(schema).toMatchObject({
    'x-kubernetes-group-version-kind': [{ group: 'typed.example.com', version: 'v1', kind: 'Note' }],
  });
  const item = document.paths['/apis/typed.example.com/v1/namespaces/{namespace}/notes/{name}'];
  expect(Object.keys((item as { patch: { requestBody: { content: object } } }).patch.requestBody.content)).toEqual([
    'application/json-patch+json',
    'application/merge-patch+json',
  ]);
  const whole = (await read('/openapi/v2')) as unknown as { definitions: Record<string, unknown> };
  expect(whole.definitions['com.example.typed.v1.Note']).toBeDefined();
});

test('admission is asked about its writes: policies, namespaces, hooks of others', async () => {
  await using scope = new Scope();
  const to = await typedServed(scope);
  const policy = (name: string, operations: string[], expression: string) => {
    const apiVersion = 'admissionregistration.k8s.io/v1';
    const rule = { apiGroups: ['typed.example.com'], apiVersions: ['v1'], operations, resources: ['notes'] };
    const post = (plural: string, kind: string, spec: object) =>
      to.client.request('POST', `/apis/${apiVersion}/${plural}`, { apiVersion, kind, metadata: { name }, spec });
    return Promise.all([
      post('validatingadmissionpolicies', 'ValidatingAdmissionPolicy', {
        matchConstraints: { resourceRules: [rule] },
        validations: [{ expression, message: `${name} says no` }],
      }),
      post('validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', {
        policyName: name,
        validationActions: ['Deny'],
      }),
    ]);
  };
  await policy('grow', ['UPDATE'], 'object.spec.size >= oldObject.spec.size');
  await policy('stay', ['DELETE'], "oldObject.spec.text != 'stays'");
  await policy('made', ['CREATE'], "object.spec.text != 'never' && request.userInfo.username == 'admin'");
  const patch = (size: number) => to.client.patch(typedKind, key('a'), { type: 'merge', body: { spec: { size } } });
  expect((await patch(5)).spec?.size).toBe(5);
  const refused = (work: Promise<unknown>) => rejection(work).then(({ message }) => message);
  expect(await refused(patch(4))).toContain('grow says no');
  const current = await to.client.get(typedKind, key('a'));
  expect(await refused(to.client.update(typedKind, { ...current, spec: { text: 'one', size: 2 } }))).toContain(
    'grow says no',
  );
  expect(await refused(to.client.create(typedKind, typedNote('n', { text: 'never' })))).toContain('made says no');
  await to.client.create(typedKind, typedNote('s', { text: 'stays' }));
  expect(await refused(to.client.delete(typedKind, key('s')))).toContain('stay says no');
  const all = await to.server.fetch(
    new Request('http://localhost/apis/typed.example.com/v1/namespaces/default/notes', {
      method: 'DELETE',
      headers: { authorization: 'Bearer admin' },
    }),
  );
  expect(all.status).toBe(422);
  expect((await to.client.get(typedKind, key('s'))).spec?.text).toBe('stays');
  const elsewhere = { ...typedNote('x', { text: 'x' }), metadata: { name: 'x', namespace: 'nowhere' } };
  expect(await refused(to.client.create(typedKind, elsewhere))).toBe('namespaces "nowhere" not found');
});
