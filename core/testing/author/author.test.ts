import { expect, test } from 'bun:test';
import { WatchMerge } from '../watch-merge.ts';
import { differences, type EndState, endState } from './state.ts';
import { plannedFaults, reportOf } from './trial.ts';
import { firstNew, isWrite, writeText } from './writes.ts';

test.each([
  ['POST', '/api/v1/namespaces/default/pods', 'create pods in default'],
  ['PATCH', '/apis/a.b/v1/namespaces/x/tasks/tick/status?fieldManager=a', 'patch tasks/tick (status) in x'],
  ['DELETE', '/api/v1/nodes/n', 'delete nodes/n'],
  ['PATCH', '/api/v1/namespaces/x', 'patch namespaces/x'],
])('%s %s is called: %s', (method, target, text) => expect(writeText(method, target)).toBe(text));

test('events and reads do not count as writes', () => {
  expect(isWrite('POST', '/api/v1/namespaces/default/events')).toBe(false);
  expect(isWrite('GET', '/api/v1/pods')).toBe(false);
  expect(isWrite('POST', '/api/v1/namespaces/default/pods')).toBe(true);
});

const write = (text: string, number = 1) => ({ number, atMs: 0, text });
test('the first write that is new, whatever the server calls it', () => {
  const first = [write('delete pods/tick-abcde'), write('create pods')];
  expect(firstNew(first, [write('create pods'), write('delete pods/tick-12345')])).toBeUndefined();
  expect(firstNew(first, [write('create pods'), write('create pods', 2)])?.number).toBe(2);
});

test('each write is a crash; of very many, evenly spread ones', () => {
  expect(plannedFaults(2, 10)).toEqual([
    { type: 'crash', after: 1 },
    { type: 'crash', after: 2 },
    { type: 'stale' },
    { type: 'merged' },
  ]);
  const many = plannedFaults(100, 10).flatMap((fault) => (fault.type === 'crash' ? fault.after : []));
  expect([many.length, many[0], Math.max(...many)]).toEqual([10, 1, 91]);
});

test('a report names the write', () => {
  const fault = { type: 'crash', after: 1 } as const;
  const text = reportOf({ fault, writes: [write('create pods in default')] }, ['pods default/a-*: 2']);
  expect(text).toContain('killed after write 1, create pods in default');
  expect(text).toContain('pods default/a-*: 2');
});

const commit = (key: string, object: object) => [key, { key, object }] as const;
const stateOf = (...commits: (readonly [string, object])[]): EndState =>
  endState({ current: new Map(commits) as never });
const pod = (name: string, phase: string, uid: string) =>
  commit(`/registry/core/pods/default/${name}`, {
    metadata: { name, namespace: 'default', generateName: 'a-', uid, resourceVersion: '5' },
    spec: { volumes: [{ name: `kube-api-access-${name.slice(-1).repeat(5)}` }] }, // of its token, named by chance
    status: { phase, startTime: '2030-01-01T00:00:00Z' },
  });
test('states are compared without what chance and time gave', () => {
  const one = stateOf(pod('a-11111', 'Running', 'x'));
  expect(differences(one, stateOf(pod('a-22222', 'Running', 'y')))).toEqual([]);
  expect(differences(one, stateOf(pod('a-1', 'Running', 'x'), pod('a-2', 'Running', 'y')))).toEqual([
    'pods default/a-*: 2, without the fault 1',
  ]);
  expect(differences(one, stateOf(pod('a-1', 'Failed', 'x')))).toEqual([
    'pods default/a-*: .status.phase is "Failed", without the fault "Running"',
  ]);
});

const line = (type: string, uid: string, value: number) =>
  `${JSON.stringify({ type, object: { value, metadata: { uid } } })}\n`;
test('merged watches tell the last state of each object, in the order of their last events', () => {
  const merge = new WatchMerge();
  const text = line('ADDED', 'a', 1) + line('ADDED', 'b', 1) + line('MODIFIED', 'a', 2) + line('DELETED', 'b', 2);
  merge.add(text.slice(0, 30));
  merge.add(text.slice(30) + line('MODIFIED', 'c', 1) + line('BOOKMARK', '', 9));
  expect(merge.flush()).toBe(
    line('ADDED', 'a', 2) + line('DELETED', 'b', 2) + line('MODIFIED', 'c', 1) + line('BOOKMARK', '', 9),
  );
  expect(merge.flush()).toBe('');
});
