import { afterAll, beforeAll, expect, test } from 'bun:test';
import http2 from 'node:http2';
import { systemClock } from '#base';
import { createAuthority, issueServing } from '../wire/pki.ts';
import { listen } from './listener.ts';

let server: ReturnType<typeof listen>;
let tls: { key: string; cert: string };
let left = Promise.withResolvers<void>();
const insecure = { tls: { rejectUnauthorized: false } };
const url = (path: string) => `https://127.0.0.1:${server.port}${path}`;

beforeAll(async () => {
  const authority = await createAuthority('test', systemClock.now());
  tls = await issueServing(authority, {
    commonName: 'test',
    ipAddresses: ['127.0.0.1'],
    dnsNames: [],
    days: 1,
    nowMs: systemClock.now(),
  });
  server = listen({ hostname: '127.0.0.1', port: 0, tls }, async (request, upgrade) => {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/socket') {
      const upgraded = upgrade(
        {
          open: (socket) => void socket.send('open'),
          message: (socket, data) => void socket.send(data),
          close: () => left.resolve(),
        },
        { 'sec-websocket-protocol': 'v5.channel.k8s.io' },
      );
      return upgraded ? undefined : new Response('refused', { status: 400 });
    }
    if (pathname === '/stream') {
      request.signal.addEventListener('abort', () => left.resolve());
      return new Response(new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from('\n')) }));
    }
    return new Response(`${request.method} ${pathname}${search} ${await request.text()}`, { status: 201 });
  });
});
afterAll(() => server.stop());

test.each([
  ['GET', '/', 'GET / '],
  ['GET', '/a/b%2Fc/d', 'GET /a/b%2Fc/d '],
  ['GET', '/x?command=a&command=b', 'GET /x?command=a&command=b '],
  ['OPTIONS', '/x/', 'OPTIONS /x/ '],
  ['DELETE', '/x', 'DELETE /x '],
])('%s %s reaches the handler as it was sent', async (method, path, text) => {
  const answer = await fetch(url(path), { method, ...insecure });
  expect(answer.status).toBe(201);
  expect(await answer.text()).toBe(text);
});

test('bodies are left to the handler, whatever their type says', async () => {
  for (const type of ['application/json', 'multipart/form-data', 'text/plain'])
    expect(
      await (
        await fetch(url('/x'), { method: 'POST', body: '{bad', headers: { 'content-type': type }, ...insecure })
      ).text(),
    ).toBe('POST /x {bad');
});

test('a socket has its session, its protocol and its end', async () => {
  left = Promise.withResolvers();
  const socket = new WebSocket(url('/socket').replace('https', 'wss'), {
    protocols: ['v5.channel.k8s.io'],
    ...insecure,
  } as never);
  const messages: unknown[] = [];
  const echoed = Promise.withResolvers<void>();
  socket.onmessage = ({ data }) => {
    messages.push(data);
    if (data === 'open') socket.send('hello');
    else echoed.resolve();
  };
  await echoed.promise;
  expect(socket.protocol).toBe('v5.channel.k8s.io');
  expect(messages).toEqual(['open', 'hello']);
  socket.close();
  await left.promise;
});

test('HTTP/2: answers, and streams whose end the handler sees', async () => {
  left = Promise.withResolvers();
  const session = http2.connect(url(''), { rejectUnauthorized: false });
  const plain = session.request({ ':path': '/two?a=1&a=2' });
  let text = '';
  plain.setEncoding('utf8').on('data', (part) => (text += part));
  await new Promise((resolve) => plain.on('end', resolve));
  expect(text).toBe('GET /two?a=1&a=2 ');
  const stream = session.request({ ':path': '/stream' });
  await new Promise((resolve) => stream.once('data', resolve));
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await left.promise;
  session.close();
});

test('a port that is taken is an error, not a second listener', () => {
  expect(() => listen({ hostname: '127.0.0.1', port: server.port, tls }, async () => new Response())).toThrow();
});
