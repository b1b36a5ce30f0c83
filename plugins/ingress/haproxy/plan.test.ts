import { expect, test } from 'bun:test';
import type { CertificateFile } from './certificates.ts';
import { payloadsOf, planChanges, type Running } from './plan.ts';
import { judge } from './program.ts';
import { parseMap, payloadBytesMax } from './runtime-socket.ts';
import { parseStatistics } from './statistics.ts';
import type { Tables } from './tables.ts';

const maps = { routes: new Map([['a/', 'p-0']]), timeouts: new Map<string, string>() };
const server = (port: number) => ({ address: { ip: '10.0.0.1', port }, isHttp2: false });
const certificate = (file: string, version: string): CertificateFile => ({
  file,
  version,
  id: file,
  names: ['x'],
  pem: '',
});
const running: Running = {
  maps,
  servers: new Map([
    [
      'p-0',
      new Map([
        ['10.0.0.1-1', true],
        ['10.0.0.1-2', false],
      ]),
    ],
  ]), // prettier-ignore
  certificates: new Map([
    ['default.pem', '1'],
    ['old.pem', '1'],
    ['kept.pem', '1'],
  ]), // prettier-ignore
};
const wants = (more: Partial<Tables>): Tables => ({
  maps,
  servers: new Map([['p-0', new Map([['10.0.0.1-1', server(1)]])]]),
  ...more,
});
const kept = [certificate('default.pem', '1'), certificate('old.pem', '1'), certificate('kept.pem', '1')];

test('nothing is done where nothing differs; a server that has connections left is nobody’s business', () =>
  expect(planChanges(running, wants({}), kept)).toEqual([]));

test('what is new can be used before it is named; what is old is not named any more before it goes', () => {
  const servers = new Map([
    [
      'p-0',
      new Map([
        ['10.0.0.1-2', server(2)],
        ['10.0.0.1-3', server(3)],
      ]),
    ],
  ]); // prettier-ignore
  const routes = new Map([['b/', 'p-0']]);
  const certificates = [certificate('default.pem', '1'), certificate('kept.pem', '2'), certificate('new.pem', '1')];
  const steps = planChanges(running, wants({ servers, maps: { ...maps, routes } }), certificates);
  expect(steps).toEqual([
    { type: 'certificate', certificate: certificates[1]!, isNew: false },
    { type: 'certificate', certificate: certificates[2]!, isNew: true },
    {
      type: 'servers',
      commands: [
        'set server p-0/10.0.0.1-2 state ready',
        'add server p-0/10.0.0.1-3 ipv4@10.0.0.1:3',
        'set server p-0/10.0.0.1-3 state ready',
      ],
    },
    { type: 'map', name: 'routes', entries: routes },
    { type: 'servers', commands: ['set server p-0/10.0.0.1-1 state maint'] },
    { type: 'forget-certificate', file: 'old.pem' },
  ]);
});

test('payloads fit into a buffer and hold every line', () => {
  const table = new Map(Array.from({ length: 1_000 }, (_unused, index) => [`${'k'.repeat(90)}${index}/`, 'p-0']));
  const payloads = payloadsOf(table);
  expect(payloads.every((text) => text.length <= payloadBytesMax)).toBe(true);
  expect(payloads.join('').split('\n').length).toBe(1_001);
  expect(payloadsOf(new Map())).toEqual([]);
});

test('a key that is there twice is told', () => {
  const text = '0x1 a/ p-0\n0x2 b/ ~h:x;a:404;b=0\n';
  expect(parseMap(text)).toEqual({
    entries: new Map([
      ['a/', 'p-0'],
      ['b/', '~h:x;a:404;b=0'],
    ]),
    twice: false,
  }); // prettier-ignore
  expect(parseMap(`${text}0x3 a/ p-1\n`).twice).toBe(true);
});

const features = '+LUA -QUIC +OPENSSL +PCRE2 +PCRE2_JIT';
const programs: [string, string, string][] = [
  ['as Debian has it', `HAProxy version 2.6.12-1+deb12u4 2026/10/17\nFeature list : ${features}`, '2.6.12-1+deb12u4'],
  ['newer', `HAProxy version 3.0.11\n${features}`, '3.0.11'],
  ['too old', `HAProxy version 2.4.2\n${features}`, 'haproxy is version 2.4.2, and 2.6 is needed'],
  ['without Lua', 'HAProxy version 2.6.12\n-LUA +OPENSSL +PCRE2_JIT', 'haproxy was built without LUA'],
  ['another program', 'BusyBox', 'haproxy is no HAProxy'],
];
test.each(programs)('which HAProxy will do: %s', (_name, text, wanted) => {
  const found = judge('haproxy', text);
  expect('version' in found ? found.version : found.reason).toBe(wanted);
});

test('statistics: frontends and backends, by classes of statuses', () => {
  const columns = 'pxname,svname,scur,econ,eresp,rtime,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx';
  const text = `# ${columns}\nhttp,FRONTEND,3,,,,0,7,0,1,0\np-0,10.0.0.1-1,0,,,,0,7,0,0,0\np-0,BACKEND,0,2,1,40,0,7,0,0,0\n`;
  const { frontends, backends } = parseStatistics(text);
  expect(frontends.map(({ place, connections, answers }) => [place, connections, answers.get('4xx')])).toEqual([
    ['http', 3, 1],
  ]); // prettier-ignore
  expect(backends).toHaveLength(1);
  expect(backends[0]).toMatchObject({ place: 'p-0', connectFailures: 2, answerFailures: 1, responseMs: 40 });
});
