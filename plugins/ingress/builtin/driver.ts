import { type Clock, type Log, MetricsPage, Scope } from '#sdk';
import type { Applied, IngressDriver } from '../driver.ts';
import { defaultLimits, type Limits, type Listener, type Routing } from '../model.ts';
import { Certificates } from './certificates.ts';
import type { Asked } from './exchange.ts';
import { Gateway } from './gateway.ts';
import { Http1Front } from './http1-front.ts';
import type { RequestHead } from './http1-head.ts';
import { Http2Front } from './http2-front.ts';
import { IngressMetrics } from './ingress-metrics.ts';
import { Listeners } from './listeners.ts';
import type { Wire } from './wire.ts';

export interface BuiltinOptions {
  readonly clock: Clock;
  readonly log: Log;
}
const sweepMs = 250;
const closeGraceMs = 5_000; // for requests that are under way when it is disposed of

/** The data plane that needs nothing but this program. */
export function createBuiltinDriver(options: BuiltinOptions): IngressDriver {
  return new BuiltinDriver(options);
}

class BuiltinDriver implements IngressDriver {
  readonly name = 'builtin';
  readonly #clock: Clock;
  readonly #scope = new Scope();
  readonly #page: MetricsPage;
  readonly #metrics: IngressMetrics;
  readonly #fronts = new Set<Http1Front>();
  readonly #certificates = new Certificates();
  readonly #listeners: Listeners;
  #http2: Http2Front | undefined;
  #gateway: Gateway | undefined;
  #limits: Limits = defaultLimits;
  #isClosing = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ clock, log }: BuiltinOptions) {
    this.#clock = clock;
    this.#page = new MetricsPage(clock.now());
    this.#metrics = new IngressMetrics(this.#page, () => this.#connections);
    const self = this;
    this.#listeners = new Listeners(
      {
        http1: (wire) => self.#take(wire),
        http2: (stream, carrier) => self.#http2?.adopt(stream, carrier),
        get isFull() {
          return self.#isClosing || self.#connections >= self.#limits.connectionsMax;
        },
      },
      this.#certificates,
      log,
    );
    void this.#sweep();
  }
  get #connections(): number {
    return this.#fronts.size + (this.#http2?.connections ?? 0);
  }
  get listening(): readonly Listener[] {
    return this.#listeners.listening;
  }

  apply(routing: Routing): Promise<Applied> {
    const next = this.#last.then(() => this.#apply(routing));
    this.#last = next.catch(() => {});
    return next;
  }
  async #apply(routing: Routing): Promise<Applied> {
    if (this.#isClosing) throw new Error('the data plane is being closed');
    const bad = this.#certificates.use(routing);
    this.#limits = routing.limits;
    if (this.#gateway) this.#gateway.use(routing);
    else this.#gateway = new Gateway(routing, this.#clock, this.#metrics);
    this.#http2 ??= this.#createHttp2();
    const { rejected, changed } = await this.#listeners.use(routing);
    this.#metrics.applied();
    return { rejected: [...bad, ...rejected], reloaded: changed };
  }
  #createHttp2(): Http2Front {
    return new Http2Front({
      clock: this.#clock,
      limits: this.#limits,
      serve: (asked, replier) => this.#gateway!.serve(asked, replier),
      refused: (status) => this.#metrics.refused(status),
    });
  }

  #take(wire: Wire): void {
    const self = this;
    const front = new Http1Front(wire, {
      clock: this.#clock,
      get limits() {
        return self.#limits;
      },
      get isClosing() {
        return self.#isClosing;
      },
      serve: (head, own, replier) => self.#gateway!.serve(askedOf(head, own), replier),
      refused: (status) => self.#metrics.refused(status),
      left: (gone) => void self.#fronts.delete(gone),
    });
    this.#fronts.add(front);
  }

  /** Cuts what has waited for too long. One look at everything costs less than a timer for each. */
  async #sweep(): Promise<void> {
    const { signal } = this.#scope;
    while (!signal.aborted) {
      await this.#clock.sleep(sweepMs, signal);
      const nowMs = this.#clock.monotonicMs();
      for (const front of this.#fronts) if (front.deadlineMs <= nowMs) front.expire();
      this.#http2?.sweep(nowMs);
      this.#gateway?.pools.sweep(nowMs);
    }
  }

  async health(): Promise<{ ok: true } | { ok: false; reason: string }> {
    if (!this.#gateway) return { ok: false, reason: 'no routing has come yet' };
    return this.listening.length > 0 ? { ok: true } : { ok: false, reason: 'nothing is listened to' };
  }
  async metrics(): Promise<string> {
    return this.#page.text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#last;
    this.#listeners.stop();
    for (const front of this.#fronts) front.retire();
    this.#http2?.retire();
    const endMs = this.#clock.monotonicMs() + closeGraceMs;
    while (this.#connections > 0 && this.#clock.monotonicMs() < endMs) await this.#clock.sleep(20);
    for (const front of this.#fronts) front.cut();
    this.#http2?.close();
    this.#gateway?.pools.close();
    await this.#scope[Symbol.asyncDispose]();
  }
}

function askedOf(head: RequestHead, { peer, port, isSecure }: Wire): Asked {
  const { method, target, host, authority, headers, hopNames, framing, upgrade } = head;
  const bodyBytes = framing.type === 'length' ? framing.bytes : framing.type === 'none' ? 0 : undefined;
  return {
    method,
    target,
    host,
    authority,
    headers,
    hopNames,
    bodyBytes,
    isSecure,
    peer,
    port,
    ...(upgrade === undefined ? {} : { upgrade }),
  };
}
