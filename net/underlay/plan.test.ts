import { expect, test } from 'bun:test';
import { blockCandidates, blockOf } from './block.ts';
import { completeMark, masqueradeTable, outsideTable, placeBatch } from './commands.ts';
import { cutCommands, delayedPort, withCuts } from './cuts.ts';
import { hostsMax, planUnderlay, type Underlay, type UnderlayKind, underlayKinds } from './plan.ts';

const id = '0a1b2c3d';
const plan = (kind: UnderlayKind, hosts = 3): Underlay =>
  planUnderlay({ id, kind, hosts, block: blockOf('172.31.224.0/19', id), mtuBytes: 1500 });
const addressesOf = ({ cables, places }: Underlay): string[] => [
  ...cables.flat().flatMap((end) => end.addresses),
  ...places.flatMap((place) => place.bridges.flatMap((bridge) => bridge.addresses)),
];

test('blocks are disjoint and private', () => {
  expect(new Set(blockCandidates).size).toBe(128);
  expect(blockCandidates[0]).toBe('172.31.224.0/19');
  expect(blockCandidates.at(-1)).toBe('172.16.0.0/19');
});

for (const kind of underlayKinds)
  test(`${kind}: names fit the kernel, addresses are used once, every cable ends where its place is`, () => {
    for (const hosts of [1, 2, 3, hostsMax]) {
      const made = plan(kind, hosts);
      expect(made.hosts.map(({ name }) => name)).toEqual(Array.from({ length: hosts }, (_unused, at) => `h${at + 1}`));
      const links = made.cables.flat().map(({ netns, link }) => `${netns} ${link}`);
      expect(new Set(links).size).toBe(links.length);
      for (const { link, bridge, netns } of made.cables.flat()) {
        expect(link.length).toBeLessThanOrEqual(15);
        const place = made.places.find((one) => one.netns === netns);
        if (netns) expect(place).toBeDefined();
        if (bridge) expect(place?.bridges.map(({ name }) => name)).toContain(bridge);
      }
      const addresses = addressesOf(made);
      expect(new Set(addresses).size).toBe(addresses.length);
      for (const one of addresses)
        expect(one).toMatch(/^(172\.31\.2(2[4-9]|[345]\d)\.\d+\/24|fd50:0a1b:2c3d:\w+::\d+\/64)$/);
      for (const host of made.hosts) expect(delayedPort(host.port).length).toBeLessThanOrEqual(15);
    }
  });

test('who is where', () => {
  const seen = (kind: UnderlayKind) =>
    plan(kind).hosts.map(({ address, seenAs, port, segment }) => [address, seenAs, port, segment].join(' '));
  expect(seen('flat')).toEqual([
    '172.31.224.11 172.31.224.11 h1 br0',
    '172.31.224.12 172.31.224.12 h2 br0',
    '172.31.224.13 172.31.224.13 h3 br0',
  ]);
  expect(seen('routed')).toEqual([
    '172.31.225.10 172.31.225.10 h1 s1',
    '172.31.226.10 172.31.226.10 h2 s2',
    '172.31.227.10 172.31.227.10 h3 s3',
  ]);
  expect(seen('nat')).toEqual([
    '172.31.224.11 172.31.224.11 h1 br0',
    '172.31.226.10 172.31.224.12 r2 br0',
    '172.31.227.10 172.31.224.13 r3 br0',
  ]);
});

test('a host of the nat kind is in a place of its own behind a router that masquerades', () => {
  const made = plan('nat');
  const router = made.places.find(({ netns }) => netns.endsWith('-r2'))!;
  expect(
    placeBatch(
      router,
      made.cables.flat().filter(({ netns }) => netns === router.netns),
    ).split('\n'),
  ).toEqual([
    'link set dev lo up',
    'address replace 172.31.224.12/24 brd + dev wan',
    'link set dev wan up',
    'address replace 172.31.226.1/24 brd + dev lan',
    'link set dev lan up',
    'route replace 0.0.0.0/0 via 172.31.224.1',
    `link set dev lo alias "${completeMark}"`,
    '',
  ]);
  expect(router.masquerades).toBe('wan');
  expect(masqueradeTable('wan')).toContain('iifname "wan" ct state new,invalid drop');
  expect(outsideTable(made)).toContain('ip saddr 172.31.224.0/19 oifname != "pl0a1b2c3d" masquerade');
});

test('wrong numbers of hosts and ids are refused', () => {
  for (const hosts of [0, -1, 1.5, hostsMax + 1]) expect(() => plan('flat', hosts)).toThrow('1 to 31');
  expect(() =>
    planUnderlay({ id: 'x', kind: 'flat', hosts: 1, block: blockOf('172.16.0.0/19', id), mtuBytes: 1500 }),
  ).toThrow();
});

test('cuts: both ways or one, each once', () => {
  const one = withCuts([], ['h1'], ['h2', 'h3'], true);
  expect(one.map(({ from, to }) => `${from}>${to}`)).toEqual(['h1>h2', 'h2>h1', 'h1>h3', 'h3>h1']);
  expect(withCuts(one, ['h1'], ['h2', 'h1'], true)).toEqual(one);
  expect(withCuts([], ['outside'], ['h1'], false)).toEqual([{ from: 'outside', to: 'h1' }]);
});

test('cuts hold in the middle: by bridge ports, delayed ones too, or by the router’s segments', () => {
  const cuts = [{ from: 'h1', to: 'h2' }];
  expect(cutCommands(plan('flat'), cuts)).toContain(
    'elements = { "h1" . "h2", "h1" . "h2-late", "h1-late" . "h2", "h1-late" . "h2-late" }',
  );
  expect(cutCommands(plan('flat'), cuts)).toStartWith('table bridge pintle_cuts\ndelete table bridge pintle_cuts\n');
  expect(cutCommands(plan('routed'), cuts)).toContain(
    'table inet pintle_cuts {\n\tset cut { type ifname . ifname; elements = { "s1" . "s2" }',
  );
  expect(cutCommands(plan('nat'), [{ from: 'outside', to: 'h3' }])).toContain('{ "out" . "r3", "out" . "r3-late" }');
  expect(cutCommands(plan('flat'), [])).toBe('table bridge pintle_cuts\ndelete table bridge pintle_cuts\n');
  expect(() => cutCommands(plan('flat'), [{ from: 'h1', to: 'h9' }])).toThrow('there is no host h9');
});
