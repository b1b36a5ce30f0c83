import { type Clock, type Log, messageOf } from '#base';
import type { Client, Fetch } from '#client';
import { createClient } from '../../client/http.ts';

/** Every certificate of an API server has this name, so that one that moved, or is reached through NAT, is still known. */
export const serverName = 'kubernetes.default.svc';
const placeholder = `https://${serverName}`;
const leaseMsMax = 4_000; // within one period of the shortest grace
const requestMsMax = 30_000; // a large list on a slow line
const refused = /ECONNREFUSED|ConnectionRefused/;

/** A time of being connected: its connections are not used after it. */
interface Spell {
  readonly number: number;
  readonly ends: AbortController;
  /** Whether a connection of it has ever carried an answer. */
  isAnswered: boolean;
}
const newSpell = (number: number): Spell => ({ number, ends: new AbortController(), isAnswered: false });

/**
 * Requests of an agent: to the API server that answered last, else to the next of the list. A request that hangs is cut in
 * bounded time. Connections may be dead without a sign, those that wait idle for the next request too: what comes after a
 * silence goes over new ones, and once one of these answers, everything that waits on an older one ends.
 */
export class ServerWay {
  #at = 0;
  #heardMs: number;
  #silent = false;
  #spell = newSpell(0);
  #former: Spell | undefined;
  #place = new AbortController();
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
  /** Aborts when this host is no longer where it is now. */
  place = (): AbortSignal => this.#place.signal;

  /** The address of all connections is gone: nobody waits for them any longer. */
  moved = (why: string): void => {
    const place = this.#place;
    this.#place = new AbortController();
    place.abort();
    this.#giveUp(why);
  };
  /** Another connection to this server was found dead. */
  fellSilent = (server: string): void => {
    if (server === this.server) this.#giveUp(`nothing comes from ${server}`);
  };
  #giveUp(why: string): void {
    this.options.log.info('new connections to the API server', { why });
    const over = [this.#former, this.#spell];
    this.#former = undefined;
    this.#spell = newSpell(this.#spell.number + 1);
    for (const one of over) one?.ends.abort(new Error(`the connection was given up: ${why}`));
  }

  fetch: Fetch = async (request) => {
    const { pathname, search, searchParams } = new URL(request.url);
    const at = this.#at;
    const spell = this.#spell;
    const isWatch = searchParams.get('watch') === 'true';
    const stop = new AbortController();
    const end = () => stop.abort(spell.ends.signal.reason);
    spell.ends.signal.addEventListener('abort', end, { once: true });
    const limit = isWatch
      ? spell.ends.signal
      : AbortSignal.timeout(pathname.includes('/leases/') ? leaseMsMax : requestMsMax);
    const signal = AbortSignal.any([request.signal, stop.signal, limit]);
    try {
      const body = request.body ? await request.text() : undefined;
      const answer = await (this.options.send ?? fetch)(this.server + pathname + search, {
        method: request.method,
        headers: request.headers,
        body,
        signal,
        redirect: 'manual',
        // Bun keeps idle connections for each TLS configuration: with another text none of an older spell is taken.
        tls: { ca: `${this.options.ca}\n# ${spell.number}\n`, serverName },
        proxy: false as unknown as string, // the only value that overrides HTTP_PROXY; the types do not know it
      } as RequestInit);
      this.#heard(spell);
      return answer;
    } catch (error) {
      if (!request.signal.aborted && !spell.ends.signal.aborted) this.#lost(at, spell, error);
      throw error;
    } finally {
      spell.ends.signal.removeEventListener('abort', end); // an answer that has begun is read to its end
    }
  };

  #heard(spell: Spell): void {
    this.#heardMs = this.options.clock.monotonicMs();
    if (this.#silent) this.options.log.info('the API server answers again', { server: this.server });
    this.#silent = false;
    if (spell !== this.#spell || spell.isAnswered) return;
    spell.isAnswered = true;
    this.#former?.ends.abort(new Error('the connection was silent, and others are answered'));
    this.#former = undefined;
  }

  #lost(at: number, spell: Spell, error: unknown): void {
    const { clock, log, servers } = this.options;
    // Its host answers, so nobody decides over this node while the server is away: that is no silence.
    if (refused.test(`${(error as { code?: unknown }).code} ${messageOf(error)}`)) this.#heardMs = clock.monotonicMs();
    if (!this.#silent) log.warn('the API server does not answer', { server: this.server, error: messageOf(error) });
    this.#silent = true;
    if (spell === this.#spell && spell.isAnswered) {
      this.#former = spell;
      this.#spell = newSpell(spell.number + 1);
    }
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
