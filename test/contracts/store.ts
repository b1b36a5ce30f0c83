import { describe, expect, test } from 'bun:test';
import { compareVersions, type ResourceVersion } from '#api';
import { type Store, type StoreEvent, valueBytesMax } from '../../core/store/store.ts';
import { checkStoreAgainstModel, collect } from './store-model.ts';

export interface StoreFixture extends AsyncDisposable {
  readonly store: Store;
  /** Closes the store and opens the same data again; absent where nothing outlives the store. */
  reopen?(): Promise<Store>;
}

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (value: Uint8Array | undefined) => value && new TextDecoder().decode(value);
const reasonOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: { reason?: string }) => error.reason ?? String(error),
  );

async function take(events: AsyncIterable<StoreEvent>, count: number): Promise<StoreEvent[]> {
  const taken: StoreEvent[] = [];
  for await (const event of events) {
    if (event.type === 'progress') continue;
    if (taken.push(event) === count) break;
  }
  return taken;
}

/** Every store passes this. `make` gives an empty one. */
export function storeContract(name: string, make: () => Promise<StoreFixture>): void {
  describe(`store contract: ${name}`, () => {
    for (const seed of [1, 2, 3])
      test(`a random history matches the model (seed ${seed})`, async () => {
        await using fixture = await make();
        await checkStoreAgainstModel(fixture.store, '/registry/pods/', seed);
      });
    writes(make);
    watches(make);
    epochs(make);
    limits(make);
  });
}

function writes(make: () => Promise<StoreFixture>): void {
  test('of 64 creations of one key exactly one wins', async () => {
    await using fixture = await make();
    const reasons = await Promise.all(
      Array.from({ length: 64 }, () => reasonOf(fixture.store.create('/k', encode('v')))),
    );
    expect(reasons.filter((reason) => reason === 'none')).toHaveLength(1);
    expect(reasons.filter((reason) => reason === 'AlreadyExists')).toHaveLength(63);
  });

  test('concurrent compare-and-set loses no update', async () => {
    await using fixture = await make();
    const { store } = fixture;
    await store.create('/counter', encode('0'));
    const add = async () => {
      for (;;) {
        const entry = (await store.get('/counter'))!;
        const next = encode(String(Number(decode(entry.value)) + 1));
        if ((await reasonOf(store.update('/counter', next, entry.version))) === 'none') return;
      }
    };
    await Promise.all(Array.from({ length: 8 }, add));
    expect(decode((await store.get('/counter'))!.value)).toBe('8');
  });

  test('in one turn a creation is refused that was judged before another', async () => {
    await using fixture = await make();
    const { store } = fixture;
    const since = await store.version();
    const create = (key: string, name: string, at = since) => store.create(key, encode(key), { name, since: at });
    const reasons = await Promise.all(
      Array.from({ length: 16 }, (_, index) => reasonOf(create(`/turn/${index}`, 'addresses'))),
    );
    expect(reasons.filter((reason) => reason === 'none')).toHaveLength(1);
    expect(reasons.filter((reason) => reason === 'Conflict')).toHaveLength(15);
    const { entries, version } = await store.list('/turn/');
    expect(entries).toHaveLength(1); // what was refused is not there
    expect(await reasonOf(create('/other', 'ports'))).toBe('none');
    await store.create('/free', encode('in no turn'));
    expect(await reasonOf(create('/turn/late', 'addresses'))).toBe('Conflict');
    expect(await reasonOf(create('/turn/late', 'addresses', version))).toBe('none'); // others' turns do not count
    expect(await reasonOf(create(entries[0]!.key, 'addresses', await store.version()))).toBe('AlreadyExists');
    expect((await store.list('/')).entries).toHaveLength(4); // and nothing else can be seen
  });

  test('an empty value and 1.5 MiB are kept exactly; one byte more is refused', async () => {
    await using fixture = await make();
    const { store } = fixture;
    await store.create('/empty', new Uint8Array());
    const large = new Uint8Array(valueBytesMax - 4096).map((_byte, index) => index % 251);
    await store.create('/large', large);
    expect((await store.get('/empty'))!.value).toHaveLength(0);
    expect(Buffer.compare((await store.get('/large'))!.value, large)).toBe(0);
    expect(await reasonOf(store.create('/too-large', new Uint8Array(valueBytesMax + 1)))).toBe('RequestEntityTooLarge');
    expect(await store.get('/too-large')).toBeUndefined();
  });

  test('state and history outlive a reopening', async () => {
    await using fixture = await make();
    if (!fixture.reopen) return;
    const first = await fixture.store.create('/a/1', encode('one'));
    await fixture.store.update('/a/1', encode('two'), first.version);
    const removed = await fixture.store.delete('/a/1', undefined);
    const store = await fixture.reopen();
    expect(compareVersions(await store.version(), removed.version)).toBeGreaterThanOrEqual(0);
    const events = await take(store.watch('/a/', first.version, new AbortController().signal), 2);
    expect(events.map((event) => event.type)).toEqual(['put', 'delete']);
    const next = await store.create('/a/2', encode('three'));
    expect(compareVersions(next.version, removed.version)).toBeGreaterThan(0);
  });
}

