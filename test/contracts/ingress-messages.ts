import { expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { defaultLimits } from '../../plugins/ingress/model.ts';
import type { Seen } from '../fixtures/http-backends.ts';
import { framesOf } from '../fixtures/http2-frames.ts';
import { backendOf, hostOf, routeTo } from '../fixtures/ingress-routing.ts';
import { askRaw, RawHttp } from '../fixtures/raw-http.ts';
import type { Differences, IngressWorld } from './ingress-driver.ts';

/** Heads that two programs might read differently: each is refused, and never reaches a backend. */
const hostile: readonly [name: string, request: string][] = [
  [
    'length and coding',
    'POST / HTTP/1.1\r\nHost: h.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: h.example\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde'],
  ['a length with a sign', 'POST / HTTP/1.1\r\nHost: h.example\r\nContent-Length: +4\r\n\r\nabcd'],
  ['a length in hexadecimal', 'POST / HTTP/1.1\r\nHost: h.example\r\nContent-Length: 0x4\r\n\r\nabcd'],
  ['an unknown coding', 'POST / HTTP/1.1\r\nHost: h.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
  ['a space before the colon', 'POST / HTTP/1.1\r\nHost: h.example\r\nContent-Length : 4\r\n\r\nabcd'],
  ['a name with a control character', 'GET / HTTP/1.1\r\nHost: h.example\r\nX\x01Y: 1\r\n\r\n'],
  ['NUL in a value', 'GET / HTTP/1.1\r\nHost: h.example\r\nX-Y: a\0b\r\n\r\n'],
  ['a header without a colon', 'GET / HTTP/1.1\r\nHost: h.example\r\nnonsense\r\n\r\n'],
  ['two hosts', 'GET / HTTP/1.1\r\nHost: h.example\r\nHost: evil.example\r\n\r\n'],
  ['a host with a path', 'GET / HTTP/1.1\r\nHost: h.example/x\r\n\r\n'],
  ['a host with a space', 'GET / HTTP/1.1\r\nHost: h.example evil\r\n\r\n'],
  ['a host with credentials', 'GET / HTTP/1.1\r\nHost: a@h.example\r\n\r\n'],
  ['a host with a port that is none', 'GET / HTTP/1.1\r\nHost: h.example:8x\r\n\r\n'],
  ['no host', 'GET / HTTP/1.1\r\nX: y\r\n\r\n'],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: h.example\r\n\r\n'],
  ['a target of nothing', 'GET  HTTP/1.1\r\nHost: h.example\r\n\r\n'],
  ['a control character in the target', 'GET /a\x01b HTTP/1.1\r\nHost: h.example\r\n\r\n'],
  ['another protocol', 'GET / FTP/1.1\r\nHost: h.example\r\n\r\n'],
  ['a method that is none', 'G(T / HTTP/1.1\r\nHost: h.example\r\n\r\n'],
];
const badChunks: readonly [name: string, body: string][] = [
  ['a size that is none', 'zz\r\nab\r\n0\r\n\r\n'],
  ['a negative size', '-2\r\nab\r\n0\r\n\r\n'],
  ['too many digits', '10000000000000002\r\nab\r\n0\r\n\r\n'],
  ['data beyond the size', '2\r\nabc\r\n0\r\n\r\n'],
];

/** What happens to the messages themselves. */
export function ingressMessages(world: IngressWorld, differences: Differences): void {
  const everything = { hosts: [hostOf('', { '/': routeTo('a') })] };
  const rewritten = differences.rewrites ?? [];
  test.each(hostile.filter(([name]) => rewritten.includes(name)))('rewritten: %s', async (_name, request) => {
    const backend = await world.scripted((socket) => socket.end('HTTP/1.1 204 No Content\r\n\r\n'));
    await world.apply({ backends: [backendOf('s', [backend.port])], hosts: [hostOf('', { '/': routeTo('s') })] });
    const { status } = await askRaw(world.port(), `${request}GET /smuggled HTTP/1.1\r\nHost: h.example\r\n\r\n`);
    expect(status).toBe(204);
    expect(backend.received.match(/^(content-length|transfer-encoding):/gim)).toHaveLength(1); // one meaning
    expect(backend.received).not.toContain('smuggled'); // what follows on a connection of doubtful framing is not read
  });
  test.each(hostile.filter(([name]) => !rewritten.includes(name)))('refused: %s', async (_name, request) => {
    await world.apply(everything);
    const before = world.a.requests;
    const { status } = await askRaw(world.port(), request);
    expect(status === 0 || (status >= 400 && status < 600)).toBe(true);
    expect(world.a.requests).toBe(before);
  });
  test.each(badChunks)('a body with %s is refused, and nothing after it is read as a request', async (_name, body) => {
    const backend = await world.scripted(() => {});
    await world.apply({ backends: [backendOf('s', [backend.port])], hosts: [hostOf('', { '/': routeTo('s') })] });
    const head = 'POST / HTTP/1.1\r\nHost: h.example\r\nTransfer-Encoding: chunked\r\n\r\n';
    const { status } = await askRaw(world.port(), `${head}${body}GET /smuggled HTTP/1.1\r\nHost: h.example\r\n\r\n`);
    expect([0, 400, 502]).toContain(status);
    expect(backend.received).not.toContain('smuggled');
  });
  test('too much of a head is refused', async () => {
    await world.apply(everything);
    const limit = defaultLimits.requestHeaderBytesMax;
    const long = await world.ask('h.example', '/', [`X-Long: ${'x'.repeat(limit)}`]);
    expect([400, 431]).toContain(long.status);
    const many = Array.from({ length: defaultLimits.requestHeadersMax + 20 }, (_unused, index) => `X-${index}: y`);
    expect([400, 431]).toContain((await world.ask('h.example', '/', many)).status);
    expect([400, 414, 431]).toContain((await world.ask('h.example', `/${'x'.repeat(limit + 100)}`)).status);
    expect((await world.ask('h.example', '/', [`X-Fine: ${'x'.repeat(limit / 2)}`])).status).toBe(200);
  });
  test('the backend learns who asked, and from nobody else', async () => {
    await world.apply(everything);
    const forged = [
      'X-Forwarded-For: 6.6.6.6',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: evil.example',
      'X-Real-IP: 6.6.6.6',
    ];
    const { headers } = await world.seen('h.example:81', '/', [
      ...forged,
      'Forwarded: for=6.6.6.6',
      'Connection: X-Forwarded-For',
    ]);
    expect(headers['x-forwarded-for']).toBe('127.0.0.1');
    expect(headers['x-real-ip']).toBe('127.0.0.1');
    expect(headers['x-forwarded-proto']).toBe('http');
    expect(headers['x-forwarded-host']).toBe('h.example:81');
    expect(headers['x-forwarded-port']).toBe(String(world.port()));
    expect(headers.forwarded).toBeUndefined();
    expect(headers.host).toBe('h.example:81');
    await world.apply({ ...everything, limits: { ...defaultLimits, trustedProxies: ['127.0.0.0/8'] } });
    const trusted = (await world.seen('h.example', '/', forged)).headers;
    expect(trusted['x-forwarded-for']).toBe('6.6.6.6, 127.0.0.1');
    expect(trusted['x-forwarded-proto']).toBe('https');
    expect(trusted['x-forwarded-host']).toBe('evil.example');
  });
  test('headers of one hop stay there, others pass', async () => {
    await world.apply(everything);
    const own = [
      'Keep-Alive: 5',
      'Proxy-Connection: x',
      'X-Secret: 1',
      'Connection: keep-alive, X-Secret',
      'X-Own: kept',
      'TE: gzip',
    ];
    const { headers } = await world.seen('h.example', '/', own);
    for (const name of ['keep-alive', 'proxy-connection', 'x-secret', 'te', 'upgrade'])
      expect([name, headers[name]]).toEqual([name, undefined]);
    expect(headers['x-own']).toBe('kept');
    const scripted = await world.scripted((socket) =>
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: 9\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 1\r\n\r\nok',
      ),
    );
    await world.apply({ backends: [backendOf('s', [scripted.port])], hosts: [hostOf('', { '/': routeTo('s') })] });
    const answer = await world.ask('h.example', '/');
    expect([answer.body, answer.headers['x-end'], answer.headers['keep-alive']]).toEqual(['ok', '1', undefined]);
  });
  test('bodies of every framing arrive whole, in both directions', async () => {
    await world.apply(everything);
    using connection = new RawHttp(world.port());
    connection.send('POST /1 HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\r\nhello');
    expect((JSON.parse((await connection.answer()).body) as Seen).body).toBe('hello');
    connection.send(
      'POST /2 HTTP/1.1\r\nHost: h.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    );
    expect((JSON.parse((await connection.answer()).body) as Seen).body).toBe('abcde');
    connection.send('GET /chunks HTTP/1.1\r\nHost: h.example\r\n\r\n');
    expect((await connection.answer()).body).toBe('one two three');
    connection.send('GET /big HTTP/1.1\r\nHost: h.example\r\n\r\n');
    expect((await connection.answer()).body.length).toBe(8 * 1024 * 1024);
    connection.send('HEAD /x HTTP/1.1\r\nHost: h.example\r\n\r\n');
    expect((await connection.answer('HEAD')).status).toBe(200);
    connection.send('GET /status/404 HTTP/1.1\r\nHost: h.example\r\n\r\n');
    expect((await connection.answer()).status).toBe(404);
  });
  test('a large body goes up, byte by byte of a slow client too', async () => {
    await world.apply(everything);
    using connection = new RawHttp(world.port());
    const size = 3_000_000;
    connection.send(`POST /up HTTP/1.1\r\nHost: h.example\r\nContent-Length: ${size}\r\n\r\n`);
    for (let sent = 0; sent < size; sent += 100_000) connection.send('y'.repeat(100_000));
    expect((JSON.parse((await connection.answer()).body) as Seen).body.length).toBe(size);
    using slow = new RawHttp(world.port());
    for (const letter of 'POST /slowly HTTP/1.1\r\nHost: h.example\r\nContent-Length: 3\r\n\r\nabc') {
      slow.send(letter);
      await Bun.sleep(0);
    }
    expect((JSON.parse((await slow.answer()).body) as Seen).body).toBe('abc');
  });
  test('requests sent ahead are answered in order', async () => {
    await world.apply(everything);
    using connection = new RawHttp(world.port());
    connection.send([1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: h.example\r\n\r\n`).join(''));
    for (const n of [1, 2, 3]) expect((JSON.parse((await connection.answer()).body) as Seen).target).toBe(`/${n}`);
  });
  test('HTTP/1.0, Connection: close and an expectation', async () => {
    await world.apply(everything);
    using old = new RawHttp(world.port());
    old.send('GET /old HTTP/1.0\r\nHost: h.example\r\n\r\n');
    expect((await old.answer()).status).toBe(200);
    await old.closed();
    using closing = new RawHttp(world.port());
    closing.send('GET /c HTTP/1.1\r\nHost: h.example\r\nConnection: close\r\n\r\n');
    expect((await closing.answer()).headers.connection).toBe('close');
    await closing.closed();
    using expecting = new RawHttp(world.port());
    expecting.send('POST /e HTTP/1.1\r\nHost: h.example\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n');
    expecting.send('ok');
    expect((JSON.parse((await expecting.answer()).body) as Seen).body).toBe('ok');
  });
  test('the absolute form names the host, whatever Host says', async () => {
    await world.apply({
      hosts: [hostOf('real.example', { '/': routeTo('a') }), hostOf('other.example', { '/': routeTo('b') })],
    });
    const { body } = await askRaw(world.port(), 'GET http://real.example/x?y=1 HTTP/1.1\r\nHost: real.example\r\n\r\n');
    expect((JSON.parse(body) as Seen).target).toBe('/x?y=1');
  });
  test('an upgrade becomes a tunnel', async () => {
    await world.apply(everything);
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    using connection = new RawHttp(world.port());
    connection.send(
      `GET /ws HTTP/1.1\r\nHost: h.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
    const answer = await connection.answer();
    expect(answer.status).toBe(101);
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    expect(answer.headers['sec-websocket-accept']).toBe(accept);
    const socket = new WebSocket(`ws://127.0.0.1:${world.port()}/ws`);
    const messages: string[] = [];
    const done = Promise.withResolvers<void>();
    socket.onmessage = ({ data }) => {
      messages.push(String(data));
      if (messages.length === 1) socket.send('x'.repeat(200_000));
      else done.resolve();
    };
    socket.onerror = () => done.reject(new Error('the socket failed'));
    await done.promise;
    socket.close();
    expect([messages[0], messages[1]?.length]).toEqual(['a', 200_000]);
  });
  test('a request that wants h2c stays HTTP/1', async () => {
    await world.apply(everything);
    const own = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'];
    const { headers } = await world.seen('h.example', '/', own);
    expect([headers.upgrade, headers['http2-settings']]).toEqual([undefined, undefined]);
  });
  test('an answer over HTTP/2 ends by its own flag, and is not reset', async () => {
    await world.apply(everything);
    const frames = await framesOf(world.port('https'), 'h.example', '/x');
    expect([frames[0], frames.at(-1)]).toEqual(['HEADERS', 'DATA end']);
  });
  test('who dawdles with a head is cut, and nobody else', async () => {
    await world.apply({ ...everything, limits: { ...defaultLimits, requestHeaderMs: 300 } });
    using slow = new RawHttp(world.port());
    slow.send('GET / HTTP/1.1\r\nHost: h.exam');
    await slow.closed();
    expect((await world.ask('h.example', '/')).status).toBe(200);
  });
}
