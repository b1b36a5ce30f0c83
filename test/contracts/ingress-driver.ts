import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { systemClock } from '#base';
import { createAuthority, issueServing } from '../../core/wire/pki.ts';
import type { IngressDriver } from '../../plugins/ingress/driver.ts';
import { type Certificate, defaultTimeouts, type Routing } from '../../plugins/ingress/model.ts';
import { echoBackend, grpcBackend, type HttpBackend, type Seen, scriptedBackend } from '../fixtures/http-backends.ts';
import { backendOf, hostOf, routeTo, routingOf } from '../fixtures/ingress-routing.ts';
import { askRaw, type RawAnswer } from '../fixtures/raw-http.ts';
import { ingressChanges } from './ingress-changes.ts';
import { ingressMessages } from './ingress-messages.ts';

/** A driver and what stands behind it, made once for a suite. */
export class IngressWorld {
  readonly a = echoBackend('a');
  readonly b = echoBackend('b');
  driver!: IngressDriver;
  #authority!: Awaited<ReturnType<typeof createAuthority>>;
  standard!: Certificate;
  readonly more: AsyncDisposable[] = [];

  async start(make: () => Promise<IngressDriver> | IngressDriver): Promise<void> {
    this.#authority = await createAuthority('ingress tests', systemClock.now());
    this.standard = { ...(await this.certificate('default', ['default.invalid'])), names: [] };
    this.driver = await make();
  }
  async certificate(id: string, names: readonly string[], version = '1'): Promise<Certificate> {
    const nowMs = systemClock.now();
    const common = { commonName: `${id} ${version}`, dnsNames: names, ipAddresses: [], days: 7, nowMs };
    return { id, version, names, ...(await issueServing(this.#authority, common)) };
  }
  async scripted(onBytes: Parameters<typeof scriptedBackend>[1]): Promise<HttpBackend & { readonly received: string }> {
    const backend = await scriptedBackend('scripted', onBytes);
    this.more.push(backend);
    return backend;
  }
  routing(more: Partial<Routing> & Pick<Routing, 'hosts'>): Routing {
    return routingOf(this.standard, {
      backends: [backendOf('a', [this.a.port]), backendOf('b', [this.b.port])],
      ...more,
    });
  }
  /** Everything refused fails the test. */
  async apply(more: Partial<Routing> & Pick<Routing, 'hosts'>): Promise<void> {
    const { rejected } = await this.driver.apply(this.routing(more));
    expect(rejected).toEqual([]);
  }
  port(name: 'http' | 'https' = 'http'): number {
    return this.driver.listening.find((one) => one.name === name)!.port;
  }
  ask(host: string, target: string, headers: readonly string[] = [], method = 'GET'): Promise<RawAnswer> {
    const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, ...headers, '', ''];
    return askRaw(this.port(), lines.join('\r\n'));
  }
  async seen(host: string, target: string, headers: readonly string[] = []): Promise<Seen> {
    const { status, body } = await this.ask(host, target, headers);
    if (status !== 200) throw new Error(`${status} ${body}`);
    return JSON.parse(body) as Seen;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver?.[Symbol.asyncDispose]();
    for (const one of [this.a, this.b, ...this.more]) await one[Symbol.asyncDispose]();
  }
}

/** Where a data plane is known to do otherwise. */
export interface Differences {
  /** Counters have `backend` and a class of statuses, where others have `route` and the status. */
  readonly countsBackends?: boolean;
  /** A body whose length is not said beforehand is not bounded. */
  readonly ignoresChunkedBound?: boolean;
  /** Names of hostile heads that are rewritten to what has one meaning, in place of being refused. */
  readonly rewrites?: readonly string[];
}

/** What every data plane must do, with real sockets and real backends. */
export function ingressDriverContract(
  name: string,
  make: () => Promise<IngressDriver> | IngressDriver,
  differences: Differences = {},
): void {
  describe(`ingress driver contract: ${name}`, () => {
    const world = new IngressWorld();
    beforeAll(() => world.start(make));
    afterAll(() => world[Symbol.asyncDispose]());
    routes(world);
    actions(world, differences);
    ingressMessages(world, differences);
    ingressChanges(world, differences);
  });
}

function routes(world: IngressWorld): void {
  const [a, b] = [routeTo('a'), routeTo('b')];
  /** Paths of one host, and which of two backends (or a status) each target gets. */
  const paths: readonly [string, Readonly<Record<string, typeof a>>, Readonly<Record<string, string>>][] = [
    ['everything', { '/': a }, { '/': 'a', '/x/y?z=1': 'a' }],
    [
      'exact before prefix',
      { '/': a, '=/foo': b, '/foo': a },
      { '/foo': 'b', '/foo?x': 'b', '/foo/': 'a', '/foo/x': 'a' },
    ],
    [
      'longest prefix',
      { '/': a, '/aaa': b, '/aaa/bbb': a },
      { '/aaa': 'b', '/aaa/c': 'b', '/aaa/bbb': 'a', '/aaa/bbb/c': 'a', '/zz': 'a' },
    ],
    [
      'by elements',
      { '/foo': a },
      { '/foo': 'a', '/foo/': 'a', '/foobar': '404', '/fo': '404', '/': '404', '/foo/bar': 'a' },
    ],
    ['case and encoding are the path’s own', { '/foo': a }, { '/Foo': '404', '/%66oo': '404' }],
    ['exact alone', { '=/foo': a }, { '/foo': 'a', '/foo/': '404', '/foo/x': '404' }],
    ['exact with a slash', { '=/foo/': a }, { '/foo/': 'a', '/foo': '404' }],
    ['dots and other characters', { '/a.b/c-d_e~f': a }, { '/a.b/c-d_e~f/g': 'a', '/aXb/c-d_e~f': '404' }],
  ];
  test.each(paths)('paths: %s', async (_name, own, wanted) => {
    await world.apply({ hosts: [hostOf('h.example', own)] });
    for (const [target, backend] of Object.entries(wanted))
      expect([target, await gets(world, 'h.example', target)]).toEqual([target, backend]);
  });
  test('a path of thousands of slashes costs nothing much and is found', async () => {
    await world.apply({ hosts: [hostOf('h.example', { '/': a, '/x': b })] });
    expect(await gets(world, 'h.example', `/${'/'.repeat(4_000)}`)).toBe('a');
    expect(await gets(world, 'h.example', `/x${'/'.repeat(4_000)}`)).toBe('b');
  });
  test('hosts: exact, then the wildcard for one label, then any; one that is found is not left', async () => {
    const hosts = [
      hostOf('shop.example', { '/only': a }),
      hostOf('*.shop.example', { '/': b }),
      hostOf('api.shop.example', { '/': a }),
    ];
    await world.apply({ hosts: [...hosts, hostOf('', { '/': a, '/any': b })] });
    const wanted = {
      'shop.example /only': 'a',
      'shop.example /any': '404',
      'api.shop.example /': 'a',
      'other.shop.example /': 'b',
      'OTHER.Shop.Example:8080 /': 'b',
      'other.shop.example. /': 'b',
      'x.other.shop.example /any': 'b',
      'unknown.example /': 'a',
      '127.0.0.1 /any': 'b',
      '[::1]:80 /any': 'b',
    };
    for (const [request, backend] of Object.entries(wanted)) {
      const [host = '', path = ''] = request.split(' ');
      expect([request, await gets(world, host, path)]).toEqual([request, backend]);
    }
    await world.apply({ hosts });
    expect(await gets(world, 'unknown.example', '/')).toBe('404');
  });
  test('the fallback answers what no rule is for', async () => {
    const fallback = { type: 'forward', targets: [{ backend: 'b', weight: 1 }] } as const;
    await world.apply({ hosts: [hostOf('h.example', { '/a': a })], fallback });
    expect(await gets(world, 'h.example', '/a')).toBe('a');
    expect(await gets(world, 'h.example', '/other')).toBe('b');
    expect(await gets(world, 'x.example', '/')).toBe('b');
  });
  test('conditions: header, cookie and method, the first that holds', async () => {
    const header = { type: 'header', name: 'x-canary', value: 'always' } as const;
    const cookie = { type: 'cookie', name: 'canary', value: 'yes' } as const;
    const list = [routeTo('b', { id: '1', conditions: [header] }), routeTo('b', { id: '2', conditions: [cookie] })];
    const method = routeTo('b', {
      id: '3',
      conditions: [
        { type: 'method', value: 'DELETE' },
        { type: 'header', name: 'x-there' },
      ],
    });
    await world.apply({ hosts: [hostOf('h.example', { '/': [...list, method, a] })] });
    expect(await gets(world, 'h.example', '/')).toBe('a');
    expect(await gets(world, 'h.example', '/', ['X-Canary: always'])).toBe('b');
    expect(await gets(world, 'h.example', '/', ['X-Canary: Always'])).toBe('a');
    expect(await gets(world, 'h.example', '/', ['Cookie: a=b; canary=yes; c=d'])).toBe('b');
    expect(await gets(world, 'h.example', '/', ['Cookie: xcanary=yes'])).toBe('a');
    expect(await gets(world, 'h.example', '/', ['X-There: 1'], 'DELETE')).toBe('b');
    expect(await gets(world, 'h.example', '/', [], 'DELETE')).toBe('a');
  });
  test('weights are kept, and targets without endpoints take no share', async () => {
    const forward = (targets: readonly { backend: string; weight: number }[]) =>
      routeTo('a', { action: { type: 'forward', targets } });
    await world.apply({
      hosts: [
        hostOf('h.example', {
          '/': forward([
            { backend: 'a', weight: 9 },
            { backend: 'b', weight: 1 },
          ]),
        }),
      ],
    });
    const counts = { a: 0, b: 0 } as Record<string, number>;
    for (let count = 0; count < 200; count++) counts[await gets(world, 'h.example', '/')]!++;
    expect(counts.b).toBeGreaterThanOrEqual(8);
    expect(counts.b).toBeLessThanOrEqual(40);
    const backends = [backendOf('a', [world.a.port]), backendOf('none', [])];
    await world.apply({
      backends,
      hosts: [
        hostOf('h.example', {
          '/': forward([
            { backend: 'none', weight: 5 },
            { backend: 'a', weight: 1 },
          ]),
        }),
      ],
    });
    for (let count = 0; count < 10; count++) expect(await gets(world, 'h.example', '/')).toBe('a');
  });
  test('requests are spread over the endpoints of a backend', async () => {
    await world.apply({
      backends: [backendOf('a', [world.a.port, world.b.port])],
      hosts: [hostOf('h.example', { '/': a })],
    });
    const answers = new Set<string>();
    for (let count = 0; count < 10; count++) answers.add(await gets(world, 'h.example', '/'));
    expect([...answers].sort()).toEqual(['a', 'b']);
  });
}

/** The backend's name, or the status of an answer that is not 200. */
export async function gets(
  world: IngressWorld,
  host: string,
  target: string,
  headers: readonly string[] = [],
  method = 'GET',
): Promise<string> {
  const { status, body } = await world.ask(host, target, headers, method);
  return status === 200 ? (JSON.parse(body) as Seen).backend : String(status);
}

function actions(world: IngressWorld, differences: Differences): void {
  test('redirects keep what they do not name', async () => {
    const to = (action: object) => routeTo('a', { action: { type: 'redirect', status: 301, ...action } as never });
    const own = {
      '/https': routeTo('a', { httpsRedirect: 308 }),
      '/host': to({ host: 'new.example', status: 302 }),
      '/path': to({ path: '/there?x=1' }),
      '/port': to({ scheme: 'https', port: 8443 }),
    };
    await world.apply({ hosts: [hostOf('h.example', own)] });
    const wanted: [string, number, string][] = [
      ['/https/a?b=c', 308, 'https://h.example/https/a?b=c'],
      ['/host/a?b=c', 302, 'http://new.example/host/a?b=c'],
      ['/path/a', 301, 'http://h.example/there?x=1'],
      ['/port', 301, 'https://h.example:8443/port'],
    ];
    for (const [target, status, location] of wanted) {
      const answer = await world.ask('h.example', target);
      expect([answer.status, answer.headers.location]).toEqual([status, location]);
    }
    const secure = 'GET /https HTTP/1.1\r\nHost: h.example\r\n\r\n';
    expect((await askRaw(world.port('https'), secure, { serverName: 'h.example' })).status).toBe(200);
  });
  test('a prefix is replaced, HSTS is said over TLS alone, an own answer is an answer', async () => {
    const forward = (from: string, to: string) =>
      routeTo('a', {
        action: { type: 'forward', targets: [{ backend: 'a', weight: 1 }], replacePrefix: { from, to } },
      });
    const own = {
      '/old': forward('/old', '/new'),
      '/gone': forward('/gone', '/'),
      '/strict': routeTo('a', { hsts: { maxAgeSeconds: 60, includeSubdomains: true } }),
      '/teapot': routeTo('a', { action: { type: 'answer', status: 418 } }),
    };
    await world.apply({ hosts: [hostOf('h.example', own)] });
    const targets = { '/old': '/new', '/old/x?y': '/new/x?y=', '/gone': '/', '/gone/a/b': '/a/b' };
    for (const [target, wanted] of Object.entries(targets))
      expect((await world.seen('h.example', target)).target.replace(/=$/, '')).toBe(wanted.replace(/=$/, ''));
    expect((await world.ask('h.example', '/teapot')).status).toBe(418);
    expect((await world.ask('h.example', '/strict')).headers['strict-transport-security']).toBeUndefined();
    const secure = 'GET /strict HTTP/1.1\r\nHost: h.example\r\n\r\n';
    const { headers } = await askRaw(world.port('https'), secure, { serverName: 'h.example' });
    expect(headers['strict-transport-security']).toBe('max-age=60; includeSubDomains');
  });
  test('failures of backends have their statuses', async () => {
    const silent = await world.scripted(() => {});
    const broken = await world.scripted((socket) => void socket.end('nonsense\r\n\r\n'));
    const closing = await world.scripted((socket) => socket.destroy());
    const free = echoBackend('gone');
    const freePort = free.port;
    await free[Symbol.asyncDispose]();
    const short = { timeouts: { ...defaultTimeouts, responseMs: 300 } };
    const backends = [
      backendOf('a', [world.a.port]),
      backendOf('none', []),
      backendOf('gone', [freePort]),
      backendOf('half', [freePort, world.a.port]),
      backendOf('silent', [silent.port], short),
      backendOf('broken', [broken.port]),
      backendOf('closing', [closing.port]),
    ];
    const own = Object.fromEntries(backends.map(({ id }) => [`/${id}`, routeTo(id)]));
    await world.apply({ backends, hosts: [hostOf('h.example', own)] });
    const wanted = { none: '503', gone: ['502', '503'], silent: '504', broken: '502', closing: '502', half: 'a' };
    for (const [id, status] of Object.entries(wanted))
      expect(status).toContain(await gets(world, 'h.example', `/${id}`));
    for (let count = 0; count < 6; count++) expect(await gets(world, 'h.example', '/half')).toBe('a');
    expect(silent.requests).toBe(1); // what was sent is not sent again
  });
  test('bodies above the bound are refused, by their length and on their way', async () => {
    await world.apply({ hosts: [hostOf('h.example', { '/': routeTo('a', { requestBodyBytesMax: 1_000 }) })] });
    const post = (headers: string, body: string) =>
      askRaw(world.port(), `POST / HTTP/1.1\r\nHost: h.example\r\n${headers}\r\n\r\n${body}`);
    expect((await post('Content-Length: 1000', 'x'.repeat(1_000))).status).toBe(200);
    expect((await post('Content-Length: 1001', 'x'.repeat(1_001))).status).toBe(413);
    const chunks = '64\r\n'.concat('x'.repeat(100), '\r\n');
    expect((await post('Transfer-Encoding: chunked', `${chunks.repeat(9)}0\r\n\r\n`)).status).toBe(200);
    const unbounded = differences.ignoresChunkedBound ? 200 : 413;
    expect((await post('Transfer-Encoding: chunked', `${chunks.repeat(20)}0\r\n\r\n`)).status).toBe(unbounded);
  });
  test('gRPC: trailers arrive, and failures are told as gRPC statuses', async () => {
    const grpc = await grpcBackend('g');
    world.more.push(grpc);
    const backends = [
      backendOf('grpc', [grpc.port], { protocol: 'grpc' }),
      backendOf('none', [], { protocol: 'grpc' }),
    ];
    const own = { '/pkg.S': routeTo('grpc'), '/pkg.N': routeTo('none') };
    await world.apply({ backends, hosts: [hostOf('h.example', own)] });
    const answer = await call(world.port('https'), '/pkg.S/M', 'hello');
    expect(answer).toEqual({ status: 200, body: 'hello', grpcStatus: '0', te: 'trailers' });
    expect((await call(world.port('https'), '/pkg.N/M', 'hello')).grpcStatus).toBe('14');
  });
}

/** One call over HTTP/2 with TLS. */
export async function call(
  port: number,
  path: string,
  body: string,
): Promise<{ status: number; body: string; grpcStatus: string | undefined; te: string | undefined }> {
  const http2 = await import('node:http2');
  const session = http2.connect(`https://127.0.0.1:${port}`, { servername: 'h.example', rejectUnauthorized: false });
  session.on('error', () => {});
  try {
    const headers = {
      ':path': path,
      ':method': 'POST',
      ':authority': 'h.example',
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    const stream = session.request(headers);
    let [text, fields, trailers] = ['', {} as Record<string, unknown>, {} as Record<string, unknown>];
    stream.on('response', (found) => (fields = found));
    stream.on('trailers', (found) => (trailers = found));
    stream.on('data', (part: Buffer) => (text += part));
    const ended = new Promise((resolve, reject) => stream.on('close', resolve).on('error', reject));
    stream.end(body);
    await ended;
    const grpcStatus = (trailers['grpc-status'] ?? fields['grpc-status']) as string | undefined;
    return { status: Number(fields[':status']), body: text, grpcStatus, te: fields['x-te'] as string | undefined };
  } finally {
    session.destroy();
  }
}
