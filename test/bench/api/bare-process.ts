import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { ResourceVersion } from '#api';
import { silentLog, systemClock } from '#base';
import { openEtcdStore } from '../../../core/store/etcd.ts';
import { openSqliteStore } from '../../../core/store/sqlite.ts';

/**
 * The least that a server on Bun can do: same TLS, same bytes, same store, nothing of Kubernetes. `PUT /static/…` keeps a body
 * that `GET /static/…` answers; `POST` and `PUT` below `/objects/` parse, commit and answer; `GET /watch` is a stream to which
 * every `POST /fan` sends its body. Prints its port; ends with its stdin.
 */
const { values } = parseArgs({
  options: { key: { type: 'string' }, cert: { type: 'string' }, store: { type: 'string' } },
});
const seams = { clock: systemClock, log: silentLog };
const store = values.store!.startsWith('http')
  ? await openEtcdStore({ endpoints: [values.store!], prefix: '/bare', plaintext: true, ...seams })
  : await openSqliteStore({ path: values.store!, ...seams });
const bodies = new Map<string, Uint8Array<ArrayBuffer>>();
const versions = new Map<string, ResourceVersion>();
const readers = new Set<ReadableStreamDefaultController<Uint8Array>>();
const headers = { 'content-type': 'application/json', 'cache-control': 'no-cache, private' };

async function commit(request: Request, path: string): Promise<Response> {
  const object = JSON.parse(await request.text()) as { metadata: { name: string } };
  const key = `/registry/bare/${object.metadata.name}`;
  const bytes = Buffer.from(JSON.stringify(object));
  const entry =
    request.method === 'POST'
      ? await store.create(key, bytes)
      : await (versions.has(path) ? store.update(key, bytes, versions.get(path)) : store.create(key, bytes));
  if (request.method === 'PUT') versions.set(path, entry.version);
  return new Response(bytes, { status: request.method === 'POST' ? 201 : 200, headers });
}

function watch(): Response {
  let own: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        own = controller;
        readers.add(own);
        own.enqueue(new Uint8Array([0x0a]));
      },
      cancel: () => void readers.delete(own),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 64 * 1024 }),
  );
  return new Response(stream, { headers });
}

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  idleTimeout: 0,
  tls: { key: readFileSync(values.key!, 'utf8'), cert: readFileSync(values.cert!, 'utf8') },
  async fetch(request) {
    const path = request.url.slice(request.url.indexOf('/', 8));
    if (request.method === 'GET') return path === '/watch' ? watch() : new Response(bodies.get(path), { headers });
    if (path.startsWith('/objects/')) return commit(request, path);
    const bytes = new Uint8Array(await request.arrayBuffer());
    if (path === '/fan') for (const reader of readers) reader.enqueue(bytes);
    else bodies.set(path, bytes);
    return new Response(undefined, { status: 200 });
  },
  maxRequestBodySize: 2 ** 30,
});
console.log(`port ${server.port}`);
for await (const _ of Bun.stdin.stream()) {
}
await store[Symbol.asyncDispose]();
process.exit(0);
