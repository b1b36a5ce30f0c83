import { assert } from '#base';
import { errors } from '../api/status.ts';
import { operationsBytes, putOperations, Region, takeResults } from './sqlite-channel.ts';
import type { WriteOperation, WriteResult } from './sqlite-database.ts';
import { type FromThread, fromFailure, type Packed, type Question, writeId } from './sqlite-message.ts';

type Reply = { readonly version: number; readonly packed?: Packed };

/** Questions to the thread that owns the file, answered in order. */
export class SqliteThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>();
  #nextId = writeId + 1;
  #region = Region.of(0);
  #ended: Error | undefined;

  constructor(onEnd: (error: Error) => void) {
    // The web Worker: with 128 KiB a round trip takes 140 us, with node:worker_threads 520 us.
    this.#worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url));
    const end = (why: string) => {
      if (this.#ended) return;
      this.#ended = errors.unavailable(
        `the store's thread ended (${why}); whether the last writes are kept is not known`,
      );
      for (const { reject } of this.#waiting.values()) reject(this.#ended);
      this.#waiting.clear();
      onEnd(this.#ended);
    };
    this.#worker.addEventListener('error', (event) => end(event.message));
    this.#worker.addEventListener('close', () => end('it closed'));
    this.#worker.addEventListener('message', ({ data }: MessageEvent<FromThread>) => this.#onMessage(data));
  }

  #onMessage(data: FromThread): void {
    if (typeof data === 'number') this.#settle(writeId)?.resolve({ version: data });
    else if ('region' in data) this.#region = new Region(data.region);
    else if ('failure' in data) this.#settle(data.id)?.reject(fromFailure(data.failure));
    else this.#settle(data.id)?.resolve(data);
  }
  #settle(id: number) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** One batch at a time: the memory that carries it is shared. */
  async write(
    operations: readonly WriteOperation[],
    nowMs: number,
  ): Promise<{ results: WriteResult[]; version: number }> {
    if (this.#ended) throw this.#ended;
    assert(!this.#waiting.has(writeId), 'a second write batch was sent while one was in flight');
    const region = this.#region.fit(operationsBytes(operations));
    if (region !== this.#region) this.#worker.postMessage({ region: region.shared });
    this.#region = region;
    putOperations(region, operations);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#waiting.set(writeId, { resolve, reject });
    this.#worker.postMessage(nowMs);
    const { version } = await promise;
    return { results: takeResults(this.#region, operations), version };
  }

  ask(question: Question): Promise<Reply> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#waiting.set(id, { resolve, reject });
    this.#worker.postMessage({ id, question });
    return promise;
  }

  /** Closes the file and ends the thread. */
  async close(): Promise<void> {
    const closing = this.ask({ type: 'close' }).catch(() => undefined);
    await closing;
    this.#ended ??= errors.unavailable('the store is closed');
    this.#worker.terminate();
  }
}
