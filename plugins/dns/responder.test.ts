import { expect, test } from 'bun:test';
import { decode, encode, RECURSION_DESIRED } from 'dns-packet';
import type { EndpointSlice, KubeObject, Service } from '#api';
import { type Clock, MetricsPage, silentLog } from '#base';
import type { ClusterView } from './cluster-zone.ts';
import { DnsMetrics } from './dns-metrics.ts';
import { type ForeignAnswer, readForeign } from './foreign.ts';
import { Forwarder } from './forwarder.ts';
import { planEndpoints } from './plan-endpoints.ts';
import { Responder } from './responder.ts';
import { readSettings, type Settings } from './settings.ts';
import { createSources, podLimits, Source } from './sources.ts';
import type { Ask, Question } from './upstream.ts';

/** Time that passes when the test says so. */
class HandClock implements Clock {
  #nowMs = 1_000_000;
  #sleepers: { atMs: number; wake: () => void }[] = [];
  now = () => this.#nowMs;
  monotonicMs = () => this.#nowMs;
  soon = () => Promise.resolve();
  sleep = (ms: number) =>
    new Promise<void>((resolve) => this.#sleepers.push({ atMs: this.#nowMs + ms, wake: resolve }));
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    const due = this.#sleepers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#sleepers = this.#sleepers.filter((one) => !due.includes(one));
    for (const { wake } of due) wake();
    await Bun.sleep(0);
  }
}

const packet = (name: string, type: 'A' | 'ANY' | 'AXFR' = 'A', flags = RECURSION_DESIRED): Buffer =>
  encode({ id: 7, type: 'query', flags, questions: [{ name, type: type as 'A' }] });
const foreign = (question: Question, ttl: number, ip: string): ForeignAnswer => {
  const name = 'www.example';
  const answers = [{ name, type: 'A' as const, ttl, data: ip }];
  const bytes = encode({ id: 7, type: 'response', questions: [{ name, type: 'A' }], answers });
  return readForeign(bytes, 7, question.key)!;
};
const shown = (reply: Uint8Array | undefined) => {
  const { rcode, answers = [] } = decode(Buffer.from(reply!)) as unknown as {
    rcode: string;
    answers: { ttl: number; data: unknown }[];
  };
  return [rcode, ...answers.map(({ ttl, data }) => `${String(data)} ${ttl}`)];
};

interface Setup {
  readonly ask?: Ask;
  readonly settings?: Partial<Settings>;
  readonly view?: Partial<ClusterView>;
}
function setUp({ ask = async () => undefined, settings = {}, view = {} }: Setup = {}) {
  const clock = new HandClock();
  const server = { ip: '192.0.2.53', port: 53 };
  const all = { ...readSettings({}, 'cluster.local').settings, upstreams: [server], ...settings };
  const { signal } = new AbortController();
  const page = new MetricsPage(0);
  const metrics = new DnsMetrics(page, 'cluster.local');
  const cacheSecondsMax = () => all.cacheSecondsMax;
  const forwarder = new Forwarder({ ask, clock, log: silentLog, signal, cacheSecondsMax, metrics });
  metrics.entries(() => forwarder.size);
  let version = 0;
  const nobody: ClusterView = {
    hasNamespace: (name) => name === 'shop',
    service: () => undefined,
    slices: () => [],
    servicesAt: () => [],
    slicesAt: () => [],
    ...view,
  };
  const responder = new Responder({
    view: nobody,
    zone: () => ({ domain: 'cluster.local', ttlSeconds: 5, serial: 1 }),
    version: () => version,
    settings: () => all,
    forwarder,
    clock,
    metrics,
  });
  const everybody = new Source(podLimits, clock);
  return {
    clock,
    forwarder,
    changed: () => version++,
    page,
    ask: async (bytes: Uint8Array, turn = everybody) =>
      responder.respond(bytes, { stream: false, address: '10.244.0.9', turn }),
  };
}

