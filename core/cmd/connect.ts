import { readFileSync } from 'node:fs';
import { PintleError, systemClock } from '#base';
import type { Client } from '#client';
import { createClient } from '../client/http.ts';
import type { Config, Home } from './home.ts';

/** A client over TLS with one of the home's tokens. `name` is a file of HOME/credentials without `.token`. */
export function connect(home: Home, config: Config, name: string): Client {
  refuseOnAgent(config);
  const ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
  return createClient({
    fetch: (request) => fetch(request, { tls: { ca } }),
    baseUrl: `https://127.0.0.1:${config.port}`,
    token: (home.readFile(`credentials/${name}.token`) ?? '').trim(),
  });
}

/** A host that joined has no administrator's credentials. */
export function refuseOnAgent({ role, servers }: Config): void {
  if (role === 'agent')
    throw new PintleError(
      'NO_SERVER',
      'this host joined a cluster; the API is asked on its server',
      `run this on the server (${servers?.[0] ?? 'see config.json'})`,
    );
}

const startsWithinMs = 3_000;
const lookEveryMs = 10;

/**
 * Waits a moment for an API server that is starting beside this process, so that no first request fails and then pauses.
 * Resolves when somebody listens, or after three seconds: from there on every client waits and retries by itself.
 */
export async function apiListens(config: Config, signal: AbortSignal): Promise<void> {
  const endMs = systemClock.monotonicMs() + startsWithinMs;
  while (!signal.aborted && systemClock.monotonicMs() < endMs) {
    try {
      const socket = await Bun.connect({ hostname: '127.0.0.1', port: config.port, socket: { data() {} } });
      socket.end();
      return;
    } catch {
      await systemClock.sleep(lookEveryMs, signal);
    }
  }
}
