import { chmod, rm } from 'node:fs/promises';
import type { Clock } from './clock.ts';
import { messageOf } from './errors.ts';

/** Why a call got no answer: the other side said no (`remote`), or there was none. */
export type CallFailure = 'closed' | 'timeout' | 'busy' | 'remote';
export class CallError extends Error {
  override readonly name = 'CallError';
  constructor(
    readonly failure: CallFailure,
    message: string,
  ) {
    super(message);
  }
}
/** Calls in both directions over one stream socket: frames of a length (4 bytes, big end first) and JSON. */
export interface Channel extends Disposable {
  /** Rejects with CallError. After `timeoutMs` nobody waits for the answer any more. */
  call(method: string, body: unknown, timeoutMs: number): Promise<unknown>;
  readonly isOpen: boolean;
  /** Resolves with the reason; never rejects. */
  readonly closed: Promise<string>;
}
export interface ChannelOptions {
  readonly clock: Clock;
  /** What the other side asks. A throw becomes the other side's `remote` failure. */
  answer(method: string, body: unknown): unknown;
  /** A longer frame of the other side ends the channel before it is read; own ones are not sent. Default 4 MiB. */
  readonly frameBytesMax?: number;
  /** Own calls that wait at the same time, and calls of the other side in work. Default 64. */
  readonly callsMax?: number;
}
const frameBytesMaxDefault = 4 * 1024 * 1024;
const callsMaxDefault = 64;
/** Of what the other side has not taken yet. */
const waitingBytesMax = 16 * 1024 * 1024;
const headerBytes = 4;

type Message =
  | { readonly i: number; readonly m: string; readonly b: unknown }
  | { readonly i: number; readonly r: unknown }
  | { readonly i: number; readonly e: string };
type Handler = Bun.SocketHandler<undefined>;

