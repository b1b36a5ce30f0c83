import { afterAll, beforeAll, expect, test } from 'bun:test';
import type { ApiServer } from '../../core/apiserver/contract.ts';
import { Raw } from './raw.ts';
import { listenOn, maps, startServer } from './world.ts';

let server: ApiServer;
let port: number;
beforeAll(async () => {
  server = await startServer();
  port = await listenOn(server);
});
afterAll(() => server[Symbol.asyncDispose]());

const head = 'Host: a\r\nx-user: admin\r\n';
const chunked = 'Transfer-Encoding: chunked\r\n';
const get = (target: string, more = '') => `GET ${target} HTTP/1.1\r\n${head}${more}\r\n`;
const post = (more: string, body = '') => `POST ${maps} HTTP/1.1\r\n${head}${more}\r\n${body}`;
const second = get('/api/v1/secrets');

/** 0: the connection closes without an answer. */
const table: readonly (readonly [string, string, number])[] = [
  ['an honest request', get(maps), 200],
  ['two Host headers', get(maps, 'Host: b\r\n'), 400],
  ['no Host header', `GET ${maps} HTTP/1.1\r\n\r\n`, 400],
  ['an empty Host', `GET ${maps} HTTP/1.1\r\nHost: \r\n\r\n`, 400],
  ['a Host with a path', `GET /version HTTP/1.1\r\nHost: a/api/v1/secrets?\r\n\r\n`, 400],
  ['a Host with a user', `GET /version HTTP/1.1\r\nHost: u:p@a\r\n\r\n`, 400],
  ['version 9.9', `GET ${maps} HTTP/9.9\r\n${head}\r\n`, 505],
  ['length and chunks', post(`Content-Length: 4\r\n${chunked}`, `0\r\n\r\n${second}`), 400],
  ['two lengths', post('Content-Length: 4\r\nContent-Length: 5\r\n', 'abcde'), 400],
  ['a negative length', post('Content-Length: -1\r\n'), 400],
  ['a signed length', post('Content-Length: +2\r\n', '{}'), 400],
  ['a length of 20 digits', post('Content-Length: 99999999999999999999\r\n'), 400],
  ['a length of 20 MB', post('Content-Length: 20000000\r\n'), 413],
  ['a foreign coding', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'), 400],
  ['a coding in disguise', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'), 400],
  ['space before the colon', post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'), 400],
  ['a chunk without a size', post(chunked, 'zz\r\n\r\n'), 400],
  ['a chunk of 2^72', post(chunked, 'ffffffffffffffffff\r\n\r\n'), 400],
  ['a folded header', get(maps, 'X-A: b\r\n c: d\r\n'), 400],
  ['a header without a colon', get(maps, 'abc\r\n'), 400],
  ['NUL in a header', get(maps, 'X: a\0b\r\n'), 400],
  ['a bare CR', get(maps, 'X: a\rY: b\r\n'), 400],
  ['a header of 1 MB', get(maps, `X: ${'a'.repeat(1 << 20)}\r\n`), 431],
  ['10,000 headers', get(maps, Array.from({ length: 10_000 }, (_, i) => `X${i}: a\r\n`).join('')), 431],
  ['a path of 1 MB', get(`/api/v1/${'a'.repeat(1 << 20)}`), 431],
  ['10,000 parameters', get(`/version?${'a=b&'.repeat(2_500)}`), 200],
  ['no method of ours', `TRACE ${maps} HTTP/1.1\r\n${head}\r\n`, 405],
  ['an unknown method', `FOO ${maps} HTTP/1.1\r\n${head}\r\n`, 0],
  ['a tunnel', `CONNECT a:1 HTTP/1.1\r\n${head}\r\n`, 405],
  ['a star', `OPTIONS * HTTP/1.1\r\n${head}\r\n`, 400],
  ['a path without a slash', get('api/v1/namespaces'), 400],
  ['NUL in the path', get('/api/v1/\0'), 505],
  ['an escaped NUL', get(`${maps}/%00`), 400],
  ['another host in the path', get('//evil/api/v1/secrets'), 404],
  ['garbage', '\x00\x01\x02\x03\r\n\r\n', 400],
];
test.each(table)('%s', async (_name, text, code) => {
  using raw = new Raw(port);
  await raw.write(text);
  expect(await raw.status()).toBe(code);
  expect(raw.received.match(/^HTTP\/1\.1 [2-5]/gm)?.length ?? 0).toBeLessThan(2); // what was smuggled is not answered
});

test.each(['/..', '/%2e%2e', '\\..'])(
  'dots (%s) are resolved before anybody is asked: what is authorised is what is served',
  async (dots) => {
    const asked: string[] = [];
    await using guarded = await startServer({
      authorizer: {
        authorize: (_user, { namespace, resource }) => {
          asked.push(`${namespace} ${resource}`);
          return { allowed: namespace !== 'kube-system' };
        },
      },
    });
    const guardedPort = await listenOn(guarded);
    using raw = new Raw(guardedPort);
    await raw.write(get(`/api/v1/namespaces/default${dots}/kube-system/secrets`));
    expect(await raw.status()).toBe(403);
    expect(asked.at(-1)).toBe('kube-system secrets');
  },
);

test('a thousand open connections hinder nobody, and leave nothing', async () => {
  const idle = Array.from({ length: 1000 }, () => new Raw(port));
  await Promise.all(idle.map((raw) => raw.ready));
  await Promise.all(idle.map((raw) => raw.write(`GET ${maps} HTTP/1.1\r\nHost: a\r\n`)));
  using raw = new Raw(port);
  await raw.write(get(maps));
  expect(await raw.status()).toBe(200);
  for (const one of idle) one[Symbol.dispose]();
});