function watches(make: () => Promise<StoreFixture>): void {
  test('a watch sees its prefix only, and a progress stands for the rest', async () => {
    await using fixture = await make();
    const { store } = fixture;
    const start = await store.version();
    const controller = new AbortController();
    const iterator = store.watch('/a/', start, controller.signal)[Symbol.asyncIterator]();
    const next = iterator.next();
    await store.create('/b/1', encode('elsewhere'));
    const mine = await store.create('/a/1', encode('mine'));
    const seen: StoreEvent[] = [(await next).value as StoreEvent];
    while (seen.at(-1)!.type === 'progress') seen.push((await iterator.next()).value as StoreEvent);
    expect(seen.at(-1)).toMatchObject({ type: 'put', entry: { key: '/a/1', version: mine.version } });
    const other = await store.create('/b/2', encode('elsewhere'));
    const progress = (await iterator.next()).value as StoreEvent;
    expect(progress.type).toBe('progress');
    expect(compareVersions((progress as { version: ResourceVersion }).version, other.version)).toBe(0);
    const end = iterator.next();
    controller.abort();
    expect((await end).done).toBe(true);
  });

  test('a watcher that sleeps through more than its buffer loses nothing', async () => {
    await using fixture = await make();
    const { store } = fixture;
    const start = await store.version();
    const controller = new AbortController();
    const iterator = store.watch('/s/', start, controller.signal)[Symbol.asyncIterator]();
    const first = iterator.next();
    const count = 1500; // the buffer holds 1024
    for (let from = 0; from < count; from += 100)
      await Promise.all(Array.from({ length: 100 }, (_, index) => store.create(`/s/${from + index}`, encode('x'))));
    const versions: string[] = [];
    for (let result = await first; ; result = await iterator.next()) {
      const event = result.value as StoreEvent;
      if (event.type === 'put') versions.push(event.entry.version);
      if (versions.length === count) break;
    }
    controller.abort();
    expect(new Set(versions).size).toBe(count);
    expect(versions.toSorted(compareVersions)).toEqual(versions);
  }); // etcd takes 800 writes a second on two busy cores

  test('compaction: what is old is Expired, what is current stays', async () => {
    await using fixture = await make();
    const { store } = fixture;
    const first = await store.create('/c/1', encode('one'));
    await store.create('/c/kept', encode('kept'));
    await store.update('/c/1', encode('two'), first.version);
    await store.create('/c/gone', encode('gone'));
    await store.delete('/c/gone', undefined);
    const bound = await store.version();
    await store.compact(bound);
    const watch = async () => {
      for await (const _event of store.watch('/c/', first.version, new AbortController().signal)) return;
    };
    expect(await reasonOf(watch())).toBe('Expired');
    expect(await reasonOf(store.list('/c/', { limit: 10, at: first.version }))).toBe('Expired');
    expect((await store.list('/c/')).entries.map((entry) => decode(entry.value))).toEqual(['two', 'kept']);
    const at = await store.list('/c/', { limit: 10, at: bound });
    expect(at.entries).toHaveLength(2);
    const updated = await store.update('/c/kept', encode('newer'), undefined);
    const [event] = await take(store.watch('/c/', bound, new AbortController().signal), 1);
    expect(event).toMatchObject({ type: 'put', entry: { version: updated.version } });
    await store.compact(bound); // again: nothing happens
  });

  test('events of concurrent writers come in the order of their versions', async () => {
    await using fixture = await make();
    const { store } = fixture;
    const start = await store.version();
    const events = collect(store, '/o/', start);
    await Promise.all(Array.from({ length: 200 }, (_, index) => store.create(`/o/${index}`, encode('x'))));
    await store.create('/o/~end', encode('end'));
    const versions = (await events).map((event) => (event.type === 'put' ? event.entry.version : ''));
    expect(versions).toHaveLength(201);
    expect(versions.toSorted(compareVersions)).toEqual(versions);
  });
}

