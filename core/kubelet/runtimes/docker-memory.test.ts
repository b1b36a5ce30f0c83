import { expect, test } from 'bun:test';
import { DockerMemory } from './docker-memory.ts';

const details = (id: string, status: string) => ({
  Id: id,
  Name: `/${id}`,
  Created: '2026-01-01T00:00:00Z',
  Image: 'i',
  Config: { Image: 'i', Tty: false, Hostname: '', Labels: {} },
  State: { Status: status, Pid: 1, StartedAt: '', FinishedAt: '', ExitCode: 0, OOMKilled: false, Error: '' },
});
const row = (id: string, podUid: string) => ({ Id: id, Labels: { 'pintle.pod.uid': podUid } });
const seeing = (): DockerMemory => {
  const memory = new DockerMemory();
  memory.sighted();
  return memory;
};

test('without events nothing is believed', () => {
  const memory = new DockerMemory();
  memory.created('pod', 'a', true);
  memory.keep(details('a', 'running'));
  expect(memory.idsOf('pod')).toBeUndefined();
  expect(memory.detailsOf('a')).toBeUndefined();
});

test('a pod is known from its first sandbox or from a list, not from a container alone', () => {
  const memory = seeing();
  memory.created('new', 'a', true);
  memory.created('new', 'b', false);
  memory.created('old', 'c', false);
  expect(memory.idsOf('new')).toEqual(['a', 'b']);
  expect(memory.idsOf('old')).toBeUndefined();
  memory.listed('old', [row('c', 'old'), row('d', 'old')], memory.mark());
  expect(memory.idsOf('old')).toEqual(['c', 'd']);
});

test('a list that was asked for before something changed is not believed', () => {
  const memory = seeing();
  const mark = memory.mark();
  memory.created('pod', 'a', true);
  memory.listed(undefined, [], mark);
  expect(memory.idsOf('pod')).toEqual(['a']);
});

test('what has ended is asked for again until the engine shows it', () => {
  const memory = seeing();
  memory.keep(details('a', 'running'));
  expect(memory.onEvent('a', 'die')).toBe(true);
  memory.keep(details('a', 'running')); // the engine lags behind its own event
  expect([memory.lags(details('a', 'running')), memory.lags(details('a', 'exited'))]).toEqual([true, false]);
  expect(memory.lags(details('b', 'running'))).toBe(false);
  expect(memory.detailsOf('a')).toBeUndefined();
  memory.keep(details('a', 'exited'));
  expect(memory.detailsOf('a')?.State.Status).toBe('exited');
});

test('our own start is no news, somebody else’s is', () => {
  const memory = seeing();
  memory.starts('a');
  memory.keep(details('a', 'running'));
  expect(memory.onEvent('a', 'start')).toBe(false);
  expect(memory.detailsOf('a')).toBeDefined();
  memory.onEvent('a', 'die');
  expect(memory.onEvent('a', 'start')).toBe(true);
  expect(memory.onEvent('b', 'start')).toBe(true);
});

test.each(['destroy', 'remove'])('what is gone is not remembered as ended: %s', (gone) => {
  const memory = seeing();
  memory.onEvent('a', 'die');
  expect(memory.lags(details('a', 'running'))).toBe(true);
  memory.onEvent('a', gone);
  expect(memory.lags(details('a', 'running'))).toBe(false);
});