test('a foreign answer is kept for its time, counts down, and is said again while nobody answers', async () => {
  let asked = 0;
  let silent = false;
  const { clock, ask } = setUp({
    ask: async (_server, question) => {
      asked++;
      return silent ? undefined : foreign(question, 10, '192.0.2.1');
    },
  });
  const www = packet('www.example');
  expect(shown(await ask(www))).toEqual(['NOERROR', '192.0.2.1 10']);
  await clock.pass(4_000);
  expect(shown(await ask(www))).toEqual(['NOERROR', '192.0.2.1 6']);
  expect(asked).toBe(1);
  silent = true;
  await clock.pass(7_000);
  expect(shown(await ask(www))).toEqual(['NOERROR', '192.0.2.1 30']);
  expect(shown(await ask(www))).toEqual(['NOERROR', '192.0.2.1 30']); // at once: it was tried a moment ago
  expect(asked).toBe(2);
  await clock.pass(3_700_000);
  expect(shown(await ask(www))).toEqual(['SERVFAIL']); // an hour is enough
});

test('a slow server: the old answer after 1.8 s, the new one when it has come', async () => {
  let late = Promise.withResolvers<void>();
  late.resolve();
  const { clock, ask } = setUp({
    ask: async (_server, question) => {
      await late.promise;
      return foreign(question, 10, '192.0.2.1');
    },
  });
  const www = packet('www.example');
  await ask(www);
  await clock.pass(11_000);
  late = Promise.withResolvers<void>();
  const waiting = ask(www);
  await clock.pass(1_900);
  expect(shown(await waiting)).toEqual(['NOERROR', '192.0.2.1 30']);
  late.resolve();
  await Bun.sleep(0);
  expect(shown(await ask(www))).toEqual(['NOERROR', '192.0.2.1 10']);
});

test('the same question from many is asked once; one that nobody answers ends in a failure', async () => {
  let asked = 0;
  const gate = Promise.withResolvers<void>();
  const { ask } = setUp({
    ask: async () => {
      asked++;
      await gate.promise;
      return undefined;
    },
  });
  const replies = Array.from({ length: 50 }, () => ask(packet('www.example')));
  await Bun.sleep(0);
  gate.resolve();
  expect(new Set((await Promise.all(replies)).map((reply) => shown(reply).join()))).toEqual(new Set(['SERVFAIL']));
  expect(asked).toBe(1);
});

test('the second server is asked when the first is silent, and first from then on', async () => {
  const asked: string[] = [];
  const servers = [
    { ip: '192.0.2.1', port: 53 },
    { ip: '192.0.2.2', port: 53 },
  ];
  const { ask } = setUp({
    settings: { upstreams: servers, cacheSecondsMax: 0 },
    ask: async ({ ip }, question) => {
      asked.push(ip);
      return ip === '192.0.2.1' ? undefined : foreign(question, 10, '192.0.2.9');
    },
  });
  await ask(packet('www.example'));
  await ask(packet('www.example'));
  expect(asked).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.2']);
});

test('not asked for: recursion, whole zones, everything of a name', async () => {
  const { ask } = setUp({ ask: async () => Promise.reject(new Error('nobody may be asked')) });
  expect(shown(await ask(packet('www.example', 'A', 0)))).toEqual(['REFUSED']);
  expect(shown(await ask(packet('www.example', 'AXFR')))).toEqual(['REFUSED']);
  expect(shown(await ask(packet('cluster.local', 'AXFR')))).toEqual(['REFUSED']);
  expect(shown(await ask(packet('www.example', 'ANY')))).toEqual(['NOTIMP']);
});

const headless = { metadata: { name: 'db', namespace: 'shop' }, spec: { clusterIP: 'None' } } as Service & KubeObject;
const sliceOf = (...ips: string[]) =>
  ({
    addressType: 'IPv4',
    metadata: { namespace: 'shop' },
    endpoints: ips.map((ip) => ({ addresses: [ip] })),
  }) as EndpointSlice & KubeObject;

