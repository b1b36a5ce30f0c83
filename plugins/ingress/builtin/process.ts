import { type Clock, type DuplexChild, type Log, messageOf, Scope } from '#sdk';
import type { Applied, IngressDriver } from '../driver.ts';
import type { Listener, Routing } from '../model.ts';
import type { FromPlane, ToPlane } from './messages.ts';

export interface ProcessOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly spawn: (argv: readonly string[]) => DuplexChild;
  /** The program that runs TypeScript, and words that tell whose process it is. */
  readonly program: string;
  readonly words: readonly string[];
}
const backoffMs = { first: 100, most: 10_000, resetAfter: 60_000 };
const answerMsMax = 20_000;
const stopGraceMs = 8_000; // above the driver's own
const linesLoggedMax = 1_000;

/** The built-in driver in a process of its own. One that ends is started again and given the last routing. */
export function createBuiltinProcess(options: ProcessOptions): IngressDriver {
  return new BuiltinProcess(options);
}

class BuiltinProcess implements IngressDriver {
  readonly name = 'builtin';
  listening: readonly Listener[] = [];
  readonly #scope = new Scope();
  #child: DuplexChild | undefined;
  #routing: Routing | undefined;
  #serial = 0;
  #last: Promise<unknown> = Promise.resolve();
  #trouble = 'it has not been started yet';
  readonly #waiting = new Map<number, (answer: FromPlane) => void>();
  #started = Promise.withResolvers<void>();

  constructor(private readonly options: ProcessOptions) {
    const running = this.#run();
    this.#scope.defer(() => running);
  }

  async #run(): Promise<void> {
    const { clock, log, spawn, program, words } = this.options;
    const { signal } = this.#scope;
    let delayMs = backoffMs.first;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      try {
        const child = spawn([program, `${import.meta.dir}/main.ts`, ...words]);
        this.#child = child;
        const read = Promise.all([this.#listen(child), passOn(child, log)]);
        this.#started.resolve();
        if (this.#routing) void this.apply(this.#routing).catch(() => {}); // after one that ended
        const code = await child.exited;
        await read.catch(() => {});
        this.#gone(`the process of the data plane ended with ${code}`);
        if (signal.aborted) return;
        log.warn('the data plane ended; starting it again', { code, delayMs });
      } catch (error) {
        this.#gone(messageOf(error));
        log.error('the data plane cannot be started', { error: messageOf(error), delayMs });
      }
      if (clock.monotonicMs() - startedMs > backoffMs.resetAfter) delayMs = backoffMs.first;
      await clock.sleep(delayMs, signal);
      delayMs = Math.min(delayMs * 2, backoffMs.most);
    }
  }
  #gone(why: string): void {
    this.#child = undefined;
    this.#trouble = why;
    this.#started = Promise.withResolvers();
    for (const [id, answer] of this.#waiting) answer({ id, type: 'failed', reason: why });
    this.#waiting.clear();
  }
  async #listen({ stdout }: DuplexChild): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const answer = JSON.parse(line) as FromPlane;
        this.#waiting.get(answer.id)?.(answer);
        this.#waiting.delete(answer.id);
      }
    }
  }

  async #ask(message: ToPlane): Promise<FromPlane> {
    const { clock } = this.options;
    const late = new AbortController();
    const expired = clock.sleep(answerMsMax, AbortSignal.any([late.signal, this.#scope.signal]));
    await Promise.race([this.#started.promise, expired]);
    const child = this.#child;
    if (!child) return { id: message.id, type: 'failed', reason: this.#trouble };
    const answer = new Promise<FromPlane>((resolve) => this.#waiting.set(message.id, resolve));
    try {
      await child.stdin.write(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
      const reason = `the data plane did not answer within ${answerMsMax / 1_000} s`;
      return await Promise.race([answer, expired.then((): FromPlane => ({ id: message.id, type: 'failed', reason }))]);
    } catch (error) {
      return { id: message.id, type: 'failed', reason: messageOf(error) };
    } finally {
      late.abort();
      this.#waiting.delete(message.id);
    }
  }

  apply(routing: Routing): Promise<Applied> {
    this.#routing = routing;
    const next = this.#last.then(async () => {
      const answer = await this.#ask({ id: ++this.#serial, type: 'apply', routing });
      if (answer.type !== 'applied') throw new Error(answer.type === 'failed' ? answer.reason : 'no answer to that');
      this.listening = answer.listening;
      return answer.applied;
    });
    this.#last = next.catch(() => {});
    return next;
  }
  async health(): Promise<{ ok: true } | { ok: false; reason: string }> {
    if (!this.#child) return { ok: false, reason: this.#trouble };
    return this.listening.length > 0 ? { ok: true } : { ok: false, reason: 'nothing is listened to' };
  }
  async metrics(): Promise<string> {
    const answer = await this.#ask({ id: ++this.#serial, type: 'metrics' });
    if (answer.type !== 'metrics') throw new Error(answer.type === 'failed' ? answer.reason : 'no answer to that');
    return answer.text;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const { clock } = this.options;
    const child = this.#child;
    const over = new AbortController();
    child?.stdin.end();
    void clock.sleep(stopGraceMs, over.signal).then(() => !over.signal.aborted && child?.kill('SIGKILL'));
    await this.#scope[Symbol.asyncDispose]();
    over.abort();
  }
}

/** Its own lines go into our log; after many of them it is read and dropped, so that it never blocks on a full pipe. */
async function passOn({ stderr }: DuplexChild, log: Log): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  let lines = 0;
  for await (const chunk of stderr) {
    const texts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = texts.pop()!.slice(-4_096);
    for (const text of texts)
      if (lines++ < linesLoggedMax && text) log.info('the data plane', { line: text.slice(0, 512) });
  }
}
