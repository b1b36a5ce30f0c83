import { expect, test } from 'bun:test';
import { clusterRoleKind, errors } from '#api';
import { type Clock, seededRandom, silentLog, systemClock } from '#base';
import { rejection } from '../../test/fixtures/rejection.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { createApiServer } from './server.ts';

/** Minutes pass at once. */
function hurriedClock(): Clock {
  let skippedMs = 0;
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + skippedMs,
    async sleep(ms, signal) {
      if (ms !== 250) return systemClock.sleep(ms, signal);
      skippedMs += ms;
      await systemClock.sleep(1, signal);
    },
  };
}
const start = (store: Store) =>
  createApiServer({
    store,
    clock: hurriedClock(),
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    advertise: { ip: '192.0.2.1', port: 6443 },
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });

/** A store whose creations fail as `fails` says: before they are written, or after. */
function withFaults(store: Store, fails: (creation: number) => 'before' | 'after' | undefined): Store {
  let count = 0;
  return new Proxy(store, {
    get(target, name) {
      if (name !== 'create') {
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return async (key: string, value: Uint8Array) => {
        const how = fails(++count);
        if (how === 'before') throw errors.unavailable('etcd does not answer');
        const entry = await target.create(key, value);
        if (how === 'after') throw errors.unavailable('etcd does not answer; whether it was written is not known');
        return entry;
      };
    },
  });
}

test('a store that is slow to answer at the start does not end the server, and nothing is missing', async () => {
  await using plain = await createMemoryStore();
  await using server = await start(plain);
  const [wanted] = [await plain.list('/registry/')];
  for (const how of ['before', 'after'] as const) {
    await using store = await createMemoryStore();
    await using faulty = await start(withFaults(store, (creation) => (creation % 7 === 3 ? how : undefined)));
    const { entries } = await store.list('/registry/');
    expect(entries.map(({ key }) => key)).toEqual(wanted.entries.map(({ key }) => key));
    expect(faulty.reader.list(clusterRoleKind)).toHaveLength(server.reader.list(clusterRoleKind).length);
  }
});

test('one that never answers ends it after half a minute', async () => {
  await using store = await createMemoryStore();
  expect(await rejection(start(withFaults(store, () => 'before')))).toMatchObject({ reason: 'ServiceUnavailable' });
});
