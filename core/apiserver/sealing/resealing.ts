import { isReason } from '#api';
import { type Clock, type Log, messageOf } from '#base';
import type { Entry, Store } from '../../store/store.ts';
import type { RootKeys } from './root-keys.ts';
import { seal, sealedWith, unseal } from './seal.ts';

const pageEntries = 200;
/** Written at once: enough to share one sync of the disk, few enough to leave it to others. */
const writersMax = 16;
const reportEvery = 160;
const lookEveryMs = 1_000;
/** An API server that shares the keys may still be committing what it sealed before it saw the new one. */
export const graceMs = 10_000;

export interface SealingStatus {
  /** Of the key that seals. */
  readonly key: string;
  /** Secrets in the store, those sealed with that key, and those that no key opens. */
  readonly secrets: number;
  readonly sealed: number;
  readonly unreadable: number;
  /** Older keys that are still kept. */
  readonly older: readonly string[];
  /** True: everything that can be opened is sealed with the first key, and the older ones are gone. */
  readonly done: boolean;
}
export interface ResealingOptions {
  /** The store itself, below the sealing. */
  readonly store: Store;
  readonly prefix: string;
  readonly keys: RootKeys;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  report?(status: SealingStatus): void;
}

/**
 * Keeps everything below the prefix sealed with the first key: looks at what is there, and never at what it did before. So it does not
 * matter when it is killed, and rotation is nothing more than adding a key. Older keys go when nothing needs them. Never rejects.
 */
export async function keepSealed(options: ResealingOptions): Promise<void> {
  const { keys, clock, log, signal } = options;
  let settled = '';
  while (!signal.aborted) {
    try {
      const key = keys.first().id;
      if (settled !== `${key} ${keys.older()}`) {
        settled = '';
        const done = await reseal(options);
        if (done && (await removeOlder(options))) settled = `${keys.first().id} ${keys.older()}`;
      }
    } catch (error) {
      log.warn('secrets could not be sealed with the newest key yet', { error: messageOf(error) });
    }
    await clock.sleep(lookEveryMs, signal);
  }
}

interface Survey {
  secrets: number;
  sealed: number;
  unreadable: number;
  /** Keys of what has to be sealed anew. */
  readonly stale: string[];
  /** Ids of all keys that something is sealed with. */
  readonly ids: Set<string>;
}

async function survey({ store, prefix, keys }: ResealingOptions): Promise<Survey> {
  const found: Survey = { secrets: 0, sealed: 0, unreadable: 0, stale: [], ids: new Set() };
  const first = keys.first().id;
  let after: string | undefined;
  do {
    const page = await store.list(prefix, { limit: pageEntries, after });
    for (const entry of page.entries) {
      const id = sealedWith(entry.value);
      if (id !== undefined) found.ids.add(id);
      if (!open(keys, entry)) found.unreadable++;
      else if (id === first) found.sealed++;
      else found.stale.push(entry.key);
    }
    found.secrets += page.entries.length;
    after = page.more ? page.entries.at(-1)!.key : undefined;
  } while (after !== undefined);
  return found;
}

/** One pass over everything. True when nothing is left to do; `isLast` says so to the reader of the status. */
async function reseal(options: ResealingOptions, isLast = options.keys.older().length === 0): Promise<boolean> {
  const { store, keys, signal, report } = options;
  const found = await survey(options);
  const tell = (done: boolean) => {
    const { secrets, sealed, unreadable } = found;
    report?.({ key: keys.first().id, secrets, sealed, unreadable, older: keys.older(), done });
  };
  tell(false);
  let left = 0;
  for (let at = 0; at < found.stale.length && !signal.aborted; at += writersMax) {
    const batch = found.stale.slice(at, at + writersMax);
    const results = await Promise.all(batch.map((key) => resealOne(store, keys, key)));
    found.sealed += results.filter(Boolean).length;
    left += results.filter((sealed) => !sealed).length;
    if (at % reportEvery === 0) tell(false);
  }
  const done = left === 0 && !signal.aborted;
  tell(done && isLast);
  return done;
}

/** False: somebody else wrote it meanwhile, and the next pass looks. */
async function resealOne(store: Store, keys: RootKeys, key: string): Promise<boolean> {
  const entry = await store.get(key);
  const plain = entry && open(keys, entry);
  if (!entry || !plain) return false;
  try {
    await store.update(key, seal(keys.first(), key, plain), entry.version);
    return true;
  } catch (error) {
    if (isReason(error, 'Conflict', 'NotFound')) return false;
    throw error;
  }
}

function open(keys: RootKeys, { key, value }: Entry): Uint8Array | undefined {
  const id = sealedWith(value);
  if (id === undefined) return value;
  const root = id ? keys.byId(id) : undefined;
  return root && unseal(root, key, value);
}

/** False: look again. */
async function removeOlder(options: ResealingOptions): Promise<boolean> {
  const { keys, clock, signal, log } = options;
  const first = keys.first().id;
  const older = keys.older();
  if (older.length === 0) return true;
  await clock.sleep(graceMs, signal);
  if (signal.aborted || keys.first().id !== first || !(await reseal(options, false))) return false;
  const needed = (await survey(options)).ids;
  const free = older.filter((id) => !needed.has(id));
  keys.remove(free);
  if (free.length > 0) log.info('keys that sealed secrets before are removed', { removed: free, key: first });
  const kept = keys.older();
  if (kept.length > 0) log.warn('older keys stay: damaged secrets are sealed with them', { keys: kept });
  return reseal(options, true);
}
