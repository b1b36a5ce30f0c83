// What the authors of plugins test with: the world on virtual time, and the chaos that catches a wrong controller.
import { expect, test } from 'bun:test';
import type { KubeObject } from '#api';
import { crd, LiveObjects, plugin, t } from '../core/sdk/index.ts';
import { withChaos } from '../core/testing/author/harness.ts';
import { world } from '../plugins/standard/testing.ts';
import { rejection } from './fixtures/rejection.ts';

const Note = crd({
  group: 'notes.example.com',
  kind: 'Note',
  version: 'v1',
  spec: t.object({ copies: t.int().min(0) }),
  status: t.object({ made: t.int() }),
});
const note = (copies: number) => ({
  apiVersion: 'notes.example.com/v1',
  kind: 'Note',
  metadata: { name: 'one' },
  spec: { copies },
});
const notes = (way: 'right' | 'forgetful') =>
  plugin({
    name: 'notes',
    version: '1.0.0',
    sdk: '^1.0',
    needs: { configmaps: ['list', 'watch', 'create'] },
    resources: [Note],
    setup({ reconcile, api }) {
      const made = new Map<string, number>();
      reconcile(Note, { owns: ['configmaps'] }, async ({ metadata, spec }, { owned, child, status }) => {
        if (way === 'right') {
          for (let have = owned.configmaps.length; have < spec.copies; have++) await child('configmaps', {});
          return status({ made: spec.copies });
        }
        // What it has made it keeps in memory alone.
        for (let have = made.get(metadata.uid) ?? 0; have < spec.copies; have++) {
          await api.configmaps.create({ metadata: { generateName: 'one-', namespace: 'default' } } as never);
          made.set(metadata.uid, have + 1);
        }
        await status({ made: made.get(metadata.uid) ?? 0 });
      });
    },
  });
const scenario = (way: 'right' | 'forgetful') => async () => {
  await using w = await world({ seed: 1, plugin: notes(way) });
  await w.apply(note(2));
  await w.settle();
  await w.expect('notes/one', { status: { made: 2 } });
};

test('the controller that keeps its knowledge in memory passes its test, and chaos names the write', async () => {
  await scenario('forgetful')();
  const report = await withChaos('forgetful', scenario('forgetful'), { crashesMax: 20 }).then(
    () => 'nothing was found',
    (error: Error) => error.message,
  );
  expect(report).toContain(
    'killed after write 1, create configmaps in default, and started again, it ends differently',
  );
  expect(report).toContain('configmaps default/one-*: 3, without the fault 2');
});

test('the right one passes chaos: every write killed once, stale caches, merged events', async () => {
  const done: object[] = [];
  await withChaos('right', scenario('right'), { crashesMax: 20, onDone: (_name, one) => void done.push(one) });
  expect(done).toEqual([{ writes: 3, runs: 5, failures: 0 }]);
});

test('kinds that it answers itself, authenticators and authorizers are in the world too', async () => {
  const door = plugin({
    name: 'door',
    version: '1.0.0',
    sdk: '^1.0',
    needs: {
      'tokenreviews.authentication.k8s.io': ['create'],
      'subjectaccessreviews.authorization.k8s.io': ['create'],
    },
    setup({ rest, authenticate, authorize, now }) {
      const views = new LiveObjects<KubeObject & { spec?: { text: string } }>({ now, historyMax: 64 });
      const schema = t.object({ spec: t.object({ text: t.string().max(5) }) });
      rest({ group: 'views.example.com', version: 'v1', kind: 'View', schema, ...views.reads, ...views.writes });
      authenticate({
        name: 'badges',
        authenticate: (token) => (token === 'badge' ? { name: 'ada', groups: ['guests'] } : undefined),
      });
      authorize({ name: 'hours', deny: ({ verb, user }) => user.name === 'ada' && verb === 'create' && 'not today' });
    },
  });
  const mayAll = [
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'guests' },
      rules: [{ apiGroups: ['views.example.com'], resources: ['*'], verbs: ['*'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'guests' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'guests' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'guests' }],
    },
  ];
  await using w = await world({ seed: 1, plugin: door });
  const view = (text: string) => ({
    apiVersion: 'views.example.com/v1',
    kind: 'View',
    metadata: { name: 'one', namespace: 'default' },
    spec: { text },
  });
  await w.apply(...mayAll, view('hello'));
  await w.expect('views/one', { spec: { text: 'hello' } });
  await w.apply(view('again'));
  await w.expect('views/one', { spec: { text: 'again' } });
  expect((await rejection(w.apply(view('too long')))).message).toContain('spec.text: Too long');
  const kind = w.world.kinds.find((one) => one.plural === 'views')!;
  const ada = w.as('badge');
  expect((await ada.list(kind, { namespace: 'default' })).items.length).toBe(1);
  expect((await rejection(ada.create(kind, view('mine')))).message).toContain('plugin "door": not today');
  expect((await rejection(w.as('stranger').list(kind, { namespace: 'default' }))).message).toContain('cannot list');
  w.restartPlugin();
  await w.until(async () => (await w.list('views')).length === 0); // they were in its memory
});

test('what is not in needs is refused by the API server, and what does not hold is told', async () => {
  const greedy = plugin({
    name: 'greedy',
    version: '1.0.0',
    sdk: '^1.0',
    needs: { pods: ['list'] },
    resources: [Note],
    setup({ reconcile, api }) {
      reconcile(Note, {}, async (_object, { status }) => {
        const list = await (api as never as { pods: { list(): Promise<unknown[]> } }).pods.list();
        await status({ made: list.length });
      });
    },
  });
  await using w = await world({ seed: 3, plugin: greedy });
  await w.apply(note(1));
  await w.until(() => w.expect('notes/one', { status: { made: 0 } }));
  expect((await rejection(w.expect('notes/one', { status: { made: 9 } }))).message).toContain('it is');
  expect((await rejection(w.apply(note(-1)))).message).toContain('should be greater than or equal to 0');
  await w.delete('notes/one');
  expect(await rejection(w.get('notes/one'))).toMatchObject({ code: 404 });
});
