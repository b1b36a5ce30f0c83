import { afterEach, beforeEach, expect, test } from 'bun:test';
import { eventKind, nodeKind } from '#api';
import { type Clock, systemClock } from '#base';
import { hostLeaseKind, networkName, overlayNetworkKind } from '../plugins/overlay/kinds.ts';
import { eventually, until } from './fixtures/eventually.ts';
import { Fabric } from './fixtures/fake-overlay.ts';
import { OverlayCluster, type PlayedHost } from './fixtures/overlay-cluster.ts';

let cluster: OverlayCluster;
let fabric: Fabric;
beforeEach(async () => {
  cluster = await OverlayCluster.start();
  fabric = new Fabric(systemClock);
  await cluster.startControllers();
}, 60_000);
afterEach(() => cluster[Symbol.asyncDispose](), 60_000);

async function hosts(names: readonly string[], options: PlayedHost = {}): Promise<AsyncDisposable[]> {
  for (const name of names) await cluster.addNode(name);
  return Promise.all(names.map((name) => cluster.startHost(name, fabric, { clock: quick(10), ...options })));
}
const pairs = (names: readonly string[]) =>
  names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to] as const));
const broken = (names: readonly string[]) =>
  pairs(names).flatMap(([from, to]) => {
    const path = fabric.path(from, to);
    return typeof path === 'string' ? [path] : [];
  });
const fullMesh = (names: readonly string[]) =>
  eventually(
    () => broken(names),
    (list) => list.length === 0,
  );
const network = async () => (await cluster.client.get(overlayNetworkKind, { name: networkName })).status;
const condition = async (name: string, type: string) =>
  (await cluster.lease(name)).status?.conditions?.find((one) => one.type === type);
/** Time that runs this much faster. */
const quick = (times: number): Clock => ({
  now: () => systemClock.now(),
  monotonicMs: () => systemClock.monotonicMs() * times,
  soon: () => systemClock.soon(),
  sleep: (ms, signal) => systemClock.sleep(ms / times, signal ?? new AbortController().signal),
});

test('every host reaches every other one; each says how it is reached and how it is', async () => {
  const mtus: number[] = [];
  await hosts(['h1', 'h2', 'h3'], { onMtu: (mtuBytes) => mtus.push(mtuBytes) });
  await fullMesh(['h1', 'h2', 'h3']);
  const lease = await until(async () => {
    const found = await cluster.lease('h1');
    return found.status?.peers?.wanted === 2 || (found.status?.applied && found);
  });
  if (lease === true) return;
  expect(lease.spec).toMatchObject({ endpoint: '192.0.2.1', backend: 'wireguard', mtuBytes: 1_450 });
  expect(lease.status).toMatchObject({
    implementation: 'played wireguard',
    applied: [{ backend: 'wireguard', sends: true }],
  });
  expect(await condition('h1', 'Ready')).toMatchObject({ status: 'True', message: 'played wireguard' });
  expect(await condition('h1', 'RangesFree')).toMatchObject({ status: 'True' });
  expect(mtus).toEqual([1_450, 1_450, 1_450]);
  await until(async () => {
    const { status } = await cluster.client.get(nodeKind, { name: 'h1' });
    const found = status?.conditions?.find(({ type }) => type === 'NetworkUnavailable');
    return found?.status === 'False' && found.reason === 'OverlayReady';
  });
  await until(async () => (await network())?.hosts?.ready === 3);
}, 60_000);

test('what a host publishes changes only with what it is about', async () => {
  await hosts(['h1', 'h2']);
  await fullMesh(['h1', 'h2']);
  await until(async () => (await cluster.lease('h1')).spec.data?.['sendsOn']);
  const { generation } = (await cluster.lease('h1')).metadata;
  const { sync } = { ...fabric.backend('h1', 'wireguard').calls };
  await hosts(['h3']);
  await until(() => fabric.backend('h1', 'wireguard').calls.sync > sync + 1);
  expect((await cluster.lease('h1')).metadata.generation).toBe(generation);
}, 60_000);

test('a host that goes is nobody’s peer any more, and one that comes is everybody’s', async () => {
  await cluster.settings({ returnGraceSeconds: 0 });
  const [, , third] = await hosts(['h1', 'h2', 'h3']);
  await fullMesh(['h1', 'h2', 'h3']);
  await third![Symbol.asyncDispose]();
  expect(broken(['h1', 'h2', 'h3'])).toEqual([]); // what is in force stays when its process ends
  await cluster.client.delete(nodeKind, { name: 'h3' });
  await until(
    () => !fabric.backend('h1', 'wireguard').peers.has('h3') && !fabric.backend('h2', 'wireguard').peers.has('h3'),
  );
  await hosts(['h4']);
  await fullMesh(['h1', 'h2', 'h4']);
}, 60_000);

