import { seededRandom, silentLog, systemClock } from '#base';
import type { ApiServer, ApiServerOptions } from '../../core/apiserver/contract.ts';
import { createApiServer } from '../../core/apiserver/server.ts';
import { createMemoryStore } from '../../core/store/memory.ts';
import { createAuthority, issueServing } from '../../core/wire/pki.ts';

export const maps = '/api/v1/namespaces/default/configmaps';

/** A real API server in process; `x-user: NAME` says who asks, nobody else is let in, and everything is allowed to the known. */
export async function startServer(options: Partial<ApiServerOptions> = {}): Promise<ApiServer> {
  return createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    advertise: { ip: '192.0.2.1', port: 6443 },
    authenticator: {
      authenticate: async (request: Request) => {
        const name = request.headers.get('x-user');
        return name ? { name, groups: ['system:masters'] } : undefined;
      },
    },
    authorizer: {
      authorize: (user: { groups: readonly string[] }) => ({ allowed: user.groups.includes('system:masters') }),
    },
    ...options,
  } as ApiServerOptions);
}

/** The same behind a real TLS listener. */
export async function listenOn(server: ApiServer): Promise<number> {
  const authority = await createAuthority('test', systemClock.now());
  const tls = await issueServing(authority, {
    commonName: 'test',
    ipAddresses: ['127.0.0.1'],
    dnsNames: [],
    days: 1,
    nowMs: systemClock.now(),
  });
  return (await server.listen({ hostname: '127.0.0.1', port: 0, tls })).port;
}

export interface Answer {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly text: string;
  /** How long the loop stood still at worst while it was made. */
  readonly stallMs: number;
}

/** Sends one request in process, watching the event loop. */
export async function send(server: ApiServer, request: Request): Promise<Answer> {
  const pulse = startPulse();
  const response = await server.fetch(request);
  const stalled = pulse.stop(); // before the test itself reads the answer
  const text = await response.text();
  return { code: response.status, text, ...statusOf(text), stallMs: stalled };
}

export function statusOf(text: string): { reason: string; message: string } {
  try {
    const { kind, reason = '', message = '' } = JSON.parse(text) as Record<string, string>;
    if (kind === 'Status') return { reason, message };
  } catch {} // an answer that is no JSON
  return { reason: '', message: '' };
}

/** A heartbeat at every turn of the loop; `stop` gives the longest time between two beats, in milliseconds. */
export function startPulse(): { stop(): number } {
  let last = performance.now();
  let worst = 0;
  let beating = true;
  const beat = (): void => {
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
    if (beating) setImmediate(beat);
  };
  setImmediate(beat);
  return {
    stop() {
      beating = false;
      worst = Math.max(worst, performance.now() - last);
      return worst;
    },
  };
}
