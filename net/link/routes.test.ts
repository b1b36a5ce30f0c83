import { expect, test } from 'bun:test';
import type { Exec } from '#base';
import { parseFailures } from './batch.ts';
import { deviceCommands } from './device.ts';
import { linkLocalOfMac } from './names.ts';
import { NeighbourTable } from './neighbours.ts';
import { isInRange } from './prefix.ts';
import { RouteTable, readRoutes, routeText } from './routes.ts';

test('a route reads as it is written', () => {
  for (const [route, row] of [
    [
      { destination: '10.1.0.0/24', device: 'w' },
      { dst: '10.1.0.0/24', dev: 'w', flags: [] },
    ],
    [
      { destination: '10.1.0.0/24', device: 'w', source: '10.2.0.0' },
      { dst: '10.1.0.0/24', dev: 'w', prefsrc: '10.2.0.0' },
    ],
    [
      { destination: '10.1.0.0/24', device: 'x', via: '10.1.0.0', onlink: true },
      { dst: '10.1.0.0/24', dev: 'x', gateway: '10.1.0.0', flags: ['onlink'] },
    ],
    [
      { destination: '10.1.0.0/24', device: 'x', via: 'fe80::1' },
      { dst: '10.1.0.0/24', dev: 'x', via: { host: 'fe80::1' } },
    ],
    [
      { destination: '10.1.0.7/32', device: 'x' },
      { dst: '10.1.0.7', dev: 'x' },
    ],
  ] as const)
    expect(
      readRoutes(
        [
          { ...row, metric: 5 },
          { dst: '10.9.0.0/24', dev: 'e', metric: 6 },
        ],
        5,
      ),
    ).toEqual(new Map([[route.destination, routeText(route)]]));
  expect(routeText({ destination: '10.1.0.0/24', device: 'x', via: 'fe80::1' })).toBe('via inet6 fe80::1 dev x');
});

test('complaints of a batch belong to their lines', () => {
  const text =
    'Error: Nexthop has invalid gateway.\nCommand failed -:1\nRTNETLINK answers: No such process\nCommand failed -:4\n';
  expect(parseFailures(text)).toEqual(
    new Map([
      [0, 'Error: Nexthop has invalid gateway.'],
      [3, 'RTNETLINK answers: No such process'],
    ]),
  );
});

/** Answers listings with these texts and remembers the batches. */
function recording(answers: Record<string, string>, complaints: string[] = []) {
  const batches: string[] = [];
  let runs = 0;
  const exec: Exec = {
    async run(argv, options) {
      runs++;
      if (!argv.includes('-batch')) return { code: 0, stdout: answers[argv.join(' ')] ?? '[]', stderr: '' };
      batches.push(options!.stdin!);
      const stderr = complaints.shift() ?? '';
      return { code: stderr ? 1 : 0, stdout: '', stderr };
    },
  };
  return { exec, batches, runs: () => runs };
}

test('a route table sets what is missing and removes what is too much; a change costs one process', async () => {
  const listed = JSON.stringify([
    { dst: '10.1.0.0/24', dev: 'w', metric: 5, flags: [] },
    { dst: '10.2.0.0/24', dev: 'w', metric: 5, flags: [] },
    { dst: '10.3.0.0/24', dev: 'w', metric: 6, flags: [] },
  ]);
  const { exec, batches, runs } = recording({ 'ip -j -4 route show proto 87': listed });
  const table = new RouteTable(exec, 5);
  const routes = (...numbers: number[]) =>
    numbers.map((number) => ({ destination: `10.${number}.0.0/24`, device: 'w' }));
  expect((await table.apply(routes(1, 4))).set).toEqual([{ destination: '10.4.0.0/24', isNew: true }]);
  expect(batches).toEqual([
    'route replace 10.4.0.0/24 dev w proto 87 metric 5\nroute delete 10.2.0.0/24 proto 87 metric 5\n',
  ]);
  const before = runs();
  await table.apply(routes(1, 4, 5));
  await table.apply(routes(1, 4, 5));
  expect(runs() - before).toBe(1);
});

