import type { Clock } from '#base';
import { ContainerError, type ContainerRuntime, ImageError, type LogOptions, type Session } from '../runtime.ts';
import type { RuntimeContribution } from './contributions.ts';

/** Verbs of a container runtime whose answer is one value; their arguments are the contract's, without signals. */
export const runtimeVerbs = [
  'version',
  'ensureImage',
  'images',
  'removeImage',
  'ensureSandbox',
  'endSandbox',
  'removeSandbox',
  'create',
  'start',
  'stop',
  'remove',
  'observe',
  'stats',
] as const satisfies readonly (keyof ContainerRuntime)[];
export type RuntimeVerb = (typeof runtimeVerbs)[number];
export interface RuntimeAsked {
  /** Of the runtime. */
  readonly name: string;
  readonly verb: RuntimeVerb;
  readonly args: readonly unknown[];
}
/** A failure keeps its kind: the kubelet shows `reason`. */
export type RuntimeAnswer =
  | { readonly value: unknown }
  | { readonly failure: 'image' | 'container' | 'other'; readonly reason: string; readonly message: string };

/** What flows, in both directions: opened once, then read until its end, in pieces. */
export type StreamAsked = { readonly name: string } & (
  | { readonly verb: 'changes' }
  | { readonly verb: 'logs'; readonly containerId: string; readonly options: LogOptions }
  | {
      readonly verb: 'exec';
      readonly containerId: string;
      readonly options: { readonly command: readonly string[]; readonly tty: boolean; readonly stdin: boolean };
    }
  | {
      readonly verb: 'attach';
      readonly containerId: string;
      readonly options: { readonly tty: boolean; readonly stdin: boolean };
    }
  | { readonly verb: 'dial'; readonly podUid: string; readonly port: number }
  /** Waits for something to read, 10 s at most. */
  | { readonly verb: 'read'; readonly id: number }
  | { readonly verb: 'write'; readonly id: number; readonly base64: string }
  | { readonly verb: 'endInput'; readonly id: number }
  | { readonly verb: 'resize'; readonly id: number; readonly columns: number; readonly rows: number }
  | { readonly verb: 'close'; readonly id: number }
);
export type StreamItem =
  | { readonly type: 'stdout' | 'stderr'; readonly base64: string }
  | {
      readonly type: 'line';
      readonly stream: 'stdout' | 'stderr';
      readonly timeMs: number;
      readonly time: string;
      readonly base64: string;
    }
  | { readonly type: 'change'; readonly podUid: string }
  | { readonly type: 'exit'; readonly code: number };
export interface StreamPiece {
  readonly items: readonly StreamItem[];
  /** Nothing comes after these. */
  readonly end?: { readonly error?: string };
}

const streamsMax = 128;
const heldBytesMax = 256 * 1024;
const readWaitMs = 10_000;
/** A stream that nobody reads for so long belongs to a node that has gone. */
const unreadMsMax = 120_000;
const itemBytes = 200; // of an item beside its bytes, about

/** The plugin's side of a runtime contribution: opens it once, and keeps what flows until it is read. */
export class RuntimeAnswers {
  readonly #open = new Map<string, Promise<ContainerRuntime>>();
  readonly #streams = new Map<number, Flow>();
  #next = 1;
  constructor(
    private readonly contributions: readonly RuntimeContribution[],
    private readonly clock: Clock,
  ) {}

  async call({ name, verb, args }: RuntimeAsked): Promise<RuntimeAnswer> {
    try {
      if (!runtimeVerbs.includes(verb)) throw new Error(`a runtime has no verb ${verb}`);
      const runtime = await this.#runtime(name);
      const given = verb === 'ensureImage' ? [...args.slice(0, 2), new AbortController().signal] : args;
      const act = runtime[verb] as (...given: readonly unknown[]) => Promise<unknown>;
      return { value: (await act.call(runtime, ...given)) ?? null };
    } catch (error) {
      return failureOf(error);
    }
  }