function epochs(make: () => Promise<StoreFixture>): void {
  test('a new epoch expires every older version and keeps every entry', async () => {
    await using fixture = await make();
    let { store } = fixture;
    const old = await store.create('/e/kept', encode('one'));
    await store.update('/e/kept', encode('two'), old.version);
    await store.create('/e/gone', encode('x'));
    await store.delete('/e/gone', undefined);
    const before = await store.version();
    const unknown = String(Number(before) + 500) as ResourceVersion; // acknowledged after the snapshot was taken
    const live = reasonOf(take(store.watch('/e/', before, new AbortController().signal), 1));
    const first = await store.newEpoch();
    expect(compareVersions(first, unknown)).toBeGreaterThan(0);
    expect(await live).toBe('Expired');
    if (fixture.reopen) store = await fixture.reopen();
    expect(compareVersions(await store.version(), first)).toBeGreaterThanOrEqual(0);
    for (const version of [old.version, before, unknown]) {
      expect(await reasonOf(take(store.watch('/e/', version, new AbortController().signal), 1))).toBe('Expired');
      expect(await reasonOf(store.list('/e/', { limit: 10, at: version }))).toBe('Expired');
      expect(await reasonOf(store.update('/e/kept', encode('lost'), version))).toBe('Conflict');
    }
    const { entries } = await store.list('/e/');
    expect(entries.map(({ key, value }) => [key, decode(value)])).toEqual([['/e/kept', 'two']]);
    const next = await store.update('/e/kept', encode('three'), entries[0]!.version);
    expect(compareVersions(next.version, first)).toBeGreaterThan(0);
    const second = await store.newEpoch(next.version); // the same snapshot once more: above what was handed out since
    expect(compareVersions(second, String(Number(first) + 2 ** 39))).toBeGreaterThan(0);
    const after = await store.create('/e/after', encode('x'));
    const [event] = await take(store.watch('/e/', second, new AbortController().signal), 1);
    expect(event).toMatchObject({ type: 'put', entry: { key: '/e/after', version: after.version } });
  });
}

function limits(make: () => Promise<StoreFixture>): void {
  test('a list at a version that does not exist yet is refused', async () => {
    await using fixture = await make();
    const future = String(Number(await fixture.store.version()) + 1000) as ResourceVersion;
    expect(await reasonOf(fixture.store.list('/', { limit: 1, at: future }))).toBe('Timeout');
  });

  test('a closed store refuses, and its watches end with an error', async () => {
    const fixture = await make();
    const start = await fixture.store.version();
    const watch = async () => {
      for await (const _event of fixture.store.watch('/', start, new AbortController().signal));
    };
    const ended = reasonOf(watch());
    await fixture.store[Symbol.asyncDispose]();
    expect(await ended).toBe('ServiceUnavailable');
    expect(await reasonOf(fixture.store.create('/x', encode('x')))).toBe('ServiceUnavailable');
    await fixture[Symbol.asyncDispose]();
  });
}
