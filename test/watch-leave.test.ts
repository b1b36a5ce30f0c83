import { expect, test } from 'bun:test';
import http2 from 'node:http2';
import { connect } from 'node:tls';
import { seededRandom, silentLog, systemClock } from '#base';
import type { ApiServer, ApiServerOptions } from '../core/apiserver/contract.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { listenLocally } from './fixtures/open-server.ts';

const path = '/api/v1/namespaces/default/configmaps?watch=1';
const start = async () =>
  createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    schema: createSchemaEngine(),
    serviceRange: '10.96.0.0/24',
    advertise: { ip: '192.0.2.1', port: 6443 },
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  } as ApiServerOptions);

async function openWatches(api: ApiServer): Promise<number> {
  const text = await (await api.fetch(new Request('http://localhost/metrics'))).text();
  return Number(/apiserver_longrunning_requests\{[^}]*"configmaps"[^}]*\} (\d+)/.exec(text)?.[1] ?? 0);
}
async function settles(api: ApiServer, count: number): Promise<void> {
  const endMs = performance.now() + 20_000;
  while ((await openWatches(api)) !== count) {
    if (performance.now() > endMs) throw new Error(`there are still ${await openWatches(api)} watches, not ${count}`);
    await Bun.sleep(5);
  }
}

test('a watch ends with its connection over HTTP/1.1 and HTTP/2, its reader, its signal, its time and the server', async () => {
  const api = await start();
  const { port } = await listenLocally(api);
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  socket.once('secureConnect', () => socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`));
  await new Promise((resolve) => socket.once('data', resolve));
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const stream = session.request({ ':path': path });
  await new Promise((resolve) => stream.once('response', resolve));
  await settles(api, 2);
  socket.destroy();
  await settles(api, 1);
  session.destroy();
  await settles(api, 0);

  const open = (query = '', signal?: AbortSignal) =>
    api.fetch(new Request(`http://localhost${path}${query}`, { signal }));
  const reader = (await open()).body!.getReader();
  const stop = new AbortController();
  const signalled = (await open('', stop.signal)).body!.getReader();
  await settles(api, 2);
  await reader.cancel();
  await settles(api, 1);
  stop.abort();
  while (!(await signalled.read()).done);
  await settles(api, 0);
  const timed = (await open('&timeoutSeconds=1')).body!.getReader();
  while (!(await timed.read()).done);
  await settles(api, 0);
  const last = (await open()).body!.getReader();
  await api[Symbol.asyncDispose]();
  let done = false;
  while (!done) ({ done } = await last.read());
  expect(done).toBe(true);
}, 60_000);
