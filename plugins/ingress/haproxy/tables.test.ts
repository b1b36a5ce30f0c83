import { describe, expect, test } from 'bun:test';
import { backendOf, hostOf, routeTo, routingOf } from '../../../test/fixtures/ingress-routing.ts';
import { type Certificate, defaultBodyBytesMax, defaultLimits, defaultTimeouts, type Route } from '../model.ts';
import { configOf } from './config.ts';
import { fallbackRecord, recordOf } from './record.ts';
import { assignSlots, noSlots } from './slots.ts';
import { tablesOf } from './tables.ts';

const none: Certificate = { id: 'default', version: '1', names: [], cert: '', key: '' };
const plain = (backend: string, more: Partial<Route> = {}) =>
  routeTo(backend, { requestBodyBytesMax: defaultBodyBytesMax, ...more });
const world = {
  usualBodyBytesMax: defaultBodyBytesMax,
  isGrpc: (id: string) => id === 'g',
  place: (id: string) => ({ a: 'p-0', b: 'p-1' })[id],
};
const forward = (...targets: [string, number][]) => ({
  type: 'forward' as const,
  targets: targets.map(([backend, weight]) => ({ backend, weight })),
});
const bound = `b=${defaultBodyBytesMax}`;

describe('records', () => {
  const cases: [string, Route[], string][] = [
    ['forwarding is the place alone', [plain('a')], 'p-0'],
    ['who has no endpoints takes no share', [plain('a', { action: forward(['a', 1], ['none', 9]) })], 'p-0'],
    [
      'a redirect to TLS counts without TLS alone',
      [plain('a', { httpsRedirect: 308 })],
      `+p-0~;f:p-0:1;${bound},s=308`,
    ],
    ['weights', [plain('a', { action: forward(['a', 9], ['b', 1]) })], `~;f:p-0:9,p-1:1;${bound}`],
    ['nobody is there', [plain('none')], `~;a:503;${bound}`],
    ['nobody is there who speaks gRPC', [plain('g')], `~;g:14;${bound}`],
    ['a bound of its own', [plain('a', { requestBodyBytesMax: 9 })], '~;f:p-0:1;b=9'],
    [
      'conditions, every text of a user encoded',
      [
        plain('b', {
          conditions: [
            { type: 'header', name: 'x-a', value: 'a|b;c,d:e=f~g h\n' },
            { type: 'cookie', name: 'k' },
            { type: 'method', value: 'GET' },
          ],
        }),
        plain('a'),
      ],
      `~h:x-a:a%7Cb%3Bc%2Cd%3Ae%3Df~g%20h%0A,c:k,m:GET;f:p-1:1;${bound}|;f:p-0:1;${bound}`,
    ],
    [
      'a prefix that is replaced',
      [plain('a', { action: { ...forward(['a', 1]), replacePrefix: { from: '/old', to: '/' } } })],
      `~;f:p-0:1;${bound},p=4,n=`,
    ],
  ];
  test.each(cases)('%s', (_name, routes, value) => expect(recordOf(routes, world)).toEqual({ value }));

  test('a fallback is a record of its own', () =>
    expect(fallbackRecord({ type: 'answer', status: 410 }, world)).toEqual({ value: `~;a:410;${bound}` }));

  const refused: [string, Partial<Route>][] = [
    ['a condition on a header with a blank', { conditions: [{ type: 'header', name: 'x a' }] }],
    ['a condition on a method with a line break', { conditions: [{ type: 'method', value: 'GET\r\nX: y' }] }],
    ['a redirect with a line break', { action: { type: 'redirect', status: 302, path: '/\r\nX: y' } }],
    ['a redirect to a host with a path', { action: { type: 'redirect', status: 302, host: 'a/b' } }],
    ['a redirect with another status', { action: { type: 'redirect', status: 200 as never } }],
    ['an answer without a status', { action: { type: 'answer', status: 99 } }],
    ['a weight of nothing', { action: forward(['a', 0], ['b', 1]) }],
    ['a bound below nothing', { requestBodyBytesMax: -1 }],
    ['a new prefix with a blank', { action: { ...forward(['a', 1]), replacePrefix: { from: '/', to: '/a b' } } }],
  ];
  test.each(refused)('refused: %s', (_name, more) =>
    expect(recordOf([plain('a', more)], world)).toHaveProperty('problem'),
  );
});