/** Over a descriptor that this process was started with, or that a child's other end is. */
export async function channelOfFd(fd: number, options: ChannelOptions): Promise<Channel> {
  const end = new End(options);
  await Bun.connect({ fd, socket: end.handler } as unknown as Parameters<typeof Bun.connect>[0]);
  return end;
}
/** Rejects when nobody listens there. */
export async function dialChannel(path: string, options: ChannelOptions): Promise<Channel> {
  const end = new End(options);
  await Bun.connect({ unix: path, socket: end.handler });
  return end;
}
/** `options` is asked once for each that comes; at most `channelsMax` at once, others are cut. */
export async function listenChannels(
  path: string,
  optionsFor: (channel: () => Channel) => ChannelOptions,
  channelsMax = 16,
): Promise<AsyncDisposable> {
  await rm(path, { force: true });
  const ends = new Set<End>();
  const server = Bun.listen<End | undefined>({
    unix: path,
    socket: {
      open(socket) {
        if (ends.size >= channelsMax) return void socket.terminate();
        const end: End = new End(optionsFor(() => end));
        ends.add(end);
        void end.closed.then(() => ends.delete(end));
        socket.data = end;
        end.handler.open?.(socket as unknown as Bun.Socket<undefined>);
      },
      data: (socket, bytes) => void socket.data?.heard(bytes),
      drain: (socket) => socket.data?.flush(),
      close: (socket) => socket.data?.ended('the other side closed'),
      error: (socket, error) => socket.data?.ended(messageOf(error)),
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      server.stop(true);
      for (const end of ends) end[Symbol.dispose]();
      await rm(path, { force: true });
    },
  };
}

/** For one that dials later: `first` resolves with its channel. What comes after it is cut. Frees the path when disposed. */
export async function listenOnce(
  path: string,
  options: ChannelOptions,
): Promise<AsyncDisposable & { readonly first: Promise<Channel> }> {
  const { promise: first, resolve } = Promise.withResolvers<Channel>();
  const listening = await listenChannels(
    path,
    (channel) => {
      queueMicrotask(() => resolve(channel())); // it is open by then
      return options;
    },
    1,
  );
  await chmod(path, 0o666); // its folder keeps others out
  return { first, [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose]() };
}

class End implements Channel {
  readonly #gone = Promise.withResolvers<string>();
  readonly closed = this.#gone.promise;
  readonly #waiting = new Map<number, (answer: Message | CallError) => void>();
  #socket: Bun.Socket<undefined> | undefined;
  #why: string | undefined;
  #next = 1;
  #inWork = 0;
  #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #wantedBytes = headerBytes;
  #unsent: Buffer[] = [];
  #unsentBytes = 0;
  #isBlocked = false;

  constructor(private readonly options: ChannelOptions) {}

  readonly handler: Handler = {
    open: (socket) => void (this.#socket = socket),
    data: (_socket, bytes) => this.heard(bytes),
    drain: () => this.flush(),
    close: () => this.ended('the other side closed'),
    error: (_socket, error) => this.ended(messageOf(error)),
    end: () => this.ended('the other side closed'),
  };
  get isOpen(): boolean {
    return this.#why === undefined;
  }

  async call(method: string, body: unknown, timeoutMs: number): Promise<unknown> {
    if (this.#why !== undefined) throw new CallError('closed', this.#why);
    const callsMax = this.options.callsMax ?? callsMaxDefault;
    if (this.#waiting.size >= callsMax) throw new CallError('busy', `more than ${callsMax} calls wait`);
    const id = this.#next++;
    const { promise, resolve } = Promise.withResolvers<Message | CallError>();
    this.#waiting.set(id, resolve);
    const over = new AbortController();
    try {
      this.#send({ i: id, m: method, b: body });
      void this.options.clock.sleep(timeoutMs, over.signal).then(() => {
        if (!over.signal.aborted) resolve(new CallError('timeout', `no answer within ${timeoutMs} ms`));
      });
      const answer = await promise;
      if (answer instanceof CallError) throw answer;
      if ('e' in answer) throw new CallError('remote', answer.e);
      return 'r' in answer ? answer.r : undefined;
    } finally {
      over.abort();
      this.#waiting.delete(id);
    }
  }

  [Symbol.dispose](): void {
    this.ended('closed here');
  }
  ended(why: string): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    this.#socket?.terminate();
    this.#arrived = [];
    this.#unsent = [];
    for (const resolve of this.#waiting.values()) resolve(new CallError('closed', why));
    this.#gone.resolve(why);
  }

  heard(bytes: Buffer): void {
    if (this.#why !== undefined) return;
    this.#arrived.push(bytes);
    this.#arrivedBytes += bytes.length;
    while (this.#arrivedBytes >= this.#wantedBytes && this.#why === undefined) {
      const all = this.#arrived.length === 1 ? this.#arrived[0]! : Buffer.concat(this.#arrived);
      const length = all.readUInt32BE();
      const limit = this.options.frameBytesMax ?? frameBytesMaxDefault;
      if (length > limit) return this.ended(`it sent a message of ${length} bytes; ${limit} is the most`);
      this.#wantedBytes = headerBytes + length;
      const isWhole = all.length >= this.#wantedBytes;
      const rest = isWhole ? all.subarray(this.#wantedBytes) : all;
      this.#arrived = rest.length > 0 ? [rest] : [];
      this.#arrivedBytes = rest.length;
      if (!isWhole) return;
      this.#wantedBytes = headerBytes;
      this.#take(all.toString('utf8', headerBytes, headerBytes + length));
    }
  }
  #take(text: string): void {
    let message: Message;
    try {
      message = parse(text);
    } catch (error) {
      return this.ended(`it sent what is no message: ${messageOf(error)}`);
    }
    if ('m' in message) void this.#answer(message);
    else this.#waiting.get(message.i)?.(message);
  }
  async #answer({ i, m, b }: Extract<Message, { m: string }>): Promise<void> {
    const callsMax = this.options.callsMax ?? callsMaxDefault;
    let answer: Message;
    if (this.#inWork >= callsMax) answer = { i, e: `more than ${callsMax} calls at once` };
    else {
      this.#inWork++;
      try {
        answer = { i, r: (await this.options.answer(m, b)) ?? null };
      } catch (error) {
        answer = { i, e: messageOf(error).slice(0, 4_096) };
      }
      this.#inWork--;
    }
    try {
      this.#send(answer);
    } catch (error) {
      if (!this.isOpen || 'e' in answer) return; // it has gone, or does not read what it asks for
      this.#send({ i, e: messageOf(error) });
    }
  }

  #send(message: Message): void {
    if (this.#why !== undefined) throw new CallError('closed', this.#why);
    const text = JSON.stringify(message);
    const length = Buffer.byteLength(text);
    const most = this.options.frameBytesMax ?? frameBytesMaxDefault;
    if (length > most) throw new CallError('busy', `a message of ${length} bytes; ${most} is the most`);
    if (this.#unsentBytes + length > waitingBytesMax)
      throw new CallError('busy', 'the other side does not read what it is sent');
    const frame = Buffer.allocUnsafe(headerBytes + length);
    frame.writeUInt32BE(length);
    frame.write(text, headerBytes);
    this.#unsent.push(frame);
    this.#unsentBytes += frame.length;
    if (!this.#isBlocked) this.flush();
  }
  flush(): void {
    this.#isBlocked = false;
    for (let frame = this.#unsent[0]; frame && this.#socket; frame = this.#unsent[0]) {
      const written = Math.max(0, this.#socket.write(frame));
      this.#unsentBytes -= written;
      if (written < frame.length) {
        this.#unsent[0] = frame.subarray(written);
        this.#isBlocked = true;
        return;
      }
      this.#unsent.shift();
    }
  }
}

/** A key __proto__ would become a property that nobody listed. */
function parse(text: string): Message {
  const guard = (key: string, value: unknown): unknown => {
    if (key === '__proto__') throw new Error('it has a key __proto__');
    return value;
  };
  const value: unknown = /__proto__|\\u005f/i.test(text) ? JSON.parse(text, guard) : JSON.parse(text);
  if (typeof value !== 'object' || value === null || typeof (value as Message).i !== 'number')
    throw new Error('it has no number');
  const message = value as Message;
  if (!('m' in message || 'r' in message || 'e' in message)) throw new Error('it neither asks nor answers');
  if ('m' in message && typeof message.m !== 'string') throw new Error('it asks for nothing that has a name');
  return message;
}
