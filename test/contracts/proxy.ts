import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { Route, ServiceProxy } from '#net/service-proxy';

export interface ProxyHarness {
  make(): ServiceProxy;
  /** Virtual addresses that this proxy can serve; two of them. */
  readonly virtuals: readonly [string, string];
  /** An address of the node, where node ports are answered. */
  readonly nodeAddress: string;
  readonly podRange: string;
  readonly nodePort: number;
  /** Three backends at port 8080, TCP and UDP, each of which answers its own name. */
  readonly backends: readonly { readonly ip: string; readonly name: string }[];
  /** Connects (or sends) `count` times, one after the other; how often each name answered, `refused` for a reset, `silent` for no answer. */
  ask(ip: string, port: number, count: number, protocol?: 'tcp' | 'udp'): Promise<Record<string, number>>;
  close(): Promise<void>;
}
const port = 8080; // above 1023: a proxy without root may serve it

/** What every service proxy must do, with real packets. */
export function proxyContract(name: string, start: () => Promise<ProxyHarness>): void {
  describe(`proxy contract: ${name}`, () => {
    let harness: ProxyHarness;
    let proxy: ServiceProxy;
    beforeAll(async () => {
      harness = await start();
      proxy = harness.make();
    });
    afterAll(async () => {
      await proxy?.purge();
      await proxy?.[Symbol.asyncDispose]();
      await harness?.close();
    });
    /** A service over the backends with these places in the list. */
    const web = (places: readonly number[], more: Partial<Route> = {}): Route => ({
      id: 'default/web:',
      protocol: 'tcp',
      virtual: { ip: harness.virtuals[0], port },
      nodePort: harness.nodePort,
      backends: places.map((place) => ({ ip: harness.backends[place]!.ip, port: 8080, local: true })),
      ...more,
    });
    const apply = (...routes: Route[]) => proxy.apply({ routes, podRanges: [harness.podRange] });
    const nameOf = (place: number) => harness.backends[place]!.name;
    const askVirtual = (count: number, protocol?: 'tcp' | 'udp') =>
      harness.ask(harness.virtuals[0], port, count, protocol);

    test('connections are spread evenly over the given backends, and over no other', async () => {
      expect(await apply(web([0, 1]))).toEqual({ refused: [] });
      const counts = await askVirtual(60);
      expect(Object.keys(counts).sort()).toEqual([nameOf(0), nameOf(1)].sort());
      expect(Math.min(...Object.values(counts))).toBeGreaterThan(10);
    });
    test('a backend that is no longer ready gets none, one that became ready its share', async () => {
      await apply(web([1]));
      expect(await askVirtual(10)).toEqual({ [nameOf(1)]: 10 });
      await apply(web([1, 2]));
      expect(Object.keys(await askVirtual(60)).sort()).toEqual([nameOf(1), nameOf(2)].sort());
    });
    test('the node port leads to the same backends', async () => {
      await apply(web([1]));
      expect(await harness.ask(harness.nodeAddress, harness.nodePort, 5)).toEqual({ [nameOf(1)]: 5 });
      await apply(web([1], { nodePort: undefined }));
      expect(await harness.ask(harness.nodeAddress, harness.nodePort, 1)).toEqual({ refused: 1 });
    });
    test('affinity keeps a client at its backend while that one is ready', async () => {
      const sticky = { affinityTtlMs: 600_000 };
      await apply(web([0, 1, 2], sticky));
      const [first, ...others] = Object.keys(await askVirtual(10));
      expect(others).toEqual([]);
      const rest = [0, 1, 2].filter((place) => nameOf(place) !== first);
      await apply(web(rest, sticky));
      const after = await askVirtual(10);
      expect(Object.keys(after)).toHaveLength(1);
      expect(rest.map(nameOf)).toContain(Object.keys(after)[0]!);
    });
    test('without a backend connections are refused at once', async () => {
      await apply(web([]));
      expect(await askVirtual(2)).toEqual({ refused: 2 });
      expect(await harness.ask(harness.nodeAddress, harness.nodePort, 1)).toEqual({ refused: 1 });
    });
    test('UDP: spread by client, and a change reaches clients that already talk', async () => {
      await apply(web([0], { id: 'default/dns:', protocol: 'udp' }));
      expect(await askVirtual(5, 'udp')).toEqual({ [nameOf(0)]: 5 });
      await apply(web([1], { id: 'default/dns:', protocol: 'udp' }));
      expect(await askVirtual(5, 'udp')).toEqual({ [nameOf(1)]: 5 });
    });
    test('TCP and UDP at one address and port are two services', async () => {
      await apply(web([0]), web([1], { id: 'default/web:udp', protocol: 'udp' }));
      expect(await askVirtual(3)).toEqual({ [nameOf(0)]: 3 });
      expect(await askVirtual(3, 'udp')).toEqual({ [nameOf(1)]: 3 });
    });
    test('services do not disturb each other: one moves, one goes, one stays', async () => {
      const other = web([2], { id: 'default/other:', virtual: { ip: harness.virtuals[1], port }, nodePort: undefined });
      await apply(web([0]), other);
      expect(await harness.ask(harness.virtuals[1], port, 2)).toEqual({ [nameOf(2)]: 2 });
      await apply(web([0], { virtual: { ip: harness.virtuals[0], port: port + 1 } }), other);
      expect(await askVirtual(1)).toEqual({ refused: 1 });
      expect(await harness.ask(harness.virtuals[0], port + 1, 2)).toEqual({ [nameOf(0)]: 2 });
      await apply(other);
      expect(await harness.ask(harness.virtuals[0], port + 1, 1)).toEqual({ refused: 1 });
      expect(await harness.ask(harness.virtuals[1], port, 2)).toEqual({ [nameOf(2)]: 2 });
    });
    test('two services change places in one apply', async () => {
      const one = (id: string, place: 0 | 1, backend: number) =>
        web([backend], { id, virtual: { ip: harness.virtuals[place], port }, nodePort: undefined });
      await apply(one('a/a:', 0, 0), one('b/b:', 1, 1));
      expect(await apply(one('a/a:', 1, 0), one('b/b:', 0, 1))).toEqual({ refused: [] });
      expect(await askVirtual(2)).toEqual({ [nameOf(1)]: 2 });
      expect(await harness.ask(harness.virtuals[1], port, 2)).toEqual({ [nameOf(0)]: 2 });
    });
    test('a route that makes no sense is refused with its id, and the others are served', async () => {
      const bad = web([0], { id: 'bad/bad:', virtual: { ip: harness.virtuals[1], port: 0 }, nodePort: undefined });
      const { refused } = await apply(web([0]), bad);
      expect(refused.map(({ id }) => id)).toEqual(['bad/bad:']);
      expect(await askVirtual(1)).toEqual({ [nameOf(0)]: 1 });
    });
    test('the next process takes over', async () => {
      await apply(web([0]));
      await proxy[Symbol.asyncDispose]();
      proxy = harness.make();
      await apply(web([1]));
      expect(await askVirtual(3)).toEqual({ [nameOf(1)]: 3 });
    });
    test('purge leaves nothing served', async () => {
      await apply(web([0]));
      await proxy.purge();
      expect((await askVirtual(1))[nameOf(0)]).toBeUndefined();
    });
  });
}