test('from one backend to another, and at no moment is a pair without a way', async () => {
  const names = ['h1', 'h2', 'h3', 'h4'];
  await hosts(names);
  await fullMesh(names);
  await until(async () => (await network())?.hosts?.ready === 4);
  await cluster.settings({ backend: 'vxlan' });
  const phases = new Set<string>();
  const lost: string[] = [];
  await until(async () => {
    lost.push(...broken(names));
    const status = await network();
    phases.add(`${status?.phase} ${status?.backend}`);
    return status?.phase === 'Settled' && status.backend === 'vxlan';
  });
  expect(lost).toEqual([]);
  expect([...phases].at(-1)).toBe('Settled vxlan');
  expect(phases.has('Switching wireguard')).toBe(true);
  for (const name of names) {
    const lease = await cluster.lease(name);
    expect([lease.spec.backend, lease.spec.offers, lease.status?.applied?.map((one) => one.backend)]).toEqual([
      'vxlan',
      undefined,
      ['vxlan'],
    ]);
    expect(fabric.backend(name, 'wireguard').calls.purge).toBe(1);
  }
  const { items } = await cluster.client.list(eventKind, { namespace: 'default' });
  expect(items.map(({ reason }) => reason)).toContain('BackendSwitching');
}, 60_000);

test('a host without the wished backend holds the move up and says so; the wish can be taken back', async () => {
  await hosts(['h1', 'h2']);
  await hosts(['h3'], { backends: ['wireguard'] });
  await fullMesh(['h1', 'h2', 'h3']);
  await cluster.settings({ backend: 'vxlan' });
  await until(async () => (await network())?.waitingFor?.join() === 'h3');
  await until(async () =>
    /has no backend of that name; it has wireguard/.test((await condition('h3', 'Ready'))?.message ?? ''),
  );
  expect(broken(['h1', 'h2', 'h3'])).toEqual([]);
  await cluster.settings({ backend: 'wireguard' });
  await until(async () => (await network())?.phase === 'Settled');
  await until(async () => (await condition('h3', 'Ready'))?.status === 'True');
  expect(broken(['h1', 'h2', 'h3'])).toEqual([]);
  expect(fabric.backend('h1', 'vxlan').local).toBeUndefined();
}, 60_000);

test('a peer with a broken key is rejected by name, on every host, and harms nobody', async () => {
  const names = ['h1', 'h2', 'h3'];
  const all = await hosts(names);
  await fullMesh(names);
  await all[2]![Symbol.asyncDispose]();
  const body = { spec: { data: { key: 'nonsense' } } };
  await cluster.client.patch(hostLeaseKind, { name: 'h3' }, { type: 'merge', body });
  await until(async () => (await condition('h1', 'PeersAccepted'))?.message === 'not served: h3');
  const told = await until(async () => (await cluster.lease('h2')).status?.rejected?.[0]);
  expect(told).toEqual({ node: 'h3', reason: 'its key nonsense is none' });
  expect(broken(['h1', 'h2'])).toEqual([]);
  expect(await condition('h1', 'Ready')).toMatchObject({ status: 'True' });
  await until(async () => {
    const { items } = await cluster.client.list(eventKind, { namespace: 'default' });
    return items.some(
      ({ reason, message }) => reason === 'PeersRejected' && message?.includes('h3: its key nonsense is none'),
    );
  });
}, 60_000);

test('keys are changed on demand, one host or all, and others follow', async () => {
  const names = ['h1', 'h2'];
  await hosts(names);
  await fullMesh(names);
  await until(async () => (await cluster.lease('h1')).status?.rotation?.lastTime);
  const keyOf = async (name: string) => (await cluster.lease(name)).spec.data?.['key'];
  const first = await keyOf('h1');
  const ask = (kind: typeof hostLeaseKind | typeof overlayNetworkKind, name: string, value: string) =>
    cluster.client.patch(
      kind as typeof hostLeaseKind,
      { name },
      { type: 'merge', body: { metadata: { annotations: { 'net.pintle.dev/rotate': value } } } },
    );
  await ask(hostLeaseKind, 'h1', 'now');
  await until(async () => (await keyOf('h1')) !== first);
  await until(() => fabric.backend('h2', 'wireguard').peers.get('h1')?.data['key'] !== first);
  expect(broken(names)).toEqual([]);
  const second = await keyOf('h2');
  await ask(overlayNetworkKind, networkName, '2026-11-21');
  await until(async () => (await keyOf('h2')) !== second);
  await until(async () => (await cluster.lease('h2')).status?.rotation?.request === '2026-11-21/');
  await fullMesh(names);
}, 60_000);

