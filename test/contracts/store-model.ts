import { compareVersions, isReason, type ResourceVersion, StatusError } from '#api';
import { type Random, seededRandom, systemClock } from '#base';
import { compareKeys } from '../../core/store/key.ts';
import type { Entry, Store, StoreEvent } from '../../core/store/store.ts';

/** What a store says, independent of any implementation: every write that happened, in order. */
interface Change {
  readonly key: string;
  readonly text: string | undefined;
  readonly version: ResourceVersion;
  readonly previous: ResourceVersion | undefined;
}

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (value: Uint8Array) => new TextDecoder().decode(value);
const show = (value: unknown) => JSON.stringify(value);

function must(condition: unknown, what: string, ...values: unknown[]): asserts condition {
  if (!condition) throw new Error(`the store broke its contract: ${what} ${values.map(show).join(' ')}`);
}

/**
 * Drives a store with a random history and holds it against a model: outcomes, reads, pages, states at old versions,
 * watches from every kind of start. Throws at the first difference. `prefix` must be unused.
 */
export async function checkStoreAgainstModel(store: Store, prefix: string, seed: number, steps = 120): Promise<void> {
  const random = seededRandom(seed);
  const start = await store.version();
  const changes: Change[] = [];
  const live = collect(store, prefix, start);
  live.catch(() => {}); // awaited below; a difference found before must win
  for (let step = 0; step < steps; step++) await takeStep(store, prefix, random, changes, step);
  const last = await store.create(prefix + marker, encode('end'));
  changes.push({ key: last.key, text: 'end', version: last.version, previous: undefined });
  for (let index = 1; index < changes.length; index++)
    must(
      compareVersions(changes[index]!.version, changes[index - 1]!.version) > 0,
      'versions must rise',
      changes[index],
    );
  compareEvents(await live, changes, 'live watch');
  for (const part of [0, 0.3, 0.6, 0.9]) {
    const from = Math.floor(changes.length * part);
    const since = from === 0 ? start : changes[from - 1]!.version;
    compareEvents(await collect(store, prefix, since), changes.slice(from), `watch since ${since}`);
    await comparePages(store, prefix, since, stateOf(changes.slice(0, from)), random);
  }
  await comparePages(store, prefix, undefined, stateOf(changes), random);
}

async function takeStep(store: Store, prefix: string, random: Random, changes: Change[], step: number): Promise<void> {
  const key = `${prefix}${pick(random, ['a', 'b', 'b/c', 'ba', 'c', 'd', 'd.e', 'é'])}`;
  const present = stateOf(changes).get(key);
  const versions = changes.filter((change) => change.key === key).map((change) => change.version);
  const stale = versions.length > 1 ? versions[0] : undefined;
  const expected = pick(random, [undefined, present?.version, present?.version, stale]);
  const text = `value ${step}`;
  const verb = pick(random, ['create', 'create', 'update', 'update', 'update', 'delete', 'get'] as const);
  if (verb === 'get') {
    const found = await store.get(key);
    must(found?.version === present?.version, 'get gives the newest version', key, found?.version, present?.version);
    if (found) must(decode(found.value) === present!.text, 'get gives the newest value', key);
    return;
  }
  const refusal =
    verb === 'create'
      ? present && 'AlreadyExists'
      : !present
        ? 'NotFound'
        : expected !== undefined && expected !== present.version
          ? 'Conflict'
          : undefined;
  let entry: Entry;
  try {
    if (verb === 'create') entry = await store.create(key, encode(text));
    else if (verb === 'update') entry = await store.update(key, encode(text), expected);
    else entry = await store.delete(key, expected);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    must(
      refusal !== undefined && isReason(error, refusal),
      `${verb} refuses as it should`,
      refusal,
      error.reason,
      error.message,
    );
    return;
  }
  must(refusal === undefined, `${verb} must be refused`, key, refusal);
  must(entry.key === key, 'the answer names the key', entry.key);
  must(decode(entry.value) === (verb === 'delete' ? present!.text : text), `${verb} answers the value`, key);
  changes.push({ key, text: verb === 'delete' ? undefined : text, version: entry.version, previous: present?.version });
}

function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random.next() * choices.length)]!;
}

function stateOf(changes: readonly Change[]): Map<string, Change> {
  const state = new Map<string, Change>();
  for (const change of changes) {
    if (change.text === undefined) state.delete(change.key);
    else state.set(change.key, change);
  }
  return state;
}

const marker = '~end';
const silenceMsMax = 30_000;

/** Events up to the marker. A store that falls silent before it is a failure. */
export async function collect(store: Store, prefix: string, since: ResourceVersion): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  const controller = new AbortController();
  const read = (async () => {
    for await (const event of store.watch(prefix, since, controller.signal)) {
      if (event.type === 'progress') continue;
      events.push(event);
      if (event.type === 'put' && event.entry.key.endsWith(marker)) return true;
    }
    return false;
  })();
  const silence = systemClock.sleep(silenceMsMax, controller.signal).then(() => false);
  const complete = await Promise.race([read, silence]);
  controller.abort();
  must(complete, 'a watch delivers every event', events.length);
  return events;
}

function compareEvents(events: readonly StoreEvent[], changes: readonly Change[], where: string): void {
  const seen = events.map((event) => {
    if (event.type === 'put') must(event.previous !== null, `${where}: a creation has no previous`, event.entry.key);
    if (event.type === 'put')
      return [event.type, event.entry.key, event.entry.version, decode(event.entry.value), event.previous?.version];
    return event.type === 'delete'
      ? [event.type, event.previous.key, event.version, event.previous.version]
      : [event.type];
  });
  const expected = changes.map(({ key, version, text, previous }) =>
    text === undefined ? ['delete', key, version, previous] : ['put', key, version, text, previous],
  );
  const length = Math.max(seen.length, expected.length);
  for (let index = 0; index < length; index++)
    must(
      show(seen[index]) === show(expected[index]),
      `${where}: event ${index}`,
      seen[index] ?? null,
      expected[index] ?? null,
    );
}

async function comparePages(
  store: Store,
  prefix: string,
  at: ResourceVersion | undefined,
  state: ReadonlyMap<string, Change>,
  random: Random,
): Promise<void> {
  const expected = [...state.values()].sort((a, b) => compareKeys(a.key, b.key));
  const found: Entry[] = [];
  let after: string | undefined;
  let version = at;
  for (let more = true; more; ) {
    const page = await store.list(prefix, { limit: 1 + Math.floor(random.next() * 4), after, at: version });
    must(version === undefined || page.version === version, 'a page keeps its version', page.version, version);
    version = page.version;
    found.push(...page.entries);
    more = page.more;
    must(!more || page.entries.length > 0, 'a page that says more has entries');
    after = page.entries.at(-1)?.key;
  }
  const texts = (entries: readonly Entry[]) => entries.map((entry) => [entry.key, entry.version, decode(entry.value)]);
  const wanted = expected.map(({ key, version, text }) => [key, version, text]);
  must(show(texts(found)) === show(wanted), `list at ${at ?? 'now'} in pages`, texts(found), wanted);
  if (at !== undefined) return;
  const whole = await store.list(prefix);
  must(!whole.more && show(texts(whole.entries)) === show(wanted), 'list in one', texts(whole.entries), wanted);
}
