import { afterAll, beforeAll, expect, test } from 'bun:test';
import http2 from 'node:http2';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../store/memory.ts';
import { createAuthority, issueServing } from '../wire/pki.ts';
import type { ApiServer } from './contract.ts';
import { createApiServer } from './server.ts';

let server: ApiServer;
let session: http2.ClientHttp2Session;
beforeAll(async () => {
  server = await createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });
  const tls = await issueServing(await createAuthority('test', systemClock.now()), {
    commonName: 'test',
    ipAddresses: ['127.0.0.1'],
    dnsNames: [],
    days: 1,
    nowMs: systemClock.now(),
  });
  const { port } = await server.listen({ hostname: '127.0.0.1', port: 0, tls });
  session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
});
afterAll(async () => {
  session.close();
  await server[Symbol.asyncDispose]();
});

function post(path: string, bytes: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' });
  stream.on('response', (headers) => resolve(Number(headers[':status'])));
  stream.on('error', reject);
  stream.resume();
  stream.end(Buffer.alloc(bytes, 'a'));
  return promise;
}

// An answer that came before the end of the body used to reach HTTP/2 clients as a broken stream.
test.each([
  ['/api/v1/namespaces', 2_000_000, 400],
  ['/api/v1/namespaces', 4_000_000, 413],
  ['/api/v1/nothings', 2_000_000, 404],
  ['/api/v1/namespaces?fieldValidation=Odd', 2_000_000, 422],
])('a body that nobody reads does not cost the answer: %s %d is %d', async (path, bytes, status) => {
  expect(await post(path, bytes)).toBe(status);
});
