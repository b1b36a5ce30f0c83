import { expect, test } from 'bun:test';
import { silentLog, systemClock } from '#base';
import { until } from '../../test/fixtures/eventually.ts';
import { type ProxyOptions, startProxy } from './proxy.ts';

test('when another stands behind the proxy the table is applied at once, also while a failure is waited out', async () => {
  const empty = {
    cache: { list: () => [], get: () => undefined, byIndex: () => [] },
    synced: Promise.resolve(),
    onChange: () => ({ [Symbol.dispose]() {} }),
    addIndex() {},
  };
  let applied = 0;
  let fails = false;
  let changed = (): void => {};
  const clock = { ...systemClock, sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(600_000, signal) }; // nothing happens by itself
  await using _loop = await startProxy({
    client: {},
    informers: { informer: () => empty },
    proxy: {
      name: 'p',
      async apply() {
        applied++;
        if (fails) throw new Error('its plugin is away');
        return { refused: [] };
      },
    },
    nodeName: 'n1',
    podRanges: [],
    onChange(handler: () => void) {
      changed = handler;
      return { [Symbol.dispose]() {} };
    },
    clock,
    log: silentLog,
    events: {},
  } as unknown as ProxyOptions);
  expect(applied).toBe(1);
  changed();
  await until(() => applied === 2);
  fails = true;
  changed();
  await until(() => applied === 3);
  fails = false;
  changed();
  await until(() => applied === 4);
});
