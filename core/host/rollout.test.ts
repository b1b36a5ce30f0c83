import { expect, test } from 'bun:test';
import type { KnownVersion, PluginObject, PluginSpec, PluginStatus } from './kind.ts';
import type { PluginNode } from './placement.ts';
import { afterNodes, attemptOf, rollbackOf, wantedOn } from './rollout.ts';

const one: KnownVersion = { version: '1.0.0', digest: 'sha256:1', approvedNeeds: { pods: ['get'] } };
const two: KnownVersion = { version: '2.0.0', digest: 'sha256:2' };
const three: PluginSpec = { version: '3.0.0', digest: 'sha256:3', config: { a: 1 } };
const nowMs = Date.parse('2026-01-01T00:00:00Z');
const until = (fallback: KnownVersion, minutes: number): PluginStatus['probation'] => ({
  fallback,
  until: new Date(nowMs + minutes * 60_000).toISOString(),
});
const plugin = (status: PluginStatus, spec = three): PluginObject =>
  ({ metadata: { name: 'x', generation: 4 }, spec, status }) as PluginObject;
const node = (change: Partial<PluginNode> = {}): PluginNode => ({
  name: 'a',
  phase: 'Quarantined',
  restarts: 4,
  sandbox: [],
  message: 'boom',
  gaveUp: three.digest,
  observedGeneration: 4,
  ...change,
});

test.each<[string, PluginStatus, string | undefined]>([
  ['on its way, a node gave it up', { lastGood: two, nodes: [node()] }, '2.0.0'],
  [
    'on its way, what was good last counts, not an older probation',
    { lastGood: two, probation: until(one, 5), nodes: [node()] },
    '2.0.0',
  ],
  [
    'well everywhere, and watched',
    { lastGood: { ...two, ...three }, probation: until(two, 5), nodes: [node()] },
    '2.0.0',
  ],
  ['the watch is over', { lastGood: { ...two, ...three }, probation: until(two, -1), nodes: [node()] }, undefined],
  ['nothing was good before', { nodes: [node()] }, undefined],
  ['all are well', { lastGood: two, nodes: [node({ phase: 'Active', gaveUp: undefined })] }, undefined],
  ['another version was given up', { lastGood: two, nodes: [node({ gaveUp: 'sha256:0' })] }, undefined],
  [
    'it was given up before it was asked for again',
    { lastGood: two, nodes: [node({ observedGeneration: 3 })] },
    undefined,
  ],
  ['it does not belong on that node any more', { lastGood: two, nodes: [node({ name: 'b' })] }, undefined],
  ['the same version with another configuration', { lastGood: { ...three }, nodes: [node()] }, undefined],
])('%s', (_what, status, version) => {
  const found = afterNodes(plugin(status), ['a'], nowMs);
  expect(found?.to.version).toBe(version as string);
  if (found) expect(found).toEqual({ of: attemptOf(three), to: two, why: 'on a: boom' });
});

test('it holds for what was given up, whatever the nodes and the pause; another attempt is another one', () => {
  const rollback = { of: attemptOf(three), to: one, why: 'x' };
  const held = plugin({ rollback }, { ...three, paused: true, nodes: { names: ['b'] } });
  expect(rollbackOf(held)).toEqual(rollback);
  expect(wantedOn(held)).toMatchObject({ ...one, config: { a: 1 }, paused: true });
  for (const change of [{ digest: 'sha256:4' }, { config: { a: 2 } }, { isolation: 'container' as const }]) {
    const next = plugin({ rollback }, { ...three, ...change });
    expect([rollbackOf(next), wantedOn(next)]).toEqual([undefined, next.spec!]);
  }
  expect(wantedOn(plugin({ rollback: { ...rollback, to: two } })).approvedNeeds).toEqual({});
});
