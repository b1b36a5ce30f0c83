import { expect, test } from 'bun:test';
import { needsDiff } from './plugin-install.ts';
import { exportText } from './plugin-uninstall.ts';

test.each([
  [{ pods: ['list'] }, {}, ['+ pods: list']],
  [{ pods: ['list'] }, { pods: ['list'] }, []],
  [
    { pods: ['list', 'watch'], secrets: ['get'] },
    { pods: ['list', 'delete'] },
    ['+ pods: watch', '+ secrets: get', '- pods: delete'],
  ],
  [{}, { pods: ['list'] }, ['- pods: list']],
])('needs %j over %j: %j', (needs, approved, diff) =>
  expect(needsDiff(needs as never, approved as never)).toEqual(diff),
);

test('an export holds what can be applied again, without what the server gave', () => {
  const metadata = { name: 'one', namespace: 'default', uid: 'u', resourceVersion: '5', labels: { a: 'b' } };
  const definition = {
    metadata: { name: 'notes.example.com', uid: 'd' },
    spec: { scope: 'Namespaced' },
    status: { x: 1 },
  };
  const kind = { group: 'example.com', version: 'v1', kind: 'Note' };
  const text = exportText([{ definition, kind, objects: [{ metadata, spec: { text: 'x' } }] } as never]);
  const documents = text
    .split('---\n')
    .filter(Boolean)
    .map((one) => Bun.YAML.parse(one));
  expect(documents).toEqual([
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'notes.example.com' },
      spec: { scope: 'Namespaced' },
    },
    {
      apiVersion: 'example.com/v1',
      kind: 'Note',
      metadata: { name: 'one', namespace: 'default', labels: { a: 'b' } },
      spec: { text: 'x' },
    },
  ]);
});
