import { expect, test } from 'bun:test';
import { type Clock, silentLog, systemClock } from '#base';
import type { PodNetwork } from '#net/pod';
import { mendEveryMs, NetworkKeeper } from './network-keeper.ts';

function network(prepare: () => Promise<void>): PodNetwork {
  return { name: 'test', prepare } as unknown as PodNetwork;
}

test('the pod network is prepared again in a bounded period, also after a failure', async () => {
  const abort = new AbortController();
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms) => {
      waits.push(ms);
      if (waits.length === 4) abort.abort();
    },
  };
  let calls = 0;
  const keeper = new NetworkKeeper({
    network: network(async () => {
      if (++calls === 1) throw new Error('the engine is just writing its rules');
    }),
    clock,
    log: silentLog,
    signal: abort.signal,
  });
  await keeper.keep();
  expect(calls).toBe(3);
  expect(waits).toEqual(Array(4).fill(mendEveryMs));
});

test('one mending at a time; a call in between asks for one more', async () => {
  const gates: (() => void)[] = [];
  let running = 0;
  const keeper = new NetworkKeeper({
    network: network(async () => {
      expect(++running).toBe(1);
      await new Promise<void>((resolve) => gates.push(resolve));
      running--;
    }),
    clock: systemClock,
    log: silentLog,
    signal: new AbortController().signal,
  });
  const first = keeper.mend();
  const others = [keeper.mend(), keeper.mend(), keeper.mend()];
  gates.shift()!();
  while (gates.length === 0) await systemClock.soon();
  gates.shift()!();
  await Promise.all([first, ...others]);
  expect(gates.length).toBe(0);
});
