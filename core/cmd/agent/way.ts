import { type Clock, type Log, messageOf } from '#base';
import type { Client, Fetch } from '#client';
import { createClient } from '../../client/http.ts';

/** Every certificate of an API server has this name, so that one that moved, or is reached through NAT, is still known. */
export const serverName = 'kubernetes.default.svc';
const placeholder = `https://${serverName}`;
const leaseMsMax = 4_000; // within one period of the shortest grace
const requestMsMax = 30_000; // a large list on a slow line
const refused = /ECONNREFUSED|ConnectionRefused/;

/**
 * Requests of an agent: to the API server that answered last, else to the next of the list. A request that hangs is cut in
 * bounded time, and watches that began before a silence end with it, because their connections may be dead without a sign.
 */
export class ServerWay {
  #at = 0;
  #heardMs: number;
  #silent = false;
  /** Ends the watches of this spell of being connected. */
  #spell = new AbortController();
  constructor(
    private readonly options: {
      /** The list as it is now: settings from the server may change it. */
      readonly servers: () => readonly string[];
      /** PEM. */
      readonly ca: string;
      readonly clock: Clock;
      readonly log: Log;
      readonly send?: typeof fetch;
    },
  ) {
    this.#heardMs = options.clock.monotonicMs();
  }
  get baseUrl(): string {
    return placeholder;
  }
  /** The server that is asked now. */
  get server(): string {
    const { servers } = this.options;
    return servers()[this.#at % Math.max(1, servers().length)] ?? placeholder;
  }
  silentMs = (): number => this.options.clock.monotonicMs() - this.#heardMs;

  fetch: Fetch = async (request) => {
    const { pathname, search, searchParams } = new URL(request.url);
    const at = this.#at;
    const isWatch = searchParams.get('watch') === 'true';
    const limit = isWatch
      ? this.#spell.signal
      : AbortSignal.timeout(pathname.includes('/leases/') ? leaseMsMax : requestMsMax);
    const signal = AbortSignal.any([request.signal, limit]);
    try {
      const body = request.body ? await request.text() : undefined;
      const answer = await (this.options.send ?? fetch)(this.server + pathname + search, {
        method: request.method,
        headers: request.headers,
        body,
        signal,
        redirect: 'manual',
        tls: { ca: this.options.ca, serverName },
        proxy: false as unknown as string, // the only value that overrides HTTP_PROXY; the types do not know it
      } as RequestInit);
      this.#heard();
      return answer;
    } catch (error) {
      if (!request.signal.aborted) this.#lost(at, error);
      throw error;
    }
  };

  #heard(): void {
    this.#heardMs = this.options.clock.monotonicMs();
    if (!this.#silent) return;
    this.#silent = false;
    this.options.log.info('the API server answers again', { server: this.server });
    const old = this.#spell;
    this.#spell = new AbortController();
    old.abort();
  }

  #lost(at: number, error: unknown): void {
    const { clock, log, servers } = this.options;
    // Its host answers, so nobody decides over this node while the server is away: that is no silence.
    if (refused.test(`${(error as { code?: unknown }).code} ${messageOf(error)}`)) this.#heardMs = clock.monotonicMs();
    if (!this.#silent) log.warn('the API server does not answer', { server: this.server, error: messageOf(error) });
    this.#silent = true;
    if (at === this.#at) this.#at = (at + 1) % Math.max(1, servers().length);
  }
}

/** Clients whose token is asked for anew with each request. */
export const clientOf = (
  way: ServerWay,
  token: (signal: AbortSignal) => Promise<string>,
  onRefused: () => void,
): Client =>
  createClient({
    baseUrl: way.baseUrl,
    fetch: async (request) => {
      request.headers.set('authorization', `Bearer ${await token(request.signal)}`);
      const answer = await way.fetch(request);
      if (answer.status === 401) onRefused();
      return answer;
    },
  });