  async stream(asked: StreamAsked): Promise<unknown> {
    this.#sweep();
    switch (asked.verb) {
      case 'read':
        return (await this.#streams.get(asked.id)?.read(this.clock, () => this.#streams.delete(asked.id))) ?? gone;
      case 'write':
        await this.#streams.get(asked.id)?.session?.stdin?.write(Buffer.from(asked.base64, 'base64'));
        return null;
      case 'endInput':
        this.#streams.get(asked.id)?.session?.stdin?.end();
        return null;
      case 'resize':
        await this.#streams.get(asked.id)?.session?.resize(asked.columns, asked.rows);
        return null;
      case 'close':
        this.#streams.get(asked.id)?.close();
        this.#streams.delete(asked.id);
        return null;
      default:
        return this.#begin(asked).catch(failureOf);
    }
  }

  async #begin(
    asked: Exclude<StreamAsked, { readonly verb: 'read' | 'write' | 'endInput' | 'resize' | 'close' }>,
  ): Promise<RuntimeAnswer> {
    if (this.#streams.size >= streamsMax) throw new Error(`more than ${streamsMax} streams at once`);
    const runtime = await this.#runtime(asked.name);
    const flow = new Flow(this.clock.monotonicMs());
    const id = this.#next++;
    this.#streams.set(id, flow);
    try {
      if (asked.verb === 'changes') void flow.follow(changesOf(runtime, flow.signal));
      else if (asked.verb === 'logs') void flow.follow(linesOf(runtime, asked.containerId, asked.options, flow.signal));
      else flow.join(await this.#session(runtime, asked));
    } catch (error) {
      this.#streams.delete(id);
      throw error;
    }
    return { value: id };
  }
  #session(
    runtime: ContainerRuntime,
    asked: Extract<StreamAsked, { readonly verb: 'exec' | 'attach' | 'dial' }>,
  ): Promise<Session> {
    if (asked.verb === 'dial') return runtime.dial(asked.podUid, asked.port);
    if (asked.verb === 'exec') return runtime.exec(asked.containerId, asked.options);
    return runtime.attach(asked.containerId, asked.options);
  }
  async #runtime(name: string): Promise<ContainerRuntime> {
    const contribution = this.contributions.find((one) => one.name === name);
    if (!contribution) throw new Error(`it has no container runtime ${name}`);
    let opening = this.#open.get(name);
    if (!opening) {
      opening = Promise.resolve(contribution.open());
      this.#open.set(name, opening);
      opening.catch(() => this.#open.delete(name)); // the next call tries again
    }
    return opening;
  }
  #sweep(): void {
    const nowMs = this.clock.monotonicMs();
    for (const [id, flow] of this.#streams) {
      if (nowMs - flow.readAtMs < unreadMsMax) continue;
      flow.close();
      this.#streams.delete(id);
    }
  }
}
const gone: StreamPiece = { items: [], end: { error: 'there is no such stream any more' } };

function failureOf(error: unknown): RuntimeAnswer {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ImageError) return { failure: 'image', reason: error.reason, message };
  if (error instanceof ContainerError) return { failure: 'container', reason: error.reason, message };
  return { failure: 'other', reason: '', message };
}

async function* changesOf(runtime: ContainerRuntime, signal: AbortSignal): AsyncGenerator<StreamItem> {
  for await (const { podUid } of runtime.changes(signal)) yield { type: 'change', podUid };
}
async function* linesOf(
  runtime: ContainerRuntime,
  containerId: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<StreamItem> {
  for await (const { bytes, ...line } of runtime.logs(containerId, options, signal))
    yield { type: 'line', ...line, base64: Buffer.from(bytes).toString('base64') };
}
async function* bytesOf(type: 'stdout' | 'stderr', stream: ReadableStream<Uint8Array>): AsyncGenerator<StreamItem> {
  for await (const bytes of stream) yield { type, base64: Buffer.from(bytes).toString('base64') };
}

/** What comes of one stream, held until it is read; its source waits when more than 256 KiB are. */
class Flow {
  session: Session | undefined;
  readAtMs: number;
  readonly #abort = new AbortController();
  #items: StreamItem[] = [];
  #bytes = 0;
  #end: StreamPiece['end'];
  #came = Promise.withResolvers<void>();
  #taken = Promise.withResolvers<void>();
  constructor(nowMs: number) {
    this.readAtMs = nowMs;
  }
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  join(session: Session): void {
    this.session = session;
    const outputs = [this.follow(bytesOf('stdout', session.stdout), false)];
    if (session.stderr) outputs.push(this.follow(bytesOf('stderr', session.stderr), false));
    void Promise.all(outputs)
      .then(() => session.done)
      .then(
        ({ code }) => this.#put({ type: 'exit', code }).then(() => this.#finish()),
        (error: unknown) => this.#finish(error),
      );
  }
  /** `alone`: its end is that of the whole. */
  async follow(source: AsyncGenerator<StreamItem>, alone = true): Promise<void> {
    try {
      for await (const item of source) await this.#put(item);
      if (alone) this.#finish();
    } catch (error) {
      this.#finish(error);
    }
  }
  async #put(item: StreamItem): Promise<void> {
    while (this.#bytes > heldBytesMax && !this.signal.aborted) await this.#taken.promise;
    if (this.signal.aborted) return;
    this.#items.push(item);
    this.#bytes += itemBytes + ('base64' in item ? item.base64.length : 0);
    this.#came.resolve();
  }
  #finish(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error: error instanceof Error ? error.message : String(error) };
    this.#came.resolve();
  }

  async read(clock: Clock, ended: () => void): Promise<StreamPiece> {
    this.readAtMs = clock.monotonicMs();
    if (this.#items.length === 0 && !this.#end) {
      const waiting = new AbortController();
      await Promise.race([this.#came.promise, clock.sleep(readWaitMs, waiting.signal)]);
      waiting.abort();
    }
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    this.#came = Promise.withResolvers();
    if (this.#end) this.#came.resolve();
    this.#taken.resolve();
    this.#taken = Promise.withResolvers();
    if (!this.#end) return { items };
    ended();
    return { items, end: this.#end };
  }
  close(): void {
    this.#abort.abort();
    this.#taken.resolve();
    this.session?.close();
    this.#finish();
  }
}