test('a refused route is told, and tried again', async () => {
  const { exec, batches } = recording({}, ['Error: Nexthop has invalid gateway.\nCommand failed -:2\n']);
  const table = new RouteTable(exec, 5);
  const wanted = [1, 2].map((number) => ({ destination: `10.${number}.0.0/24`, device: 'w' }));
  const { set, refused } = await table.apply(wanted);
  expect(set).toEqual([{ destination: '10.1.0.0/24', isNew: true }]);
  expect(refused).toEqual(new Map([['10.2.0.0/24', 'Error: Nexthop has invalid gateway.']]));
  expect((await table.apply(wanted)).refused.size).toBe(0);
  expect(batches.length).toBe(2);
});

test('neighbours: entries that are there already are left alone', async () => {
  const { exec, batches } = recording({
    'ip -j neigh show dev x nud permanent': JSON.stringify([
      { dst: '10.1.0.0', lladdr: '0a:1' },
      { dst: '10.9.0.0', lladdr: '0a:9' },
    ]),
    'bridge -j fdb show dev x': JSON.stringify([{ mac: '0a:1', dst: '192.0.2.1' }, { mac: '33:33:00:00:00:01' }]),
  });
  const table = new NeighbourTable(exec, 'x');
  const { set } = await table.apply([
    { mac: '0a:1', ips: ['10.1.0.0'], endpoint: '192.0.2.1' },
    { mac: '0a:2', ips: ['10.2.0.0'], endpoint: '192.0.2.2' },
  ]);
  expect([...set]).toEqual(['0a:2']);
  expect(batches.sort()).toEqual([
    'fdb replace 0a:2 dev x dst 192.0.2.2 self permanent\n',
    'neigh replace 10.2.0.0 lladdr 0a:2 dev x nud permanent\nneigh delete 10.9.0.0 dev x\n',
  ]);
});

test('a device is mended by what it lacks alone', () => {
  const wanted = { name: 'w', mtuBytes: 1440, addresses: ['10.1.0.0', 'fd01::'] };
  const fine = {
    ifname: 'w',
    mtu: 1440,
    flags: ['UP'],
    addr_info: [
      { local: '10.1.0.0', prefixlen: 32, scope: 'global' },
      { local: 'fd01::', prefixlen: 128, scope: 'global' },
      { local: 'fe80::1', prefixlen: 64, scope: 'link' },
    ],
  };
  expect(deviceCommands(wanted, fine)).toEqual([]);
  expect(
    deviceCommands(
      { ...wanted, mac: '0a:1' },
      { ...fine, mtu: 1500, flags: [], addr_info: [{ local: '10.9.0.0', prefixlen: 32, scope: 'global' }] },
    ),
  ).toEqual([
    'link set dev w address 0a:1',
    'link set dev w mtu 1440',
    'address replace 10.1.0.0/32 dev w',
    'address replace fd01::/128 dev w nodad',
    'address delete 10.9.0.0/32 dev w',
    'link set dev w up',
  ]);
});

test('a link-local address from a hardware address, as the kernel makes it', () => {
  expect(linkLocalOfMac('0a:be:9b:4d:aa:31')).toBe('fe80::8be:9bff:fe4d:aa31');
  expect(linkLocalOfMac('0a:d8:c2:8b:d7:cf')).toBe('fe80::8d8:c2ff:fe8b:d7cf');
});

test('ranges of a link', () => {
  for (const [ip, range, wanted] of [
    ['192.0.2.9', '192.0.2.0/24', true],
    ['192.0.3.9', '192.0.2.0/24', false],
    ['192.0.2.9', '192.0.2.9', true],
    ['2001:db8::9', '2001:db8::/64', true],
    ['192.0.2.9', '2001:db8::/64', false],
    ['x', '192.0.2.0/24', false],
  ] as const)
    expect([ip, range, isInRange(ip, range)]).toEqual([ip, range, wanted]);
});
