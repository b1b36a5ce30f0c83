import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { nodeKind } from '#api';
import { silentLog, systemClock } from '#base';
import type { Client } from '#client';
import type { ApiServer } from '../core/apiserver/contract.ts';
import { enrollmentPaths } from '../core/apiserver/enrollment/paths.ts';
import { fetchDirect } from '../core/apiserver/streaming/fetch-direct.ts';
import { connectBackend } from '../core/apiserver/streaming/relay.ts';
import { Tunnels } from '../core/apiserver/streaming/tunnels.ts';
import { createClient } from '../core/client/http.ts';
import { keepTunnel } from '../core/cmd/agent/tunnel.ts';
import { createAuthority, issueServing, type KeyPair } from '../core/wire/pki.ts';
import { eventually } from './fixtures/eventually.ts';
import { openApiServer } from './fixtures/open-server.ts';

/** A node whose endpoint is reached through the connection that it dials itself. */
const big = Buffer.alloc(6 * 1024 * 1024, 'pintle');
const ways: string[] = [];
const stop = new AbortController();
let ca: KeyPair;
let kubelet: ReturnType<typeof startKubelet>;
let server: ApiServer;
let tunnels: Tunnels;
let admin: Client;
let url: string;

const certificate = (name: string) =>
  issueServing(ca, { commonName: name, dnsNames: [name], ipAddresses: [], days: 1, nowMs: systemClock.now() });

function startKubelet({ key, cert }: KeyPair) {
  return Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: { key, cert },
    idleTimeout: 0,
    async fetch(request, bun) {
      const { pathname } = new URL(request.url);
      if (bun.upgrade(request)) return undefined;
      if (pathname === '/big') return new Response(big);
      if (pathname === '/hash')
        return new Response(
          createHash('sha256')
            .update(Buffer.from(await request.arrayBuffer()))
            .digest('hex'),
        );
      return new Response(`hello ${pathname}`);
    },
    websocket: { message: (socket, data) => void socket.send(data) },
  });
}

beforeAll(async () => {
  ca = await createAuthority('kubelets', systemClock.now());
  kubelet = startKubelet(await certificate('n1'));
  tunnels = new Tunnels({
    reader: () => server.reader,
    kubeletCa: ca.cert,
    clock: systemClock,
    log: silentLog,
    onWay: async (name, way) => void ways.push(`${name} ${way}`),
  });
  server = await openApiServer({
    authenticator: {
      authenticate: (request) => {
        const name = request.headers.get('authorization')?.replace('Bearer ', '') ?? 'admin';
        return name === 'admin'
          ? { name, groups: ['system:masters'] }
          : { name: `system:node:${name}`, groups: ['system:nodes'] };
      },
    },
    extraPaths: new Map([[enrollmentPaths.tunnel, tunnels.path]]),
  });
  const tls = await certificate('kubernetes.default.svc');
  url = `https://127.0.0.1:${(await server.listen({ hostname: '127.0.0.1', port: 0, tls })).port}`;
  admin = createClient({
    fetch: (request) => server.fetch(request),
    baseUrl: 'http://localhost',
    token: 'admin',
  });
  for (const name of ['n1', 'n2']) {
    await admin.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    const status = {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], // which the API server never connects to by itself
      daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
    };
    await admin.patch(nodeKind, { name }, { type: 'merge', body: { status } }, { subresource: 'status' });
  }
  dial('n1');
});
afterAll(async () => {
  stop.abort();
  await tunnels[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await kubelet.stop(true);
});

function dial(name: string, signal = stop.signal, place?: () => AbortSignal, onDial = () => {}): void {
  const token = async () => {
    onDial();
    return name;
  };
  void keepTunnel({
    server: url,
    token,
    ca: ca.cert,
    port: kubelet.port!,
    clock: systemClock,
    log: silentLog,
    signal,
    place,
  });
}
const through = (name: string) =>
  eventually(
    () => tunnels.hostOf(name),
    (host) => host !== undefined,
  ).then((host) => host!);
const get = async (host: string, path: string, serverName = 'n1') => {
  const init = { headers: {}, signal: AbortSignal.timeout(60_000), ca: ca.cert, serverName, who: 'node' };
  return fetchDirect(`https://${host}${path}`, init);
};

test('requests go through it, many at the same time, whole', async () => {
  const host = await through('n1');
  expect(await (await get(host, '/x')).text()).toBe('hello /x');
  const bodies = await Promise.all(
    Array.from({ length: 8 }, () => get(host, '/big').then((answer) => answer.arrayBuffer())),
  );
  for (const body of bodies) expect(Bun.hash(body)).toBe(Bun.hash(big));
  const sent = await fetch(`https://${host}/hash`, {
    method: 'POST',
    body: big,
    tls: { ca: ca.cert, serverName: 'n1' } as object,
  });
  expect(await sent.text()).toBe(createHash('sha256').update(big).digest('hex'));
  await eventually(
    () => ways,
    (found) => found.includes('n1 tunnel'),
  );
});

test('streams of exec and port-forward too', async () => {
  const options = {
    protocols: [],
    headers: {},
    ca: ca.cert,
    serverName: 'n1',
    clock: systemClock,
    signal: stop.signal,
  };
  const backend = (await connectBackend(`wss://${await through('n1')}/echo`, options))!;
  const got = Promise.withResolvers<string>();
  backend.socket.onmessage = ({ data }) => got.resolve(String(data));
  (backend.socket as unknown as { resume(): void }).resume();
  backend.socket.send('to and fro');
  expect(await got.promise).toBe('to and fro');
  backend.socket.close();
});

test('what comes out must be the node that is meant; who is no node keeps none', async () => {
  dial('n2'); // its host has the key of n1
  const wrong = get(await through('n2'), '/x', 'n2').then(
    () => 'answered',
    (error: Error) => error.message,
  );
  expect(await wrong).toContain('error trying to reach');
  const stranger = await server.fetch(new Request(`http://localhost${enrollmentPaths.tunnel}`));
  expect(stranger.status).toBe(400);
});

test('one that breaks is dialled again; a new one takes the place of the old', async () => {
  const first = await through('n1');
  dial('n1'); // as after a restart of the node's process that nobody saw
  const second = await eventually(
    () => tunnels.hostOf('n1'),
    (host) => host !== undefined && host !== first,
  );
  expect(await (await get(second!, '/again')).text()).toBe('hello /again');
});

test('a host that moves dials anew at once, and is reached again', async () => {
  await admin.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n3' } });
  const ended = new AbortController();
  let place = new AbortController();
  let dialled = 0;
  dial(
    'n3',
    ended.signal,
    () => place.signal,
    () => dialled++,
  );
  const before = await through('n3');
  expect(await (await get(before, '/x')).text()).toBe('hello /x');
  const former = place;
  place = new AbortController();
  former.abort();
  await eventually(
    () => dialled,
    (count) => count === 2,
  );
  const answers = async () => {
    const host = tunnels.hostOf('n3');
    return host === undefined ? '' : get(host, '/x').then((answer) => answer.text(), String);
  };
  await eventually(answers, (text) => text === 'hello /x');
  ended.abort();
});
