import { describe, expect, test } from 'bun:test';
import { isNext, overallOf, type PluginNode, runsOn } from './placement.ts';

const on = (name: string, phase: PluginNode['phase'] = 'Active', observedGeneration = 2): PluginNode => ({
  name,
  phase,
  restarts: 1,
  sandbox: ['x', name],
  observedGeneration,
});

test.each([
  ['every-node', undefined, true],
  ['named-nodes', undefined, false],
  ['named-nodes', {}, false],
  ['named-nodes', { matchLabels: {} }, false],
  ['named-nodes', { names: ['a'] }, true],
  ['named-nodes', { names: ['b'] }, false],
  ['named-nodes', { matchLabels: { disk: 'ssd' } }, true],
  ['named-nodes', { matchLabels: { disk: 'ssd', zone: '1' } }, false],
  ['named-nodes', { names: ['b'], matchLabels: { disk: 'ssd' } }, true],
  ['cluster', { names: ['a'] }, false],
  [undefined, { names: ['a'] }, false],
] as const)('placement %p with %p', (placement, choice, expected) => {
  expect(runsOn(placement, choice, { name: 'a', labels: { disk: 'ssd' } })).toBe(expected);
});

test.each([
  ['nobody is before it', [on('b', 'Failed', 1)], 'a', true],
  ['who is before it has not got there', [on('a', 'Active', 1)], 'b', false],
  ['who is before it is ill', [on('a', 'Failed')], 'b', false],
  ['all before it are well', [on('a'), on('b', 'Active', 1), on('c', 'Backoff', 1)], 'b', true],
] as const)('the turn: %s', (_what, nodes, name, expected) => {
  expect(isNext(nodes, name, 2)).toBe(expected);
});

describe('a plugin as a whole', () => {
  test.each([
    ['all well', [on('a'), on('b')], ['a', 'b'], 'Active', ''],
    ['one absent', [on('a')], ['a', 'b'], 'Starting', 'b: not yet'],
    ['one behind', [on('a'), on('b', 'Active', 1)], ['a', 'b'], 'Starting', 'b: waits for its turn'],
    [
      'the worst counts',
      [on('a', 'Backoff'), on('b', 'Quarantined')],
      ['a', 'b'],
      'Quarantined',
      'a: Backoff; b: Quarantined',
    ],
    ['one that leaves does not count', [on('a'), on('b', 'Failed')], ['a'], 'Active', ''],
    ['nowhere', [], [], 'Starting', 'no node is chosen by spec.nodes'],
  ] as const)('%s', (_what, nodes, expected, phase, message) => {
    const overall = overallOf(nodes, expected, 2);
    expect(overall).toMatchObject({ phase, message, done: phase === 'Active' });
  });
  test('restarts are summed, and only facts that hold everywhere are told', () => {
    expect(overallOf([on('a'), on('b')], ['a', 'b'], 2)).toMatchObject({ restarts: 2, sandbox: ['x'] });
  });
});
