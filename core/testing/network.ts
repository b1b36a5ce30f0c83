import { StatusError } from '#api';
import type { Random } from '#base';
import type { Fetch } from '#client';
import type { SimProcess } from './process.ts';
import type { Timeline } from './timeline.ts';
import { WatchMerge } from './watch-merge.ts';

/** What may go wrong on the way between one process (or all) and the apiserver, as chances in [0, 1]. */
export interface Weather {
  /** The connection breaks before the request arrives. */
  readonly loseRequest?: number;
  /** The request is carried out and its answer never arrives. */
  readonly loseAnswer?: number;
  /** The server answers 429, 500 or 503 without doing anything. */
  readonly refuse?: number;
  /** Either way takes up to `slowMs` longer. */
  readonly slow?: number;
  readonly slowMs?: number;
  /** For each piece of a watch: the stream breaks in it, at any byte. */
  readonly cutWatch?: number;
  /** Everything that a watch tells comes so much later: caches are stale. */
  readonly watchLagMs?: number;
  /** What a watch tells in so long is told at its end, of each object the last state only. */
  readonly mergeWatchMs?: number;
}
export interface Exchange {
  readonly id: number;
  readonly from: SimProcess;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** When the server began with it. */
  readonly beganAtMs: number;
  /** Highest version that had been acknowledged when the server began with it. */
  readonly ackedBefore: number;
}
/** Sees what the server says before anything can go wrong with it. */
export interface Tap {
  begins(from: SimProcess, method: string, target: string): Exchange;
  answers(exchange: Exchange, status: number, body: string): void;
  watches(exchange: Exchange): { text(piece: string): void; ends(): void };
  /** The client has it, or never will. */
  delivered(exchange: Exchange, reached: boolean): void;
}
interface Server {
  readonly process: SimProcess;
  fetch(request: Request): Promise<Response>;
}
export interface NetworkOptions {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly tap: Tap;
}
const encoder = new TextEncoder();
const latencyMs = { least: 0.1, most: 1.2 };
const reset = (why: string) => new Error(`connection reset: ${why}`);

/** The wires between every client and the one apiserver. TCP: bytes come in order and once, or the connection breaks. */
export class Network {
  server: Server | undefined;
  readonly #weather = new Map<string, Weather>();
  readonly #cutOff = new Map<string, PromiseWithResolvers<void>>();
  readonly #watches = new Map<string, Set<(why: string) => void>>();
  constructor(private readonly options: NetworkOptions) {}

