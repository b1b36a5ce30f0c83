import { expect, test } from 'bun:test';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import { collect } from '../core/sdk/plugin/start.ts';
import canary from '../examples/canary-plugin/plugin.ts';
import { canaryPods, nextMove } from '../examples/canary-plugin/sizes.ts';

const wanted = (percent: number, pods = 4, stepPods = 1) => ({ pods, percent, stepPods });
const side = (size: number, ready = size) => ({ size, ready });

test.each([
  [0, 4, 0],
  [1, 4, 1], // some as soon as any are wanted
  [25, 4, 1],
  [50, 5, 3],
  [99, 4, 3], // all only when all are wanted
  [100, 4, 4],
])('%p %% of %p pods are %p', (percent, pods, expected) => {
  expect(canaryPods(wanted(percent, pods))).toBe(expected);
});

test.each([
  ['the canary grows first', 50, side(4), side(0), { stable: 4, canary: 1, phase: 'Shifting' }],
  ['and waits for its pod', 50, side(4), side(1, 0), { stable: 4, canary: 1, phase: 'Waiting' }],
  ['then the other gives one up', 50, side(4), side(1), { stable: 3, canary: 1, phase: 'Shifting' }],
  ['and so on', 50, side(3), side(1), { stable: 3, canary: 2, phase: 'Shifting' }],
  ['until it is done', 50, side(2), side(2), { stable: 2, canary: 2, phase: 'Done' }],
  ['all of it', 100, side(1), side(3), { stable: 1, canary: 4, phase: 'Shifting' }],
  ['back to nothing: the stable side grows first', 0, side(2), side(2), { stable: 3, canary: 2, phase: 'Shifting' }],
  ['and the canary gives up', 0, side(3), side(2), { stable: 3, canary: 1, phase: 'Shifting' }],
  [
    'a canary that fails does not hold up the way back',
    0,
    side(4),
    side(1, 0),
    { stable: 4, canary: 0, phase: 'Shifting' },
  ],
  ['too few of both', 50, side(1), side(2), { stable: 2, canary: 2, phase: 'Shifting' }],
])('%s', (_what, percent, stable, canary, expected) => {
  expect(nextMove(wanted(percent), stable, canary)).toEqual(expected as never);
});

test('from anywhere to anywhere it comes to the end, and never has fewer ready pods than wanted on the way', () => {
  for (const pods of [2, 3, 7])
    for (const stepPods of [1, 3])
      for (let from = 0; from <= pods; from++)
        for (const percent of [0, 10, 50, 90, 100]) {
          let [stable, canary] = [pods - from, from];
          let phase = '';
          for (let turn = 0; turn < 40 && phase !== 'Done'; turn++) {
            const next = nextMove(wanted(percent, pods, stepPods), side(stable), side(canary));
            [stable, canary, phase] = [next.stable, next.canary, next.phase];
            expect(stable + canary).toBeGreaterThanOrEqual(pods);
            expect(stable + canary).toBeLessThanOrEqual(pods + stepPods);
          }
          expect([phase, stable, canary]).toEqual([
            'Done',
            pods - canaryPods(wanted(percent, pods)),
            canaryPods(wanted(percent, pods)),
          ]);
        }
});

/** What setup() registers, without a cluster. */
async function contributions(config = {}) {
  await using scope = new Scope();
  const metrics = { counter: () => ({ inc() {} }), gauge: () => ({ set() {} }) };
  const seams = { clock: systemClock, random: seededRandom(1), log: silentLog };
  return collect(canary, { ...seams, client: {} as never, informers: {} as never, metrics, config }, scope);
}

test('its share may not jump: a creation from nothing, a change from where the shift has come to', async () => {
  const { validators } = await contributions({ jumpPercent: 30 });
  const judge = (percent: number, now?: number) =>
    validators[0]!.judge({
      operation: now === undefined ? 'CREATE' : 'UPDATE',
      object: { spec: { percent } },
      old: now === undefined ? undefined : { spec: { percent: 100 }, status: { percent: now } },
    } as never);
  expect(await judge(30)).toBe(true);
  expect(await judge(31)).toBe('spec.percent may rise by 30 at once, and it is 0 now');
  expect(await judge(80, 50)).toBe(true);
  expect(await judge(81, 50)).toContain('it is 50 now');
  expect(await judge(0, 100)).toBe(true); // back is always allowed
});

test('pods of a canary stay away from nodes that say so, others do not', async () => {
  const { scheduling } = await contributions();
  const nodes = [{ metadata: { labels: { 'canary.example.com/keep-out': 'true' } } }, { metadata: {} }];
  const filter = (labels?: object) => scheduling[0]!.filter!({ metadata: { labels } } as never, nodes as never);
  expect(await filter({ 'canary.example.com/track': 'canary' })).toEqual(['the node takes no canaries', true]);
  expect(await filter({ 'canary.example.com/track': 'stable' })).toEqual([true, true]);
  expect(await filter()).toEqual([true, true]);
});
