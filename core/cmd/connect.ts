import { readFileSync } from 'node:fs';
import type { Client } from '#client';
import { createClient } from '../client/http.ts';
import type { Config, Home } from './home.ts';

/** A client over TLS with one of the home's tokens. `name` is a file of HOME/credentials without `.token`. */
export function connect(home: Home, config: Config, name: string): Client {
  const ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
  return createClient({
    fetch: (request) => fetch(request, { tls: { ca } }),
    baseUrl: `https://127.0.0.1:${config.port}`,
    token: (home.readFile(`credentials/${name}.token`) ?? '').trim(),
  });
}
