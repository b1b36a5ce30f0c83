import type { Clock, Log } from '#sdk';
import type { DnsMetrics } from './dns-metrics.ts';
import type { Encoded } from './encode.ts';
import { aged, type ForeignAnswer } from './foreign.ts';
import { codes } from './query.ts';
import type { Ask, Question, Upstream } from './upstream.ts';

export interface ForwarderOptions {
  readonly ask: Ask;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** No answer is kept for longer; 0 keeps none. */
  readonly cacheSecondsMax: () => number;
  readonly metrics?: DnsMetrics;
}
/** Who waits for the answer: begun before others are asked, ended when it is there. */
export interface Turn {
  /** False: this one has too many questions under way. */
  begin(): boolean;
  end(): void;
}
interface Kept {
  readonly answer: ForeignAnswer;
  readonly keptMs: number;
  readonly ttlMs: number;
  /** Nobody answered lately: until then the old answer is given at once. */
  retryAtMs: number;
}
const entriesMax = 10_000;
const cachedBytesMax = 4_096; // of one answer: larger ones are rare, and asked for again
const inFlightMax = 512;
// RFC 8767, section 5: when the client would otherwise be told of a failure, and for how long that is not tried again.
const staleAnswerAfterMs = 1_800;
const staleMaxMs = 3_600_000;
const staleTtlSeconds = 30;
const failureRecheckMs = 30_000;
const badUpstreamMs = 10_000;

/** Asks other servers, remembers what they said, and says it again when they fall silent. */
export class Forwarder {
  readonly #kept = new Map<string, Kept>();
  readonly #inFlight = new Map<string, Promise<ForeignAnswer | undefined>>();
  readonly #badUntilMs = new Map<string, number>();

  constructor(private readonly options: ForwarderOptions) {}

  /** Undefined: nobody gave an answer. A plain value when it was known. `busy`: whoever asks has too many under way. */
  lookUp(
    question: Question,
    upstreams: readonly Upstream[],
    turn: Turn,
  ): Encoded | 'busy' | Promise<Encoded | undefined> {
    const { clock, metrics } = this.options;
    const id = `${question.dnssec ? 'd' : ''}${question.checkingDisabled ? 'c' : ''}|${question.key}`;
    const kept = this.#kept.get(id);
    const now = clock.monotonicMs();
    if (kept && now < kept.keptMs + kept.ttlMs) {
      metrics?.hit(kept.answer.code);
      return aged(kept.answer.encoded, Math.floor((now - kept.keptMs) / 1000));
    }
    metrics?.missed();
    const isStale = kept !== undefined && now < kept.keptMs + kept.ttlMs + staleMaxMs;
    const stale = () => {
      metrics?.servedStale();
      return aged(kept!.answer.encoded, 0xffffffff, staleTtlSeconds);
    };
    if (isStale && now < kept.retryAtMs) return stale();
    if (!turn.begin()) return 'busy';
    const asked = this.#askOnce(id, question, upstreams);
    const answer = isStale
      ? this.#orStale(asked, kept).then((fresh) => fresh?.encoded ?? stale())
      : asked.then((fresh) => fresh?.encoded);
    return answer.finally(() => turn.end());
  }

  /** What was kept may be wrong under other settings. */
  forget(): void {
    this.#kept.clear();
  }
  get size(): number {
    return this.#kept.size;
  }

  async #orStale(asked: Promise<ForeignAnswer | undefined>, kept: Kept): Promise<ForeignAnswer | undefined> {
    const { clock, signal } = this.options;
    const over = new AbortController();
    const late = clock.sleep(staleAnswerAfterMs, AbortSignal.any([signal, over.signal])).then(() => undefined);
    const answer = await Promise.race([asked, late]);
    over.abort();
    if (!answer) kept.retryAtMs = clock.monotonicMs() + failureRecheckMs;
    return answer;
  }

  #askOnce(id: string, question: Question, upstreams: readonly Upstream[]): Promise<ForeignAnswer | undefined> {
    const running = this.#inFlight.get(id);
    if (running) return running; // the same question is under way: a flood of it costs one
    if (this.#inFlight.size >= inFlightMax) {
      this.options.metrics?.rejected();
      return Promise.resolve(undefined);
    }
    const asked = this.#askEach(question, upstreams)
      .then((answer) => {
        if (answer) this.#keep(id, answer);
        return answer;
      })
      .finally(() => this.#inFlight.delete(id));
    this.#inFlight.set(id, asked);
    return asked;
  }

  /** In order, those that lately failed last; the first that answers has said it. */
  async #askEach(question: Question, upstreams: readonly Upstream[]): Promise<ForeignAnswer | undefined> {
    const { ask, clock, signal, log, metrics } = this.options;
    const now = clock.monotonicMs();
    const isBad = (one: Upstream) => (this.#badUntilMs.get(nameOf(one)) ?? 0) > now;
    let failure: ForeignAnswer | undefined;
    for (const upstream of [...upstreams.filter((one) => !isBad(one)), ...upstreams.filter(isBad)]) {
      const askedMs = clock.monotonicMs();
      const answer = await ask(upstream, question, signal);
      if (signal.aborted) return undefined;
      const { ip, port } = upstream;
      const seconds = (clock.monotonicMs() - askedMs) / 1000;
      metrics?.forwarded(ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`, answer?.code, seconds);
      if (answer && (answer.code === codes.ok || answer.code === codes.noName)) {
        this.#badUntilMs.delete(nameOf(upstream));
        return answer;
      }
      failure ??= answer?.code === codes.failure ? undefined : answer;
      if (!answer) {
        if (!isBad(upstream)) log.warn('a name server does not answer', { server: nameOf(upstream) });
        this.#badUntilMs.set(nameOf(upstream), clock.monotonicMs() + badUpstreamMs);
      }
    }
    return failure;
  }

  #keep(id: string, answer: ForeignAnswer): void {
    const ttlMs = Math.min(answer.ttlSeconds ?? 0, this.options.cacheSecondsMax()) * 1000;
    if (ttlMs <= 0 || answer.encoded.bytes.length > cachedBytesMax) return;
    this.#kept.delete(id); // to the end: the oldest goes first
    this.#kept.set(id, { answer, keptMs: this.options.clock.monotonicMs(), ttlMs, retryAtMs: 0 });
    if (this.#kept.size > entriesMax) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

const nameOf = (upstream: Upstream): string => `${upstream.ip}#${upstream.port}`;
