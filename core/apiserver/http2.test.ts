import { afterAll, beforeAll, expect, test } from 'bun:test';
import http2 from 'node:http2';
import { listenLocally, openApiServer } from '../../test/fixtures/open-server.ts';
import type { ApiServer } from './contract.ts';

let server: ApiServer;
let session: http2.ClientHttp2Session;
beforeAll(async () => {
  server = await openApiServer();
  const { port } = await listenLocally(server);
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
