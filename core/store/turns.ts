import { refusals } from './refusal.ts';
import type { Entry, Turn } from './store.ts';
import { versionNumber } from './version.ts';

/** Turns of a store that one process writes to. What earlier processes wrote is older than whatever this one has judged. */
export class Turns {
  readonly #last = new Map<string, number>();
  readonly #writing = new Map<string, Promise<unknown>>();

  /** One write of a turn after the other. Throws Conflict for one that was judged before another's. */
  async take({ name, since }: Turn, key: string, write: () => Promise<Entry>): Promise<Entry> {
    for (let other = this.#writing.get(name); other; other = this.#writing.get(name)) await other;
    if ((this.#last.get(name) ?? 0) > versionNumber(since)) throw refusals.Conflict(key);
    const writing = write();
    const ended = writing.then(
      ({ version }) => void this.#last.set(name, versionNumber(version)),
      () => {},
    );
    this.#writing.set(name, ended);
    void ended.then(() => this.#writing.delete(name));
    return writing;
  }
}
