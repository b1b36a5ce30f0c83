import { expect, test } from 'bun:test';
import { storeContract } from '../../test/contracts/store.ts';
import { checkStoreAgainstModel } from '../../test/contracts/store-model.ts';
import { rejection } from '../../test/fixtures/rejection.ts';
import { createMemoryStore } from './memory.ts';
import type { Store, StoreEvent } from './store.ts';
import { versionText } from './version.ts';

storeContract('memory', async () => {
  const store = await createMemoryStore();
  return { store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
});

test('the log is bounded: the oldest history expires by itself', async () => {
  await using store = await createMemoryStore({ logEventsMax: 8 });
  for (let index = 0; index < 40; index++) await store.create(`/${index}`, new Uint8Array());
  const watch = async () => {
    for await (const _event of store.watch('/', versionText(1), new AbortController().signal));
  };
  expect(await rejection(watch())).toMatchObject({ reason: 'Expired' });
});

/** Each is a mistake a store could make; the model must see every one of them. */
const mistakes: Record<string, (store: Store) => Partial<Store>> = {
  'a watch that drops one event': (store) => ({
    async *watch(prefix, since, signal) {
      let count = 0;
      for await (const event of store.watch(prefix, since, signal)) if (++count !== 7) yield event;
    },
  }),
  'a watch that repeats an event': (store) => ({
    async *watch(prefix, since, signal) {
      let count = 0;
      for await (const event of store.watch(prefix, since, signal)) {
        yield event;
        if (++count === 5) yield event;
      }
    },
  }),
  'a watch that swaps two events': (store) => ({
    async *watch(prefix, since, signal) {
      let held: StoreEvent | undefined;
      let count = 0;
      for await (const event of store.watch(prefix, since, signal)) {
        if (++count === 4) held = event;
        else yield event;
        if (count === 5) yield held!;
      }
    },
  }),
  'an update that ignores the expected version': (store) => ({
    update: (key, value) => store.update(key, value, undefined),
  }),
  'a creation that overwrites': (store) => ({
    create: (key, value) => store.create(key, value).catch(() => store.update(key, value, undefined)),
  }),
  'a deletion that does nothing': (store) => ({
    delete: async (key) => (await store.get(key)) ?? store.delete(key, undefined),
  }),
  'a list that forgets the last entry': (store) => ({
    async list(prefix, page) {
      const answer = await store.list(prefix, page);
      return answer.more ? answer : { ...answer, entries: answer.entries.slice(0, -1) };
    },
  }),
  'a list that ignores the version asked for': (store) => ({
    list: (prefix, page) => store.list(prefix, page && { ...page, at: undefined }),
  }),
  'a read that is stale': (store) => {
    const cache = new Map<string, ReturnType<Store['get']>>();
    return { get: (key) => cache.get(key) ?? cache.set(key, store.get(key)).get(key)! };
  },
  'versions that stand still': (store) => ({
    update: async (key, value, expected) => ({
      ...(await store.update(key, value, expected)),
      version: versionText(1),
    }),
  }),
};

for (const [mistake, breakIt] of Object.entries(mistakes))
  test(`the model rejects ${mistake}`, async () => {
    await using store = await createMemoryStore();
    const changed = breakIt(store);
    const broken = new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(changed, name) ?? Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    expect((await rejection(checkStoreAgainstModel(broken, '/m/', 1))).message).toMatch('the store broke its contract');
  });