/** A program for `bun -e` that plays the backends: each address answers its name, TCP and UDP. */
export const backendsCode = (backends: ProxyHarness['backends']): string =>
  `for (const { ip, name } of ${JSON.stringify(backends)}) {
    Bun.listen({ hostname: ip, port: 8080, socket: { open(s) { s.write(name + '\\n'); }, data(s, d) { s.write(d); } } });
    await Bun.udpSocket({ hostname: ip, port: 8080, socket: { data(s, d, p, a) { s.send(name, p, a); } } });
  }
  console.log('ready');`;

/** A program for `bun -e` that asks as ProxyHarness.ask says and prints the counts. UDP keeps its port: it plays one client. */
export const askCode = (ip: string, port: number, count: number, protocol: 'tcp' | 'udp' = 'tcp'): string => `
  const counts = {};
  const tcp = () => new Promise((done) => Bun.connect({ hostname: '${ip}', port: ${port}, socket: {
    data(s, d) { done(String(d).trim()); s.end(); }, connectError() { done('refused'); }, close() { done('refused'); },
  } }).catch(() => done('refused')));
  let answered = () => {};
  const udp = '${protocol}' === 'udp' && await Bun.udpSocket({ ${protocol === 'udp' ? `port: 42424, hostname: '${ip.startsWith('127.') ? ip.replace(/\d+$/, '200') : '0.0.0.0'}', ` : ''}socket: { data(s, d) { answered(String(d)); } } });
  const send = () => new Promise((done) => { answered = done; udp.send('x', ${port}, '${ip}'); setTimeout(() => done('silent'), 20_000); });
  for (let i = 0; i < ${count}; i++) { const name = await (udp ? send() : tcp()); counts[name] = (counts[name] ?? 0) + 1; }
  console.log(JSON.stringify(counts));
  process.exit(0);`;
