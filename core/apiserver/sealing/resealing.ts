import { isReason } from '#api';
import { type Clock, type Log, messageOf } from '#base';
import type { Entry, Store } from '../../store/store.ts';
import type { RootKeys } from './root-keys.ts';
import { seal, sealedWith, unseal } from './seal.ts';

const pageEntries = 200;
/** Written at once: enough to share one sync of the disk, few enough to leave it to others. */
const writersMax = 16;
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

/** One pass over everything. True when nothing is left to do. */
async function reseal(
  { store, prefix, keys, report, signal }: ResealingOptions,
  isLast = keys.older().length === 0,
): Promise<boolean> {
  const count = { secrets: 0, sealed: 0, unreadable: 0 };
  const tell = (done: boolean) => {
    const { secrets, sealed, unreadable } = count;
    report?.({ key: keys.first().id, secrets, sealed, unreadable, older: keys.older(), done });
  };
  let after: string | undefined;
  let left = 0;
  do {
    const page = await store.list(prefix, { limit: pageEntries, after });
    count.secrets += page.entries.length;
    for (let at = 0; at < page.entries.length && !signal.aborted; at += writersMax) {
      const results = await Promise.all(
        page.entries.slice(at, at + writersMax).map((entry) => resealOne(store, keys, entry)),
      );
      count.sealed += results.filter((result) => result === 'sealed').length;
      count.unreadable += results.filter((result) => result === 'unreadable').length;
      left += results.filter((result) => result === 'again').length;
    }
    after = page.more ? page.entries.at(-1)!.key : undefined;
    tell(false);
  } while (after !== undefined && !signal.aborted);
  const done = left === 0 && !signal.aborted;
  if (done && isLast) tell(true);
  return done;
}

async function resealOne(store: Store, keys: RootKeys, entry: Entry): Promise<'sealed' | 'unreadable' | 'again'> {
  const first = keys.first();
  const id = sealedWith(entry.value);
  if (id === first.id && unseal(first, entry.key, entry.value)) return 'sealed';
  const root = id ? keys.byId(id) : undefined;
  const plain = id === undefined ? entry.value : root && unseal(root, entry.key, entry.value);
  if (!plain) return 'unreadable';
  try {
    await store.update(entry.key, seal(first, entry.key, plain), entry.version);
    return 'sealed';
  } catch (error) {
    if (isReason(error, 'Conflict', 'NotFound')) return 'again'; // somebody else wrote it; the next pass looks
    throw error;
  }
}

/** False: look again. */
async function removeOlder(options: ResealingOptions): Promise<boolean> {
  const { keys, clock, signal, log } = options;
  const first = keys.first().id;
  const older = keys.older();
  if (older.length === 0) return true;
  await clock.sleep(graceMs, signal);
  if (signal.aborted || keys.first().id !== first || !(await reseal(options, false))) return false;
  const needed = await idsInUse(options);
  const free = older.filter((id) => !needed.has(id));
  keys.remove(free);
  if (free.length > 0) log.info('keys that sealed secrets before are removed', { removed: free, key: first });
  const kept = keys.older();
  if (kept.length > 0) log.warn('older keys stay: damaged secrets are sealed with them', { keys: kept });
  return reseal(options, true);
}

async function idsInUse({ store, prefix }: ResealingOptions): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  let after: string | undefined;
  do {
    const page = await store.list(prefix, { limit: pageEntries, after });
    for (const { value } of page.entries) ids.add(sealedWith(value) ?? '');
    after = page.more ? page.entries.at(-1)!.key : undefined;
  } while (after !== undefined);
  return ids;
}
