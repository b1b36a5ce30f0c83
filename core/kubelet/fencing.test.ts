import { expect, test } from 'bun:test';
import type { Pod, Toleration } from '#api';
import { fenceOf } from './fencing.ts';

const key = 'node.kubernetes.io/unreachable';
const pod = (...tolerations: Toleration[]): Pod => ({ metadata: { name: 'p' }, spec: { containers: [], tolerations } });
const noExecute = { key, operator: 'Exists', effect: 'NoExecute' } as const;

const table: readonly [
  what: string,
  pod: Pod,
  graceMs: number,
  afterMs: number | undefined,
  stopMs: number | undefined,
][] = [
  ['with the cluster’s own 20 s', pod({ ...noExecute, tolerationSeconds: 20 }), 10_000, 22_000, 4_000],
  ['with five minutes', pod({ ...noExecute, tolerationSeconds: 300 }), 10_000, 302_000, 4_000],
  ['that tolerates nothing', pod(), 12_000, 8_000, 2_000],
  ['that tolerates other things', pod({ key: 'x', operator: 'Exists' }), 12_000, 8_000, 2_000],
  ['that tolerates it for ever', pod(noExecute), 10_000, undefined, undefined],
  ['that tolerates everything', pod({ operator: 'Exists' }), 10_000, undefined, undefined],
  [
    'with several times: the shortest',
    pod({ ...noExecute, tolerationSeconds: 20 }, { operator: 'Exists', tolerationSeconds: 80 }),
    10_000,
    22_000,
    4_000,
  ],
  ['whose toleration is for scheduling only', pod({ ...noExecute, effect: 'NoSchedule' }), 12_000, 8_000, 2_000],
];
test.each(table)('a pod %s', (_what, object, graceMs, afterMs, stopMs) => {
  expect(fenceOf(object, graceMs)).toEqual(afterMs === undefined ? undefined : { afterMs, stopMs: stopMs! });
});

test('every pod has ended before it is replaced', () => {
  for (let graceMs = 4_000; graceMs < 60_000; graceMs += 3_000)
    for (const seconds of [0, 1, 5, 20, 300]) {
      const { afterMs, stopMs } = fenceOf(pod({ ...noExecute, tolerationSeconds: seconds }), graceMs)!;
      expect(afterMs + stopMs).toBeLessThan(graceMs + seconds * 1000);
    }
});
