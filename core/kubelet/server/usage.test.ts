import { expect, test } from 'bun:test';
import type { Clock } from '#base';
import { type Look, nodeUsed, UsageSampler, usageBetween } from './usage.ts';

const container = (name: string, timeMs: number, cpuUsageNs: number) => ({
  podUid: 'u',
  container: name,
  timeMs,
  cpuUsageNs,
  memoryWorkingSetBytes: 7,
});
const rates = ({ containers }: ReturnType<typeof usageBetween>) => containers.map(({ nanoCores }) => nanoCores);
const windows = ({ containers }: ReturnType<typeof usageBetween>) => containers.map(({ windowMs }) => windowMs);

test.each([
  ['half a core for two seconds', [container('a', 1_000, 0)], [container('a', 3_000, 1e9)], [5e8]],
  ['a container that came since', [], [container('a', 3_000, 1e9)], [undefined]],
  ['one that was restarted', [container('a', 1_000, 5e9)], [container('a', 3_000, 1e9)], [undefined]],
  ['the same moment twice', [container('a', 1_000, 0)], [container('a', 1_000, 5)], [undefined]],
])('a rate lies between two looks: %s', (_, former, latest, wanted) => {
  const found = usageBetween({ containers: former }, { containers: latest });
  expect(rates(found)).toEqual(wanted);
  expect(windows(found)).toEqual(wanted.map((one) => (one === undefined ? undefined : 2_000)));
});

test('the node’s own use is read from /proc', () => {
  const stat = 'cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 2 3\nbtime 1700000000\n';
  const memory = 'MemTotal:       1000 kB\nMemFree: 100 kB\nMemAvailable:    400 kB\nAnonPages:   300 kB\n';
  expect(nodeUsed(stat, memory, 5)).toEqual({
    timeMs: 5,
    bootMs: 1_700_000_000_000,
    cpuUsageNs: (100 + 20 + 30 + 6 + 7 + 8) * 1e7,
    memoryAvailableBytes: 400 * 1024,
    memoryWorkingSetBytes: 600 * 1024,
    memoryRssBytes: 300 * 1024,
  });
  expect(nodeUsed('', '', 5)).toBeUndefined();
});

/** Time passes when somebody waits, and containers use a tenth of a core. */
function sampler(names: () => readonly string[]) {
  let [nowMs, looks] = [0, 0];
  const clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    soon: async () => {},
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  } satisfies Clock;
  const look = async (): Promise<Look> => {
    looks++;
    return { containers: names().map((name) => container(name, nowMs, nowMs * 1e5)) };
  };
  const made = new UsageSampler(look, clock);
  return { read: async () => rates(await made.read()), pass: (ms: number) => clock.sleep(ms), looks: () => looks };
}

test('the first who asks waits a second; others share answers, and a new container has a rate at once', async () => {
  const names = ['a'];
  const { read, pass, looks } = sampler(() => names);
  expect(await read()).toEqual([1e8]);
  expect(looks()).toBe(2);
  expect(await Promise.all([read(), read()])).toEqual([[1e8], [1e8]]);
  expect(looks()).toBe(2);
  await pass(15_000);
  expect(await read()).toEqual([1e8]);
  expect(looks()).toBe(3);
  names.push('b');
  await pass(15_000);
  expect(await read()).toEqual([1e8, 1e8]);
  await pass(120_000); // what was seen two minutes ago says nothing about now
  const before = looks();
  expect(await read()).toEqual([1e8, 1e8]);
  expect(looks()).toBe(before + 2);
});