test('addresses come in turn, and a change of the cluster is seen by the next question', async () => {
  let ips = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
  const { ask, changed } = setUp({ view: { service: () => headless, slices: () => [sliceOf(...ips)] } });
  const firsts = [];
  for (let index = 0; index < 4; index++) firsts.push(shown(await ask(packet('db.shop.svc.cluster.local')))[1]);
  expect(firsts).toEqual(['10.0.0.1 5', '10.0.0.2 5', '10.0.0.3 5', '10.0.0.1 5']);
  ips = ['10.0.0.9'];
  changed();
  expect(shown(await ask(packet('db.shop.svc.cluster.local')))).toEqual(['NOERROR', '10.0.0.9 5']);
});

test('an external name: what others say of its target stands behind it; without an answer the client is told of the failure', async () => {
  const spec = { type: 'ExternalName', externalName: 'www.example' };
  const service = { metadata: { name: 'ext', namespace: 'shop' }, spec } as Service & KubeObject;
  let silent = false;
  const { ask, forwarder } = setUp({
    view: { service: () => service },
    ask: async (_server, question) => (silent ? undefined : foreign(question, 10, '192.0.2.1')),
  });
  expect(shown(await ask(packet('ext.shop.svc.cluster.local')))).toEqual(['NOERROR', 'www.example 5', '192.0.2.1 10']);
  silent = true;
  forwarder.forget();
  expect(shown(await ask(packet('ext.shop.svc.cluster.local')))).toEqual(['SERVFAIL', 'www.example 5']);
});

test('an external name with a label that no packet can hold does not exist', async () => {
  const spec = { type: 'ExternalName', externalName: `${'a'.repeat(64)}.example` };
  const service = { metadata: { name: 'ext', namespace: 'shop' }, spec } as Service & KubeObject;
  const { ask } = setUp({ view: { service: () => service } });
  expect(shown(await ask(packet('ext.shop.svc.cluster.local')))).toEqual(['NXDOMAIN']);
});

test('who may ask: pods and this host, no strangers', () => {
  let own = ['192.0.2.7'];
  const clock = new HandClock();
  const sourceOf = createSources(['10.244.0.0/16'], clock, () => own);
  const judged = (address: string) => sourceOf(address) !== undefined;
  expect(['10.244.3.4', '127.0.0.1', '127.99.0.1', '192.0.2.7', '::1'].map(judged)).not.toContain(false);
  expect(['192.0.2.8', '10.245.0.1', '2001:db8::1', ''].map(judged)).not.toContain(true);
  own = ['192.0.2.8'];
  void clock.pass(2_000);
  expect(judged('192.0.2.8')).toBe(true);
});

test('a pod that floods takes from itself: so many questions a second, and others have theirs', () => {
  const clock = new HandClock();
  const ofBoth = createSources(['10.244.0.0/16', 'fd44::/48'], clock, () => []);
  expect(['fd44::7', 'fd44:0:1::7', '10.244.3.1', '10.245.0.1'].map((ip) => ofBoth(ip) !== undefined)).toEqual([
    true,
    false,
    true,
    false,
  ]);
  const sourceOf = createSources(['10.244.0.0/16'], clock, () => []);
  const taken = (address: string, count: number) =>
    Array.from({ length: count }, () => sourceOf(address)!.admits()).filter(Boolean).length;
  const { questionsPerSecondMax: most } = podLimits;
  expect(taken('10.244.0.1', most + 500)).toBe(most);
  expect(taken('10.244.0.2', 500)).toBe(500);
  expect(taken('127.0.0.1', most + 500)).toBe(most + 500); // programs of the host are not told apart
  void clock.pass(1_000);
  expect(taken('10.244.0.1', 10)).toBe(10);
});

