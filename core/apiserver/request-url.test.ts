import { expect, test } from 'bun:test';
import { parseRequestInfo } from './request-info.ts';
import { placeOf } from './request-url.ts';

const origin = 'https://127.0.0.1:6443';

test.each([
  '/',
  '/api/v1/namespaces/default/pods/web-0',
  '/api/v1/pods/',
  '/api//v1',
  '/api/v1/../v2/pods',
  '/api/./v1',
  '/api/%2e%2e/v1',
  '/a/b%2Fc',
  '/a/ü',
  '/a?x=1&y=a%20b+c&y=2',
  '/a?labelSelector=app%3Dweb,tier%20in%20(a,b)&x',
  '/a?x=ü&y="',
  '/a?x=1#part',
  '/.well-known/openid-configuration',
])('%s is read as URL reads it, whether its origin is known or not', (path) => {
  for (const address of [origin, 'http://[::1]:80', 'https://api.example'])
    for (const _time of [1, 2]) {
      const place = placeOf(new Request(address + path));
      const url = new URL(new Request(address + path).url);
      expect([place.pathname, [...place.searchParams]]).toEqual([url.pathname, [...url.searchParams]]);
    }
});

test('a Host that is none is refused', () => {
  for (const host of ['a, b', 'a/b', 'a b', 'a?b'])
    expect(() => placeOf(new Request(`${origin}/api`, { headers: { host } }))).toThrow('malformed Host header');
});

test('an address is read once for each method, and a Host that is none is refused every time', () => {
  const place = () => placeOf(new Request('http://localhost/api/v1/namespaces/a/pods/b'));
  const info = parseRequestInfo('PUT', place());
  expect(parseRequestInfo('PUT', place())).toBe(info);
  expect(Object.isFrozen(info)).toBe(true);
  expect(parseRequestInfo('DELETE', place()).verb).toBe('delete');
  const query = () => placeOf(new Request('http://localhost/api/v1/pods?watch=1'));
  expect(parseRequestInfo('GET', query())).not.toBe(parseRequestInfo('GET', query()));
  for (const _ of [1, 2])
    expect(() => placeOf(new Request('http://localhost/api', { headers: { host: 'a/b' } }))).toThrow('malformed Host');
});
