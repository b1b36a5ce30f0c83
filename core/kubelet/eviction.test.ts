import { expect, test } from 'bun:test';
import type { Pod } from '#api';
import { type Exec, silentLog, systemClock } from '#base';
import { type EvictablePod, evictOverLimit, limitedVolumes } from './eviction.ts';

const pod = (spec: Partial<NonNullable<Pod['spec']>>): Pod => ({
  metadata: { name: 'p' },
  spec: { containers: [], ...spec },
});

test('limits count on disk only, and never for critical pods', () => {
  const volumes = [
    { name: 'a', emptyDir: {} },
    { name: 'b', emptyDir: { sizeLimit: '1Mi' } },
    { name: 'm', emptyDir: { sizeLimit: '1Mi', medium: 'Memory' } },
    { name: 'h', hostPath: { path: '/x' } },
  ];
  expect(limitedVolumes(pod({ volumes }))).toEqual([{ name: 'b', limitBytes: 1024 ** 2, limit: '1Mi' }]);
  expect(limitedVolumes(pod({ volumes, priority: 2_000_000_000 }))).toEqual([]);
});

test('who uses more than its limit is evicted, once', async () => {
  const abort = new AbortController();
  let rounds = 0;
  const clock = { ...systemClock, sleep: async () => void (++rounds === 4 && abort.abort()) };
  const usedKiB: Record<string, number[]> = { over: [10, 2000, 2000], under: [10, 1024, 10] };
  const exec: Exec = {
    run: async (argv) => {
      const name = argv[2]!.split('/')[2]!;
      return { code: 0, stdout: `${usedKiB[name]!.shift()}\t${argv[2]}\n`, stderr: '' };
    },
  };
  const told: string[] = [];
  const target = (name: string): EvictablePod => {
    const state = { ended: false };
    return {
      pod: pod({ volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }] }),
      get hasEnded() {
        return state.ended;
      },
      volumes: { folder: `/pods/${name}` },
      evict: (message) => {
        state.ended = true;
        told.push(`${name}: ${message}`);
      },
    };
  };
  const pods = [target('over'), target('under')];
  await evictOverLimit({ pods: () => pods, exec, clock, log: silentLog, signal: abort.signal });
  expect(told).toEqual(['over: Usage of EmptyDir volume "v" exceeds the limit "1Mi". ']);
});
