import { expect, test } from 'bun:test';
import type { KubeObject } from '#api';
import { ObjectCache } from './cache.ts';
import type { Change } from './informer.ts';

const object = (name: string, version: number, uid = `uid-${name}`, color?: string): KubeObject => ({
  metadata: { namespace: 'ns', name, uid, resourceVersion: String(version), labels: color ? { color } : undefined },
});
function cache() {
  const changes: string[] = [];
  const made = new ObjectCache<KubeObject>((change: Change<KubeObject>) =>
    changes.push(`${change.type} ${change.object.metadata.name}@${change.object.metadata.resourceVersion}`),
  );
  const version = (name: string) => made.get({ namespace: 'ns', name })?.metadata.resourceVersion;
  return { made, changes, version };
}

test('list, then events', () => {
  const { made, changes } = cache();
  made.replace([object('a', 1), object('b', 2)], '2');
  made.apply('MODIFIED', object('a', 3));
  made.apply('DELETED', object('b', 4));
  expect(changes).toEqual(['added a@1', 'added b@2', 'updated a@3', 'deleted b@4']);
  expect(made.list('ns').length).toBe(1);
  expect(made.list('other')).toEqual([]);
});
test('an own write is visible at once, and an event from before it changes nothing', () => {
  const { made, version } = cache();
  made.replace([object('a', 1)], '1');
  made.observe(object('a', 5), false);
  expect(version('a')).toBe('5');
  made.apply('MODIFIED', object('a', 3));
  expect(version('a')).toBe('5');
});
test('a late answer of an own write never brings a deleted object back', () => {
  const { made, version } = cache();
  made.replace([object('a', 1)], '1');
  made.apply('DELETED', object('a', 4));
  made.observe(object('a', 3), false);
  expect(version('a')).toBeUndefined();
});
test('an own deletion leaves a tombstone until its event has come', () => {
  const { made, version } = cache();
  made.replace([object('a', 1)], '1');
  made.observe(object('a', 1), true);
  made.apply('MODIFIED', object('a', 2));
  expect(version('a')).toBeUndefined();
  made.apply('DELETED', object('a', 3));
  made.apply('ADDED', object('a', 4, 'second life'));
  expect(version('a')).toBe('4');
});
test('a second life of our own outlives the deletion event of the first', () => {
  const { made, version } = cache();
  made.replace([object('a', 1)], '1');
  made.observe(object('a', 1), true);
  made.observe(object('a', 6, 'second life'), false);
  made.apply('DELETED', object('a', 5));
  expect(version('a')).toBe('6');
});
test('a new list drops what is gone, keeps own writes that are newer, and settles old tombstones', () => {
  const { made, version, changes } = cache();
  made.replace([object('a', 1), object('b', 2)], '2');
  made.observe(object('new', 9), false);
  made.observe(object('b', 2), true);
  made.listStarts();
  made.replace([object('b', 7)], '8');
  expect([version('a'), version('b'), version('new')]).toEqual([undefined, '7', '9']);
  expect(changes).toContain('deleted a@1');
});
test('a list that started before an own deletion does not undo it', () => {
  const { made, version } = cache();
  made.replace([object('a', 1)], '1');
  made.listStarts();
  made.observe(object('a', 1), true);
  made.replace([object('a', 1)], '1');
  expect(version('a')).toBeUndefined();
});
test('indexes follow every change', () => {
  const { made } = cache();
  made.addIndex('color', (item) => (item.metadata.labels?.['color'] ? [item.metadata.labels['color']] : []));
  made.replace([object('a', 1, 'u', 'red'), object('b', 2, 'v', 'red')], '2');
  made.apply('MODIFIED', object('a', 3, 'u', 'blue'));
  expect(made.byIndex('color', 'red').map((item) => item.metadata.name)).toEqual(['b']);
  expect(made.byIndex('color', 'blue').map((item) => item.metadata.name)).toEqual(['a']);
  expect(() => made.byIndex('size', '1')).toThrow('no index');
});
