import { chmod, rm } from 'node:fs/promises';
import type { Clock } from '#base';
import type { Fetch } from '#client';
import { Rate } from './rate.ts';
import { Turns } from './turns.ts';

const requestsMax = 64;
/** Of those, at the API server: whoever comes after a flood waits behind so many and no more. The others wait here. */
const atOnce = { writes: 2, reads: 8, flood: 1 };
/** Beyond these it is a flood: each write is followed by a pause as long as it took, so that half of the server's time, however slow it is, is the others'. */
const calmDefault = { burst: 250, perSecond: 50 };
const floodPauseMsMax = 1_000;
/** Refusals beyond these are answered late: a loop that takes no notice of them would be felt by all who share the processor. */
const refusalsAtOnce = { burst: 20, perSecond: 20 };
const lateRefusalMs = 1_000;
/** A loop without an end must not fill the store, nor slow the others' writes. What is created stays in memory too. */
const limitsDefault = {
  writes: { burst: 2_000, perSecond: 500 },
  creations: { burst: 10_000, perSecond: 50 },
  events: { burst: 200, perSecond: 10 },
};
const bodyBytesMax = 3 * 1024 * 1024;
/** What a plugin says of itself is not believed: who it is comes from the socket. */
const passedHeaders = ['accept', 'content-type'] as const;

export interface GatewayOptions {
  /** Of the unix socket; made by the gateway. */
  readonly path: string;
  readonly fetch: Fetch;
  readonly baseUrl: string;
  /** Of the plugin's own account. */
  readonly token: () => Promise<string>;
  readonly userAgent: string;
  /** To begin with. */
  readonly epoch: 'standby' | 'active';
  readonly clock: Clock;
  /** Of requests that change something; for tests. */
  readonly limits?: typeof limitsDefault & { readonly calm?: typeof calmDefault };
}
/**
 * Of two versions of a plugin one acts. `standby`: it does not act yet, `active`: it does, `stale`: a newer one does.
 * Reads are answered always; writes of the others 409 StaleEpoch.
 */
export type Epoch = 'standby' | 'active' | 'stale';
export interface Gateway extends AsyncDisposable {
  /** From now on writes act. */
  promote(): void;
  /** From now on they are refused. Resolves when those that were on their way have been answered, after 10 s at the latest. */
  fence(): Promise<void>;
}
const onTheWayMsMax = 10_000;

/** The Kubernetes API on a unix socket, as one account. Whoever reaches the socket is that plugin: no token leaves the host. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  await rm(options.path, { force: true });
  const { clock } = options;
  const limits: NonNullable<GatewayOptions['limits']> = options.limits ?? limitsDefault;
  const rates = {
    writes: new Rate(clock, limits.writes),
    creations: new Rate(clock, limits.creations),
    events: new Rate(clock, limits.events),
    calm: new Rate(clock, limits.calm ?? calmDefault),
    refusals: new Rate(clock, refusalsAtOnce),
  };
  const mayWrite = ({ method, url }: Request): boolean =>
    isEvents(url) ? rates.events.take() : rates.writes.take() && (method !== 'POST' || rates.creations.take());
  const turns = { writes: new Turns(atOnce.writes), reads: new Turns(atOnce.reads), flood: new Turns(atOnce.flood) };
  const over = new AbortController();
  const tooMany = async (message: string): Promise<Response> => {
    if (!rates.refusals.take()) await clock.sleep(lateRefusalMs, over.signal);
    return refusal(429, 'TooManyRequests', message, 1);
  };
  let running = 0;
  let epoch: Epoch = options.epoch;
  const writes = new Set<Promise<unknown>>();
  const server = Bun.serve({
    unix: options.path,
    maxRequestBodySize: bodyBytesMax,
    async fetch(request, server) {
      server.timeout(request, 0); // a watch may be silent for long
      const reads = request.method === 'GET' || request.method === 'HEAD';
      if (!reads && epoch !== 'active') return stale(epoch);
      if (!reads && !mayWrite(request)) return tooMany('too many writes; slow down');
      if (running >= requestsMax) return tooMany(`more than ${requestsMax} requests at once`);
      running++;
      const isFlood = !reads && !rates.calm.take();
      const done = await turns[isFlood ? 'flood' : reads ? 'reads' : 'writes'].take(request.signal);
      const beganMs = clock.monotonicMs();
      const work = !reads && epoch !== 'active' ? Promise.resolve(stale(epoch)) : forward(request, options);
      if (!reads) writes.add(work);
      try {
        return await work;
      } catch {
        return refusal(503, 'ServiceUnavailable', 'the API server does not answer');
      } finally {
        writes.delete(work);
        const pauseMs = isFlood ? Math.min(clock.monotonicMs() - beganMs, floodPauseMsMax) : 0;
        if (pauseMs > 0) void clock.sleep(pauseMs, over.signal).then(done);
        else done();
        running--;
      }
    },
  });
  await chmod(options.path, 0o666); // its folder keeps others out
  return {
    promote: () => void (epoch = 'active'),
    async fence() {
      epoch = 'stale';
      const limit = new AbortController();
      await Promise.race([Promise.allSettled(writes), options.clock.sleep(onTheWayMsMax, limit.signal)]);
      limit.abort();
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await server.stop(true);
      await rm(options.path, { force: true });
    },
  };
}

const stale = (epoch: Exclude<Epoch, 'active'>): Response => refusal(409, 'StaleEpoch', staleness[epoch]);
const staleness = {
  standby: 'this version of the plugin does not act yet',
  stale: 'a newer version of this plugin has taken over',
} as const;

async function forward(request: Request, { fetch, baseUrl, token, userAgent }: GatewayOptions): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const headers = new Headers({ authorization: `Bearer ${await token()}`, 'user-agent': userAgent });
  for (const name of passedHeaders) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const answer = await fetch(
    new Request(baseUrl + pathname + search, {
      method: request.method,
      headers,
      body: request.body ? await request.arrayBuffer() : undefined,
      redirect: 'manual',
      signal: request.signal,
    }),
  );
  const passed = new Headers();
  for (const name of ['content-type', 'retry-after', 'warning'])
    for (const value of answer.headers.get(name) === null ? [] : [answer.headers.get(name)!]) passed.set(name, value);
  return new Response(answer.body, { status: answer.status, headers: passed });
}

const isEvents = (url: string): boolean => /\/events(\/[^/]*)?$/.test(new URL(url).pathname);

const refusal = (code: number, reason: string, message: string, retryAfterSeconds?: number): Response =>
  Response.json(
    { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code },
    { status: code, ...(retryAfterSeconds ? { headers: { 'retry-after': String(retryAfterSeconds) } } : {}) },
  );