  /** `*` stands for everybody. Undefined: fair weather. */
  setWeather(name: string, weather: Weather | undefined): void {
    if (weather) this.#weather.set(name, weather);
    else this.#weather.delete(name);
  }
  /** Nothing gets through, and nobody is told, until the answer is called. */
  cutOff(name: string): void {
    if (!this.#cutOff.has(name)) this.#cutOff.set(name, Promise.withResolvers());
  }
  heal(name: string): void {
    this.#cutOff.get(name)?.resolve();
    this.#cutOff.delete(name);
  }
  /** Breaks every watch that this client has open now. */
  cutWatches(name: string): void {
    for (const [owner, cuts] of this.#watches)
      if (name === '*' || owner === name) for (const cut of [...cuts]) cut('cut');
  }

  /** The way of one process to the apiserver. */
  fetchOf(owner: SimProcess): Fetch {
    return (request) => owner.guard(this.#exchange(owner, request));
  }

  async #exchange(owner: SimProcess, request: Request): Promise<Response> {
    const { tap, random } = this.options;
    const target = request.url.slice(request.url.indexOf('/', 8));
    const isWatch = request.method === 'GET' && /[?&]watch=(true|1)/.test(target);
    const weather = () => ({ ...this.#weather.get('*'), ...this.#weather.get(owner.name) });
    await this.#hop(owner.name, weather());
    if (chance(random, weather().loseRequest)) throw reset('request lost');
    if (!owner.alive && random.next() < 0.5) throw reset('client died'); // the other half had left the machine already
    const server = this.server;
    if (!server?.process.alive) throw new Error('connection refused');
    const exchange = tap.begins(owner, request.method, target);
    if (chance(random, weather().refuse)) return refusal(random);
    const hangUp = new AbortController();
    const died = this.#diesWith(server.process);
    let answer: Response;
    let body = '';
    try {
      const sent = isWatch ? new Request(request, { signal: hangUp.signal }) : request;
      answer = await Promise.race([server.fetch(sent), died.promise]);
      if (isWatch && answer.ok && answer.body)
        return this.#stream(owner, request, answer, { exchange, hangUp, died, server: server.process });
      body = await Promise.race([answer.text(), died.promise]);
    } catch (error) {
      tap.delivered(exchange, false);
      throw error;
    }
    died.stop();
    tap.answers(exchange, answer.status, body);
    let diedOnTheWay = false;
    const watchDeath = server.process.onKill(() => (diedOnTheWay = true));
    await this.#hop(owner.name, weather());
    watchDeath();
    const isLost = chance(random, weather().loseAnswer) || (diedOnTheWay && random.next() < 0.5);
    tap.delivered(exchange, !isLost && owner.alive);
    if (isLost) throw reset('answer lost');
    return new Response(body, { status: answer.status, headers: answer.headers });
  }

  async #hop(name: string, weather: Weather): Promise<void> {
    const { timeline, random } = this.options;
    const slow = chance(random, weather.slow) ? random.next() * (weather.slowMs ?? 1_000) : 0;
    await timeline.sleep(latencyMs.least + random.next() * (latencyMs.most - latencyMs.least) + slow);
    for (let wall = this.#cutOff.get(name); wall; wall = this.#cutOff.get(name)) await wall.promise;
  }

  #diesWith(server: SimProcess): { promise: Promise<never>; stop: () => void } {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    const stop = server.onKill(() => reject(reset('server died')));
    return { promise, stop };
  }

  /** Carries a watch piece by piece, in order; it can break between any two bytes. */
  #stream(
    owner: SimProcess,
    request: Request,
    answer: Response,
    parts: {
      readonly exchange: Exchange;
      readonly hangUp: AbortController;
      readonly died: { promise: Promise<never>; stop: () => void };
      readonly server: SimProcess;
    },
  ): Response {
    const { tap, random, timeline } = this.options;
    const { exchange, hangUp, died } = parts;
    const merge = new WatchMerge();
    const pieces = new TextDecoder();
    let merges = false;
    const reader = answer.body!.getReader();
    const seen = tap.watches(exchange);
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => {});
    const cuts = this.#watches.get(owner.name) ?? new Set();
    this.#watches.set(owner.name, cuts);
    const cut = (why: string) => broken.reject(reset(why));
    cuts.add(cut);
    let isOpen = true;
    const leave = () => {
      if (!isOpen) return;
      isOpen = false;
      cut('closed');
      cuts.delete(cut);
      offKill();
      died.stop();
      seen.ends();
      request.signal.removeEventListener('abort', leave);
      hangUp.abort();
      void reader.cancel().catch(() => {});
    };
    const offKill = owner.onKill(leave);
    request.signal.addEventListener('abort', leave, { once: true });
    let push!: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (push = controller),
      cancel: leave,
    });
    const text = new TextDecoder();
    let last: Promise<void> = Promise.resolve();
    const weatherNow = (): Weather => ({ ...this.#weather.get('*'), ...this.#weather.get(owner.name) });
    const send = (act: () => void) => {
      const { watchLagMs = 0 } = weatherNow();
      const hop = this.#hop(owner.name, weatherNow());
      const way = watchLagMs > 0 ? hop.then(() => timeline.sleep(watchLagMs)) : hop;
      last = Promise.all([last, way]).then(() => {
        if (isOpen && owner.alive) act();
      });
    };
    const pump = async () => {
      for (;;) {
        const { done, value } = await Promise.race([reader.read(), died.promise, broken.promise]);
        if (done) break;
        seen.text(text.decode(value, { stream: true }));
        const weather = weatherNow();
        if (chance(random, weather.cutWatch)) {
          const kept = value.slice(0, Math.floor(random.next() * value.length));
          send(() => push.enqueue(kept));
          throw reset('watch cut');
        }
        merges ||= weather.mergeWatchMs !== undefined; // and stays so: what is held back must not be overtaken
        if (!merges) {
          send(() => push.enqueue(value));
          continue;
        }
        merge.add(pieces.decode(value, { stream: true }));
        timeline.after(merge.isFull ? 0 : (weather.mergeWatchMs ?? 0), () => {
          const lines = merge.flush();
          if (lines && isOpen) send(() => push.enqueue(encoder.encode(lines)));
        });
      }
    };
    pump().then(
      () => {
        send(() => push.close());
        void last.then(leave);
      },
      (error) => {
        send(() => push.error(error));
        void last.then(leave);
      },
    );
    return new Response(stream, { status: answer.status, headers: answer.headers });
  }
}

const chance = (random: Random, bound: number | undefined): boolean => bound !== undefined && random.next() < bound;

const refusals = [
  new StatusError(503, 'ServiceUnavailable', 'the server is currently unable to handle the request'),
  new StatusError(429, 'TooManyRequests', 'Too many requests, please try again later.', { retryAfterSeconds: 1 }),
  new StatusError(500, 'InternalError', 'Internal error occurred: simulated'),
];
function refusal(random: Random): Response {
  const status = refusals[Math.floor(random.next() * refusals.length)]!.toStatus();
  return Response.json(status, { status: status.code });
}
