import { expect, test } from 'bun:test';
import { bumpBetween, neededBump } from './plugin-bump.ts';
import { needsAgainstUse, useOf } from './plugin-use.ts';

const definition = (properties: object) =>
  ({
    metadata: { name: 'notes.example.com' },
    spec: {
      scope: 'Namespaced',
      names: { kind: 'Note' },
      versions: [{ name: 'v1', served: true, schema: { openAPIV3Schema: { type: 'object', properties } } }],
    },
  }) as never;
const base = {
  version: '1.0.0',
  resources: [definition({ a: { type: 'string' } })],
  needs: { pods: ['list'] },
  provides: { controllers: ['a'], validates: [], mutates: [], schedules: [] } as never,
  config: { type: 'object', properties: { most: { type: 'integer' } } },
  files: { 'plugin.js': '1' },
};
test.each<[string, object, string, string]>([
  ['nothing', {}, 'none', ''],
  ['the program', { files: { 'plugin.js': '2' } }, 'patch', 'program differs'],
  ['a new field', { resources: [definition({ a: { type: 'string' }, b: { type: 'string' } })] }, 'minor', 'grows'],
  ['a removed field', { resources: [definition({})] }, 'major', 'v1:.a is removed'],
  ['a removed kind', { resources: [] }, 'major', 'is removed'],
  ['more needs', { needs: { pods: ['list', 'delete'] } }, 'minor', 'pods: delete'],
  ['fewer needs', { needs: {} }, 'none', ''],
  ['tighter configuration', { config: { type: 'object', properties: {} } }, 'major', '.most is removed'],
])('%s asks for: %s', (_what, change, bump, why) => {
  const needed = neededBump(base, { ...base, ...change });
  expect([needed.bump, needed.why.join()]).toEqual([bump as 'none', expect.stringContaining(why)]);
});

test.each([
  ['1.0.0', '1.0.1', 'patch'],
  ['1.0.0', '1.1.0', 'minor'],
  ['1.9.0', '2.0.0', 'major'],
  ['1.1.0', '1.0.9', 'none'],
  ['1.0.0', '1.0.0', 'none'],
  ['0.1.0', '0.2.0', 'major'],
  ['0.1.0', '0.1.1', 'minor'],
])('%s to %s is a step of %s', (former, next, bump) => expect(bumpBetween(former, next)).toBe(bump as 'none'));

const text = `
  // api.secrets.get is only spoken of
  setup({ api, reconcile }) {
    reconcile(Note, { owns: ["pods"] }, async (note, { child }) => {
      await child("pods", {});
      await api["leases.coordination.k8s.io"].apply({} as never);
      for (const one of await api.configmaps.list()) await api.configmaps.delete(one);
    });
  }`;
test('use is read from the text, and held against needs both ways', () => {
  const { use, isDynamic } = useOf([`const p = {${text}};`]);
  expect(isDynamic).toBe(false);
  expect(Object.fromEntries([...use].map(([name, verbs]) => [name, [...verbs]]))).toEqual({
    'leases.coordination.k8s.io': ['patch'],
    configmaps: ['list', 'delete'],
    pods: ['list', 'watch', 'create'],
  });
  expect(needsAgainstUse({ pods: ['list', 'watch', 'create', 'delete'], configmaps: ['list'] }, use)).toEqual({
    unused: ['pods: delete'],
    undeclared: ['leases.coordination.k8s.io: patch', 'configmaps: delete'],
  });
});
test('an api that is handed on tells nothing certain', () => {
  expect(useOf(['const p = { setup({ api }) { work(api); } };']).isDynamic).toBe(true);
});