describe('tables', () => {
  const backends = [backendOf('a', [1]), backendOf('b', [2])];
  const tables = (hosts: Parameters<typeof routingOf>[1]['hosts']) =>
    tablesOf(routingOf(none, { hosts, backends }), noSlots, 0);

  test('one map of hosts, prefixes and exact paths', () => {
    const { tables: found, rejected } = tables([
      hostOf('a.example', { '/': plain('a'), '/x': plain('b'), '=/x/': plain('a') }),
      hostOf('*.b.example', { '/': plain('b') }),
      hostOf('', { '=/': plain('a') }),
    ]);
    const [a, b] = ['p2000r2-0', 'p2000r2-1'];
    expect(rejected).toEqual([]);
    expect([...found.maps.routes]).toEqual([
      ['a.example#', 'a.example'],
      ['a.example.#', 'a.example'],
      ['a.example/', a],
      ['a.example/x/', b],
      ['a.example/x//#', a],
      ['b.example*#', '*.b.example'],
      ['b.example.*#', '*.b.example'],
      ['*.b.example/', b],
      ['-//#', a],
      ['-#', '~;a:404;b=0'],
    ]);
    expect([...found.servers.get(a)!.keys()]).toEqual(['127.0.0.1-1']);
  });

  const hostileHosts = [
    'a b',
    'a\nb',
    'a;b',
    'a#b',
    'A.example',
    '..',
    '*',
    '*.*.example',
    'a/b',
    '-#',
    'a"b',
    '{',
    'ä',
    '\0',
  ];
  test.each(hostileHosts)('a host that is none is left out and named: %j', (host) => {
    const { tables: found, rejected } = tables([
      hostOf(host, { '/': plain('a') }),
      hostOf('ok.example', { '/': plain('a') }),
    ]);
    expect(rejected.map(({ id }) => id)).toEqual([host]);
    expect([...found.maps.routes.keys()].filter((key) => key.includes('/'))).toEqual(['ok.example/']);
  });
  const hostilePaths = ['/a b', '/a\nb', '/a\r', '/\0', '/ä', 'a', '', '/a#b', `/${'x'.repeat(5_000)}`];
  test.each(hostilePaths)('a path that is none is left out and named: %j', (path) => {
    const { tables: found, rejected } = tables([hostOf('a.example', { [path]: plain('a'), '/ok': plain('b') })]);
    expect(rejected.map(({ id }) => id)).toEqual(['to:a']);
    expect([...found.maps.routes.keys()].filter((key) => key.includes('/'))).toEqual(['a.example/ok/']);
  });
  test('what a path may hold stays as it is', () => {
    const path = `/a"b'c\\d;e<<f$g%20{}|^\`[]`;
    expect(tables([hostOf('a.example', { [path]: plain('a') })]).tables.maps.routes.get(`a.example${path}/`)).toBe(
      'p2000r2-0',
    );
  });
  test('hostile endpoints, time-outs and retries are left out and named', () => {
    const bad = [
      backendOf('ip', [], { endpoints: [{ ip: '1.2.3.4\n  server x', port: 1 }] }),
      backendOf('port', [], { endpoints: [{ ip: '1.2.3.4', port: 0 }] }),
      backendOf('time', [1], { timeouts: { ...defaultTimeouts, responseMs: Number.NaN } }),
      backendOf('retries', [1], { connectRetries: 1_000 }),
    ];
    const { rejected } = tablesOf(routingOf(none, { hosts: [], backends: bad }), noSlots, 0);
    expect(rejected.map(({ id }) => id).sort()).toEqual(['ip', 'port', 'retries', 'time']);
  });
  test('no text of a user is in a configuration', () => {
    const id = 'x\n  bind :1';
    const { tables: found, slots } = tablesOf(
      routingOf(none, { hosts: [hostOf('a.example', { '/': plain(id) })], backends: [backendOf(id, [1])] }),
      noSlots,
      0,
    );
    const structure = {
      listeners: [{ name: id, protocol: 'http', ip: '::', port: 80 }],
      limits: defaultLimits,
    } as const;
    const text = configOf({ ...structure, sizes: slots.sizes, threads: 1 }, '1.sock', found.servers);
    expect(text).not.toContain('bind :1');
    expect(text).not.toContain('a.example');
    expect(text).toContain('  bind ipv6@:::80 v6only\n');
  });
});

describe('places', () => {
  const wanted = (...names: string[]) => names.map((backend) => ({ backend, class: 'p2000r2' }));
  test('a backend keeps its place; one that was left rests before another gets it', () => {
    const first = assignSlots(noSlots, wanted('a', 'b'), 0);
    expect([first.grown, ...first.slots.places.values()]).toEqual([false, 'p2000r2-0', 'p2000r2-1']);
    const second = assignSlots(first.slots, wanted('b', 'c'), 1_000);
    expect([...second.slots.places]).toEqual([
      ['b', 'p2000r2-1'],
      ['c', 'p2000r2-2'],
    ]); // prettier-ignore
    const third = assignSlots(second.slots, wanted('b', 'c', 'd'), 62_000);
    expect(third.slots.places.get('d')).toBe('p2000r2-0');
  });
  test('when there are too few, there are spare ones again; other classes keep theirs', () => {
    const many = assignSlots(noSlots, wanted(...Array.from({ length: 100 }, (_unused, index) => `b${index}`)), 0);
    expect([many.grown, many.slots.sizes.get('p2000r2')]).toEqual([true, 132]);
    const other = assignSlots(many.slots, [{ backend: 'x', class: 'h9r0' }], 0);
    expect([other.grown, other.slots.sizes.get('h9r0'), other.slots.sizes.get('p2000r2')]).toEqual([true, 5, 132]);
  });
});
