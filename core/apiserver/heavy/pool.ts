import type Tinypool from 'tinypool';
import { errors } from '#api';
import { type Log, messageOf } from '#base';
import type { HeavyWork } from '../contract.ts';
import type { Task } from './tasks.ts';

/** Tasks that wait; each holds its input of some MB. */
const waitingMax = 8;
/** A thread that has nothing to do for so long ends: it holds 20 MB. */
const idleMs = 10_000;
/** YAML takes 3 ms for each pod on a quiet machine. A thread that hangs is ended with its task. */
const taskMsMax = 300_000;

/**
 * One thread beside the request loop for pure work that would hold it up: a list of 10,000 pods in YAML or protobuf takes seconds and
 * tenths of one. The pool and the thread come with the first task.
 */
export class HeavyPool implements HeavyWork, AsyncDisposable {
  #pool: Promise<Tinypool> | undefined;
  #tasks = 0;

  constructor(private readonly log: Log) {}

  async run(task: Task): Promise<Uint8Array> {
    if (this.#tasks > waitingMax)
      throw errors.tooManyRequests('Too many large answers are being made, please try again later.', 1);
    this.#tasks++;
    try {
      this.#pool ??= start();
      const pool = await this.#pool;
      return (await pool.run(task, { signal: AbortSignal.timeout(taskMsMax) })) as Uint8Array;
    } catch (error) {
      this.log.error('work beside the request loop failed', { task: task.type, error: messageOf(error) });
      throw errors.internal(`the answer could not be made: ${messageOf(error)}`);
    } finally {
      this.#tasks--;
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const pool = await this.#pool;
    await pool?.destroy();
  }
}

async function start(): Promise<Tinypool> {
  const { Tinypool: Pool } = await import('tinypool');
  return new Pool({
    filename: new URL('./tasks.ts', import.meta.url).href,
    runtime: 'worker_threads',
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: idleMs,
    maxQueue: waitingMax,
  });
}
