import { Worker } from 'node:worker_threads';
import { messageOf } from '#base';
import { errors } from '../api/status.ts';
import { type Answer, fromFailure, type Packed, type Question } from './sqlite-message.ts';

type Reply = { readonly version: number; readonly packed?: Packed };

/** Questions to the thread that owns the file, answered in order. */
export class SqliteThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>();
  #nextId = 1;
  #ended: Error | undefined;

  constructor(onEnd: (error: Error) => void) {
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
    this.#worker.on('error', (error) => end(messageOf(error)));
    this.#worker.on('exit', (code) => end(`exit code ${code}`));
    this.#worker.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('failure' in answer) waiting?.reject(fromFailure(answer.failure));
      else waiting?.resolve(answer);
    });
  }

  ask(question: Question): Promise<Reply> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#waiting.set(id, { resolve, reject });
    const transfer = question.type === 'write' ? [question.packed.bytes] : [];
    this.#worker.postMessage({ id, question }, transfer);
    return promise;
  }

  /** Closes the file and ends the thread. */
  async close(): Promise<void> {
    const closing = this.ask({ type: 'close' }).catch(() => undefined);
    await closing;
    this.#ended ??= errors.unavailable('the store is closed');
    await this.#worker.terminate();
  }
}