test('a pod whose questions wait for silent servers leaves room for those of others', async () => {
  const gate = Promise.withResolvers<void>();
  const { ask, clock, page } = setUp({
    ask: async (_server, question) => {
      await gate.promise;
      return foreign(question, 10, '192.0.2.1');
    },
  });
  const [greedy, other] = [new Source(podLimits, clock), new Source(podLimits, clock)];
  const many = Array.from({ length: podLimits.waitingMax }, (_, index) => ask(packet(`n${index}.example`), greedy));
  expect(await ask(packet('one-more.example'), greedy)).toBeUndefined();
  const fair = ask(packet('www.example'), other);
  gate.resolve();
  expect(shown(await fair)).toEqual(['NOERROR', '192.0.2.1 10']);
  await Promise.all(many);
  expect(shown(await ask(packet('www.example'), greedy))).toEqual(['NOERROR', '192.0.2.1 10']);
  expect(await ask(packet('later.example'), greedy)).toBeDefined();
  expect(page.text()).toContain('pintle_dns_refused_total{reason="waiting"} 1\n');
});

test('what is asked, answered, known and passed on is counted under the names of CoreDNS', async () => {
  let silent = false;
  const { ask, clock, page } = setUp({
    ask: async (_server, question) => (silent ? undefined : foreign(question, 10, '192.0.2.1')),
  });
  await ask(packet('nobody.shop.svc.cluster.local'));
  await ask(packet('www.example'));
  await ask(packet('www.example'));
  silent = true;
  await clock.pass(11_000);
  await ask(packet('www.example'));
  await ask(Uint8Array.from([0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0]));
  const lines = page.text().split('\n');
  for (const line of [
    'coredns_dns_requests_total{server="dns://:53",zone="cluster.local.",proto="udp",family="1",type="A"} 1',
    'coredns_dns_requests_total{server="dns://:53",zone=".",proto="udp",family="1",type="A"} 3',
    'coredns_dns_requests_total{server="dns://:53",zone="dropped",proto="udp",family="1",type="other"} 1',
    'coredns_dns_responses_total{server="dns://:53",zone="cluster.local.",rcode="NXDOMAIN"} 1',
    'coredns_dns_responses_total{server="dns://:53",zone="dropped",rcode="FORMERR"} 1',
    'coredns_dns_request_duration_seconds_count{server="dns://:53",zone="."} 3',
    'coredns_cache_hits_total{server="dns://:53",type="success",zones="."} 1',
    'coredns_cache_misses_total{server="dns://:53",zones="."} 2',
    'coredns_cache_served_stale_total{server="dns://:53",zones="."} 1',
    'coredns_cache_entries{server="dns://:53",zones="."} 1',
    'coredns_proxy_request_duration_seconds_count{proxy_name="forward",to="192.0.2.53:53",rcode="NOERROR"} 1',
    'coredns_proxy_request_duration_seconds_count{proxy_name="forward",to="192.0.2.53:53",rcode="timeout"} 1',
  ])
    expect(lines).toContain(line);
});

test('endpoints are made of what nodes say, if it is an address', () => {
  const node = (name: string, text: string | undefined, ready = 'True') => ({
    metadata: { name, annotations: text === undefined ? {} : { 'dns.pintle.dev/endpoint': text } },
    status: { conditions: [{ type: 'Ready', status: ready }] },
  });
  const nodes = [
    node('b', '10.244.1.1:10053'),
    node('a', '10.244.0.1:10053', 'False'),
    node('lost', '10.244.2.1:10053', 'Unknown'),
    node('other', '10.244.3.1:4000'),
    node('none', undefined),
    ...['', 'x:1', '10.0.0.1', '10.0.0.1:0', '10.0.0.1:99999', 'fd00::7:53'].map((text, index) =>
      node(`bad${index}`, text),
    ),
  ];
  const planned = planEndpoints(nodes as never);
  expect(
    planned.map(({ metadata, endpoints, ports }) => [
      metadata.name,
      ports![0]!.port,
      ...endpoints!.map(({ addresses, conditions, nodeName }) => `${nodeName} ${addresses[0]} ${conditions?.ready}`),
    ]),
  ).toEqual([
    ['kube-dns-4000', 4000, 'other 10.244.3.1 true'],
    ['kube-dns-10053', 10053, 'a 10.244.0.1 true', 'b 10.244.1.1 true', 'lost 10.244.2.1 false'],
  ]);
});
