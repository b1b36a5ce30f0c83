import { describe, expect, test } from 'bun:test';
import { annotationNames, readWishes, type Wishes } from './annotations.ts';
import { readSettings, runsOn } from './settings.ts';

const read = (name: string, value: string) => readWishes({ [`ingress.pintle.dev/${name}`]: value });

describe('annotations', () => {
  const right: readonly [string, string, (wishes: Wishes) => unknown, unknown][] = [
    ['connect-timeout', '500ms', ({ timeouts }) => timeouts.connectMs, 500],
    ['response-timeout', '2m', ({ timeouts }) => timeouts.responseMs, 120_000],
    ['tunnel-timeout', '24h', ({ timeouts }) => timeouts.tunnelMs, 86_400_000],
    ['connect-retries', '10', ({ connectRetries }) => connectRetries, 10],
    ['backend-protocol', 'H2C', ({ protocol }) => protocol, 'h2c'],
    ['body-size-max', '8Mi', ({ bodyBytesMax }) => bodyBytesMax, 8_388_608],
    ['body-size-max', '0', ({ bodyBytesMax }) => bodyBytesMax, 0],
    ['hsts-max-age', '1h', ({ hsts }) => hsts, { maxAgeSeconds: 3_600, includeSubdomains: false }],
    ['redirect-to', '/there', ({ redirect }) => redirect, { type: 'redirect', status: 302, path: '/there' }],
    [
      'redirect-to',
      'https://a.example:8443',
      ({ redirect }) => redirect,
      { type: 'redirect', status: 302, scheme: 'https', host: 'a.example', port: 8_443 },
    ],
    ['rewrite-prefix', '/x/y', ({ rewritePrefix }) => rewritePrefix, '/x/y'],
  ];
  test.each(right)('%s: %s', (name, value, look, wanted) => {
    const { wishes, problems } = read(name, value);
    expect(problems).toEqual([]);
    expect(look(wishes)).toEqual(wanted);
  });
  const wrong: readonly [string, string][] = [
    ['connect-timeout', '5'],
    ['connect-timeout', '-1s'],
    ['connect-timeout', '99999h'],
    ['connect-retries', '11'],
    ['connect-retries', '1.5'],
    ['backend-protocol', 'FCGI'],
    ['backend-protocol', 'constructor'],
    ['body-size-max', '8MB'],
    ['ssl-redirect', 'yes'],
    ['redirect-to', 'javascript:alert(1)'],
    ['redirect-to', '//evil.example'],
    ['redirect-to', 'https://a.example/\r\nSet-Cookie: x=1'],
    ['redirect-to', 'https://user:word@a.example/'],
    ['redirect-status', '200'],
    ['rewrite-prefix', 'x'],
    ['rewrite-prefix', '/a b'],
    ['rewrite-prefix', '/a\r\nX: y'],
    ['canary-weight', '101'],
    ['canary-header', 'a: b'],
    ['canary-header-value', 'a b'],
    ['canary-cookie', 'a;b'],
  ];
  test.each(wrong)('refused: %s: %p', (name, value) => {
    const { wishes, problems } = read(name, value);
    expect(problems.map(({ reason }) => reason)).toEqual(['InvalidAnnotation']);
    expect(wishes).toEqual(readWishes().wishes);
  });
  test('unknown ones are told, others are nobody’s business', () => {
    expect(read('configuration-snippet', 'x').problems[0]?.reason).toBe('UnknownAnnotation');
    expect(read('__proto__', 'x').problems[0]?.reason).toBe('UnknownAnnotation');
    expect(readWishes({ 'nginx.ingress.kubernetes.io/canary': 'true' })).toEqual(readWishes());
    expect(new Set(annotationNames).size).toBe(annotationNames.length);
  });
});

test('settings: each is read, a mistake leaves out its entry alone', () => {
  const { settings, problems } = readSettings({
    driver: 'builtin',
    defaultBackend: 'web/front:80',
    trustedProxies: '10.0.0.0/8, 192.168.0.0/16',
    nodeLabels: 'role=edge, public',
    connectionsMax: '500',
    loadBalancer: 'never',
  });
  expect(problems).toEqual([]);
  expect(settings).toEqual({
    driver: 'builtin',
    defaultBackend: { namespace: 'web', name: 'front', port: 80 },
    trustedProxies: ['10.0.0.0/8', '192.168.0.0/16'],
    nodeLabels: { role: 'edge', public: '' },
    connectionsMax: 500,
    loadBalancer: 'never',
  });
  expect([runsOn(settings, { role: 'edge', public: 'x' }), runsOn(settings, { role: 'edge' })]).toEqual([true, false]);
  const bad = readSettings({
    driver: 'nginx',
    defaultBackend: 'x',
    trustedProxies: '10.0.0.999/8',
    connectionsMax: '0',
    other: '',
  });
  expect(bad.problems.length).toBe(5);
  expect(bad.settings).toEqual(readSettings().settings);
});