test('what fails is tried again, and told until then', async () => {
  await hosts(['h1']);
  await cluster.addNode('h2');
  const lacks = 'wireguard: no tun device on this host; modprobe tun';
  fabric.backend('h2', 'wireguard').failures.prepare = 'no tun device on this host';
  const reports: (string | undefined)[] = [];
  await cluster.startHost('h2', fabric, { clock: quick(10), onReport: (notReady) => reports.push(notReady) });
  await until(async () => (await condition('h2', 'Ready'))?.message === lacks);
  expect(reports.at(-1)).toBe(lacks); // new pods wait
  delete fabric.backend('h2', 'wireguard').failures.prepare;
  await fullMesh(['h1', 'h2']);
  await until(() => reports.at(-1) === undefined);
  fabric.backend('h2', 'wireguard').failures.sync = 'the device is gone';
  await hosts(['h3']);
  await until(async () => (await condition('h2', 'Ready'))?.reason === 'PeersNotApplied');
  await fullMesh(['h1', 'h3']);
  expect(reports.at(-1)).toBeUndefined(); // what runs keeps what it had
  delete fabric.backend('h2', 'wireguard').failures.sync;
  await fullMesh(['h1', 'h2', 'h3']);
  await until(async () => (await condition('h2', 'Ready'))?.status === 'True');
}, 60_000);

test('a changed address is followed by everybody', async () => {
  let address = '192.0.2.1/24';
  const links = () => [{ link: 'eth0', cidr: address, mtuBytes: 1_500 }];
  await hosts(['h1'], { nodeIp: '192.0.2.1', links });
  await hosts(['h2']);
  await fullMesh(['h1', 'h2']);
  const beganMs = performance.now();
  address = '192.0.2.77/24';
  await until(async () => (await cluster.lease('h1')).spec.endpoint === '192.0.2.77');
  expect(performance.now() - beganMs).toBeLessThan(20_000); // not with the next look, which comes after 30 s
  await fullMesh(['h1', 'h2']);
  const public1 = { metadata: { annotations: { 'net.pintle.dev/endpoint': '198.51.100.1' } } };
  await cluster.client.patch(nodeKind, { name: 'h1' }, { type: 'merge', body: public1 });
  await until(() => fabric.backend('h2', 'wireguard').peers.get('h1')?.endpoint === '198.51.100.1');
}, 60_000);

test('two hosts that cannot reach each other meet at a third, and go directly when the way is open again', async () => {
  const names = ['h1', 'h2', 'h3'];
  fabric.cut('h1', 'h2');
  await hosts(names, { clock: quick(20) });
  await eventually(
    () => fabric.path('h1', 'h2'),
    (path) => Bun.deepEquals(path, ['h1', 'h3', 'h2']),
  );
  await fullMesh(names);
  expect((await cluster.lease('h1')).spec.relayVia).toBe('h3');
  expect((await cluster.lease('h1')).status?.peers?.unreachable).toEqual(['h2']);
  expect(fabric.path('h1', 'h3')).toEqual(['h1', 'h3']);
  fabric.heal();
  await eventually(
    () => fabric.path('h1', 'h2'),
    (path) => Bun.deepEquals(path, ['h1', 'h2']),
  );
  await until(async () => (await cluster.lease('h1')).spec.relayVia === undefined);
}, 60_000);

test('a network of the host that pods would hide is told', async () => {
  const links = () => [
    { link: 'eth0', cidr: '192.0.2.1/24', mtuBytes: 1_500 },
    { link: 'eth1', cidr: '10.44.200.3/24', mtuBytes: 1_500 },
    { link: 'pintle0', cidr: '10.44.0.1/24', mtuBytes: 1_450 },
  ];
  await hosts(['h1'], { links });
  const found = await until(
    async () => (await condition('h1', 'RangesFree'))?.status === 'False' && condition('h1', 'RangesFree'),
  );
  expect(found).toMatchObject({
    reason: 'HostNetworkHidden',
    message: expect.stringContaining('eth1 10.44.200.3/24: ') as never,
  });
}, 60_000);

test('a process that comes again finds everything as it was', async () => {
  const names = ['h1', 'h2'];
  const [first] = await hosts(names);
  await fullMesh(names);
  await until(async () => (await cluster.lease('h1')).status?.applied);
  await first![Symbol.asyncDispose]();
  const before = (await cluster.lease('h1')).metadata.generation;
  const { sync } = { ...fabric.backend('h1', 'wireguard').calls };
  await cluster.startHost('h1', fabric);
  await until(() => fabric.backend('h1', 'wireguard').calls.sync > sync);
  expect(broken(names)).toEqual([]);
  expect((await cluster.lease('h1')).metadata.generation).toBe(before);
}, 60_000);
