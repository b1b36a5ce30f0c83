import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { serviceKind } from '#api';
import { createLog } from '#base';
import { type Dug, dig } from '../fixtures/dig.ts';
import { DnsCluster, until } from '../fixtures/dns-cluster.ts';
import { NameServer } from '../fixtures/name-server.ts';

/** A reply as it must be: what is left out is not looked at. Records in any order, without TTLs. */
interface Wanted {
  readonly status?: string;
  readonly answer?: readonly string[];
  readonly additional?: readonly string[];
  /** The authority section is the zone's SOA. */
  readonly soa?: boolean;
  readonly flags?: readonly string[];
  readonly noFlags?: readonly string[];
  readonly answers?: number;
}
const zone = 'cluster.local';
const shop = `shop.svc.${zone}`;
const nothing: Wanted = { status: 'NOERROR', answer: [], soa: true };
const noName: Wanted = { status: 'NXDOMAIN', answer: [], soa: true };
const a = (name: string, ...ips: string[]): Wanted => ({ answer: ips.map((ip) => `${name} A ${ip}`), flags: ['aa'] });
const bigHosts = 60;
const staticZone =
  '$TTL 60\n@ IN SOA ns.static.example. root.static.example. 1 60 60 60 60\n@ IN NS ns\nns IN A 192.0.2.53\nwww IN A 192.0.2.80\n';

/** Words for dig, and the reply. Both drivers answer all of them the same. */
const questions: readonly (readonly [words: string, wanted: Wanted])[] = [
  // services
  [`web.${shop} A`, a(`web.${shop}`, '10.96.0.20')],
  [`WEB.Shop.svc.Cluster.LOCAL A`, { answer: ['WEB.Shop.svc.Cluster.LOCAL A 10.96.0.20'] }],
  [`web.${shop} AAAA`, nothing],
  [`web.${shop} TXT`, nothing],
  [`web.${shop} MX`, nothing],
  [`kubernetes.default.svc.${zone} A`, a(`kubernetes.default.svc.${zone}`, '10.96.0.1')],
  [
    `_http._tcp.web.${shop} SRV`,
    {
      answer: [`_http._tcp.web.${shop} SRV 0 100 80 web.${shop}.`],
      additional: [`web.${shop} A 10.96.0.20`],
    },
  ],
  [`_dns._udp.web.${shop} SRV`, { answer: [`_dns._udp.web.${shop} SRV 0 100 53 web.${shop}.`] }],
  [`_dns._tcp.web.${shop} SRV`, noName],
  [`_nope._tcp.web.${shop} SRV`, noName],
  [`web.${shop} SRV`, { answer: [`web.${shop} SRV 0 50 80 web.${shop}.`, `web.${shop} SRV 0 50 53 web.${shop}.`] }],
  [`nope.${shop} A`, noName],
  [`web.nope.svc.${zone} A`, noName],
  [`nope.svc.${zone} A`, noName],
  [`${shop} A`, nothing],
  [`svc.${zone} A`, nothing],
  [`a.b.c.web.${shop} A`, noName],
  [`nope.${zone} A`, noName],
  // headless services
  [`db.${shop} A`, a(`db.${shop}`, '10.244.2.1', '10.244.2.2', '10.244.2.3')],
  [`db-0.db.${shop} A`, a(`db-0.db.${shop}`, '10.244.2.1')],
  [`10-244-2-3.db.${shop} A`, a(`10-244-2-3.db.${shop}`, '10.244.2.3')],
  [`10-244-2-9.db.${shop} A`, noName],
  [`db-9.db.${shop} A`, noName],
  [
    `_pg._tcp.db.${shop} SRV`,
    {
      answer: ['db-0', 'db-1', '10-244-2-3'].map((one) => `_pg._tcp.db.${shop} SRV 0 33 5432 ${one}.db.${shop}.`),
      additional: [
        `db-0.db.${shop} A 10.244.2.1`,
        `db-1.db.${shop} A 10.244.2.2`,
        `10-244-2-3.db.${shop} A 10.244.2.3`,
      ],
    },
  ],
  [`db6.${shop} AAAA`, { answer: [`db6.${shop} AAAA fd00::7`] }],
  [`fd00--7.db6.${shop} AAAA`, { answer: [`fd00--7.db6.${shop} AAAA fd00::7`] }],
  [`db6.${shop} A`, nothing],
  [`empty.${shop} A`, noName],
  [`plain.${shop} A`, a(`plain.${shop}`, '10.244.3.1')],
  [`10-244-1-1.web.${shop} A`, a(`10-244-1-1.web.${shop}`, '10.244.1.1')],
  // external names
  [`ext.${shop} CNAME`, { answer: [`ext.${shop} CNAME www.corp.example.`] }],
  [`ext.${shop} A`, { answer: [`ext.${shop} CNAME www.corp.example.`, 'www.corp.example A 198.51.100.7'] }],
  [`inner.${shop} A`, { answer: [`inner.${shop} CNAME web.${shop}.`, `web.${shop} A 10.96.0.20`] }],
  [`loop-a.${shop} A`, { status: 'NOERROR', answer: [], soa: true }],
  [`self.${shop} A`, { status: 'NOERROR', answer: [], soa: true }],
  [`_http._tcp.ext.${shop} SRV`, noName],
  // pods
  [`10-244-1-1.shop.pod.${zone} A`, a(`10-244-1-1.shop.pod.${zone}`, '10.244.1.1')],
  [`fd00--7.shop.pod.${zone} AAAA`, { answer: [`fd00--7.shop.pod.${zone} AAAA fd00::7`] }],
  [`10-244-1-1.nope.pod.${zone} A`, noName],
  [`web.shop.pod.${zone} A`, noName],
  [`shop.pod.${zone} A`, nothing],
  // names of addresses
  ['-x 10.96.0.20', { answer: [`20.0.96.10.in-addr.arpa PTR web.${shop}.`] }],
  ['-x 10.244.2.1', { answer: [`1.2.244.10.in-addr.arpa PTR db-0.db.${shop}.`] }],
  ['-x 10.244.2.3', { answer: [`3.2.244.10.in-addr.arpa PTR 10-244-2-3.db.${shop}.`] }],
  ['-x 10.244.2.9', { status: 'NXDOMAIN' }],
  ['-x fd00::7', { answer: [`7${'.0'.repeat(27)}.0.0.d.f.ip6.arpa PTR fd00--7.db6.${shop}.`] }],
  ['-x 10.9.9.9', { answer: ['9.9.9.10.in-addr.arpa PTR printer.lan.'] }],
  // the zone itself
  [`${zone} SOA`, { answers: 1 }],
  [`${zone} NS`, { answers: 1 }],
  [`${zone} A`, nothing],
  [`dns-version.${zone} TXT`, { answer: [`dns-version.${zone} TXT "1.1.0"`] }],
  // the settings
  ['printer.lan A', { answer: ['printer.lan A 10.9.9.9'] }],
  ['printer.lan AAAA', { status: 'NOERROR', answer: [] }],
  ['www.corp.example A', { answer: ['www.corp.example A 198.51.100.7'], flags: ['ra'] }],
  ['gone.corp.example A', { status: 'NXDOMAIN', answer: [] }],
  ['other.example A', { answer: ['other.example A 203.0.113.5'], flags: ['ra'] }],
  // sizes
  [`big.${shop} A +bufsize=512 +ignore`, { flags: ['tc'] }],
  [`big.${shop} A +noedns +ignore`, { flags: ['tc'] }],
  [`big.${shop} A +bufsize=1232 +ignore`, { noFlags: ['tc'], answers: bigHosts }],
  [`big.${shop} A +tcp`, { noFlags: ['tc'], answers: bigHosts }],
  [`big.${shop} A +bufsize=512`, { answers: bigHosts }],
  ['long.example A', { answers: 120 }],
  ['long.example A +ignore', { flags: ['tc'] }],
  [`web.${shop} A +edns=1 +noednsneg`, { status: 'BADVERS', answer: [] }],
];

/** What a driver answers otherwise, and why that is no mistake. */
const otherwise: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  embedded: {},
  coredns: {
    [`${zone} NS`]: 'it names servers by its own addresses, and here those are loopback ones, which it leaves out',
  },
};

/** `ip`: an address of 127.0.0.0/8 that nobody else uses. */
export function dnsContract(driver: 'embedded' | 'coredns', ip: string): void {
  describe(`dns: ${driver}`, () => {
    let cluster: DnsCluster;
    let everybodys: NameServer;
    let corp: NameServer;
    let server: { ip: string; port: number };
    const ask = (words: string): Promise<Dug> => dig(server, ...words.split(' '));

    beforeAll(async () => {
      const log = createLog((line) => (/"level":"(error|warn)"/.test(line) ? console.error(line) : undefined), {
        now: Date.now,
        level: 'info',
      });
      cluster = await DnsCluster.start(log);
      everybodys = await NameServer.start(ip.replace(/\d+$/, '251'));
      corp = await NameServer.start(ip.replace(/\d+$/, '252'));
      everybodys.set(
        { type: 'A', name: 'other.example', ttl: 60, data: '203.0.113.5' },
        ...Array.from({ length: 120 }, (_unused, index) => ({
          type: 'A' as const,
          name: 'long.example',
          ttl: 60,
          data: `203.0.113.${index}`,
        })),
      );
      corp.set({ type: 'A', name: 'www.corp.example', ttl: 60, data: '198.51.100.7' });
      await fill(cluster);
      await cluster.settings({
        driver,
        stubDomains: JSON.stringify({ 'corp.example': [corp.text] }),
        upstreamNameservers: JSON.stringify([everybodys.text]),
        hosts: '10.9.9.9 printer.lan # upstairs\n',
      });
      server = await cluster.serve(ip);
      await until('it answers', async () => {
        const reply = await ask(`web.${shop} A`).catch(() => undefined);
        return reply?.answer.length === 1 ? true : undefined;
      });
    });
    afterAll(async () => {
      await cluster?.[Symbol.asyncDispose]();
      await everybodys?.[Symbol.asyncDispose]();
      await corp?.[Symbol.asyncDispose]();
    });

    for (const [words, why] of Object.entries(otherwise[driver]!)) test.skip(`${words}: ${why}`, () => {});
    for (const [words, wanted] of questions)
      if (otherwise[driver]![words] === undefined) test(words, async () => check(await ask(words), wanted), 60_000);

    test('a change of endpoints is seen', async () => {
      await cluster.service('late', { clusterIP: 'None', ports: [{ port: 80 }] });
      await cluster.slice('late', {
        addressType: 'IPv4',
        endpoints: [{ addresses: ['10.244.9.1'] }],
        ports: [{ port: 80, protocol: 'TCP' }],
      });
      await until('the new name', async () => ((await ask(`late.${shop} A`)).status === 'NOERROR' ? true : undefined));
    });

    test('a service that somebody deleted comes back, on its address', async () => {
      const key = { namespace: 'kube-system', name: 'kube-dns' };
      const before = await cluster.client.get(serviceKind, key);
      await cluster.client.delete(serviceKind, key);
      await until('another of its name', async () => {
        const now = await cluster.client.get(serviceKind, key).catch(() => undefined);
        return now && now.metadata.uid !== before.metadata.uid && now.spec?.clusterIP === '10.96.0.10'
          ? true
          : undefined;
      });
    });

    test('junk by UDP and TCP harms nobody', async () => {
      const connect = { hostname: server.ip, port: server.port };
      const socket = await Bun.udpSocket({ connect, socket: { error() {} } });
      for (let index = 0; index < 2_000; index++) {
        const bytes = crypto.getRandomValues(new Uint8Array(index % 200));
        if (bytes.length > 2) bytes[2] = bytes[2]! & 0x7f; // a question, as far as the header says
        socket.send(bytes);
      }
      socket.close();
      const junk = [
        new Uint8Array(70_000),
        Uint8Array.of(0),
        Uint8Array.of(255, 255, 1),
        Uint8Array.of(0, 1, 0, 0, 1, 0),
      ];
      for (const bytes of junk) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const handlers = { data() {}, close: () => resolve(), error: () => resolve() };
        const tcp = await Bun.connect({ hostname: server.ip, port: server.port, socket: handlers });
        tcp.write(bytes);
        tcp.end();
        await Promise.race([promise, Bun.sleep(5_000)]);
        tcp.terminate();
      }
      await until('it answers', async () => ((await ask(`web.${shop} A`)).status === 'NOERROR' ? true : undefined));
      expect((await ask(`web.${shop} A +tcp`)).status).toBe('NOERROR');
    });

    test('answers of other servers are said again when these fall silent', async () => {
      everybodys.set({ type: 'A', name: 'brief.example', ttl: 1, data: '203.0.113.9' });
      const answer = ['brief.example A 203.0.113.9'];
      expect((await ask('brief.example A')).answer).toEqual(answer);
      everybodys.silent = true;
      await until('the answer is past its time', async () => {
        const reply = await ask('brief.example A');
        expect(reply.answer).toEqual(answer);
        return reply.ttls[0] === 1 ? undefined : true; // one second was all it had
      });
      everybodys.silent = false;
    });

    test('a change of the settings is in force without a restart of anything else', async () => {
      await cluster.settings({
        driver,
        upstreamNameservers: JSON.stringify([corp.text]),
        hosts: '10.9.9.8 scanner.lan\n',
        zoneFiles: JSON.stringify({ 'static.example': staticZone }),
        templates: JSON.stringify([
          {
            zone: 't.example',
            type: 'A',
            match: '^p([0-9]+)\\.t\\.example\\.$',
            answer: '{{ .Name }} 60 IN A 192.0.2.{{ index .Match 1 }}',
          },
        ]),
      });
      const reads = async (words: string) => (await ask(words).catch(() => undefined))?.answer.join();
      await until('the new host', async () =>
        (await reads('scanner.lan A')) === 'scanner.lan A 10.9.9.8' ? true : undefined,
      );
      await until('the other server', async () =>
        (await reads('www.corp.example A')) === 'www.corp.example A 198.51.100.7' ? true : undefined,
      );
      expect((await ask('printer.lan A')).status).toBe('NXDOMAIN');
      expect((await ask(`web.${shop} A`)).answer).toHaveLength(1);
      if (driver === 'embedded') return; // zone files and templates are CoreDNS's
      expect(await reads('www.static.example A')).toBe('www.static.example A 192.0.2.80');
      expect(await reads('p7.t.example A')).toBe('p7.t.example A 192.0.2.7');
    });

    test('changes that fall into the one before are each in force at the end', async () => {
      for (let host = 10; host < 20; host++) await cluster.settings({ driver, hosts: `192.0.2.${host} many.lan` });
      const last = async () => (await ask('many.lan A').catch(() => undefined))?.answer.join().includes('192.0.2.19');
      const startMs = Date.now();
      await until('the last of them', async () => ((await last()) ? true : undefined));
      expect(Date.now() - startMs).toBeLessThan(20_000); // the node looks again after 30 s by itself
    }, 60_000);

    test.skipIf(driver === 'embedded')(
      'the driver is changed while it serves, and back, at the same address',
      async () => {
        const names = async () => (await ask(`${zone} NS`).catch(() => undefined))?.answer.length; // only ours names a server here
        await cluster.settings({ driver: 'embedded' });
        await until('the embedded server', async () => ((await names()) === 1 ? true : undefined));
        expect((await ask(`web.${shop} A`)).answer).toHaveLength(1);
        await cluster.settings({ driver: 'coredns' });
        await until('CoreDNS again', async () => ((await names()) === 0 ? true : undefined));
        await until('it knows the cluster', async () =>
          (await ask(`web.${shop} A`)).answer.length === 1 ? true : undefined,
        );
      },
      60_000,
    );
  });
}

function check(reply: Dug, wanted: Wanted): void {
  if (wanted.status) expect(reply.status).toBe(wanted.status);
  if (wanted.answer) expect(reply.answer.toSorted()).toEqual(wanted.answer.toSorted());
  if (wanted.answers !== undefined) expect(reply.answer.length).toBe(wanted.answers);
  if (wanted.additional) expect(reply.additional.toSorted()).toEqual(wanted.additional.toSorted());
  if (wanted.soa) expect(reply.authority.join()).toStartWith(`${zone} SOA ns.dns.${zone}. hostmaster.${zone}. `);
  for (const flag of wanted.flags ?? []) expect(reply.flags).toContain(flag);
  for (const flag of wanted.noFlags ?? []) expect(reply.flags).not.toContain(flag);
}

async function fill(cluster: DnsCluster): Promise<void> {
  const none = 'None';
  const external = (externalName: string) => ({ type: 'ExternalName', externalName });
  const pg = [{ name: 'pg', port: 5432, protocol: 'TCP' }];
  const http = [{ name: 'http', port: 8080, protocol: 'TCP' }];
  await cluster.service('web', {
    clusterIP: '10.96.0.20',
    ports: [
      { name: 'http', port: 80 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  });
  await cluster.slice('web', { addressType: 'IPv4', endpoints: [{ addresses: ['10.244.1.1'] }], ports: http });
  await cluster.service('db', { clusterIP: none, ports: [{ name: 'pg', port: 5432 }] });
  await cluster.slice('db', {
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['10.244.2.1'], hostname: 'db-0', conditions: { ready: true } },
      { addresses: ['10.244.2.2'], hostname: 'db-1', conditions: { ready: true } },
      { addresses: ['10.244.2.3'] },
      { addresses: ['10.244.2.9'], conditions: { ready: false } },
    ],
    ports: pg,
  });
  await cluster.service('db6', { clusterIP: none, ports: [{ name: 'pg', port: 5432 }] });
  await cluster.slice('db6', { addressType: 'IPv6', endpoints: [{ addresses: ['fd00::7'] }], ports: pg });
  await cluster.service('empty', { clusterIP: none, ports: [{ port: 80 }] });
  await cluster.service('plain', { clusterIP: none });
  await cluster.slice('plain', { addressType: 'IPv4', endpoints: [{ addresses: ['10.244.3.1'] }] });
  await cluster.service('ext', external('www.corp.example'));
  await cluster.service('inner', external(`web.${shop}`));
  await cluster.service('loop-a', external(`loop-b.${shop}`));
  await cluster.service('loop-b', external(`loop-a.${shop}`));
  await cluster.service('self', external(`self.${shop}`));
  await cluster.service('big', { clusterIP: none, ports: [{ port: 80 }] });
  await cluster.slice('big', {
    addressType: 'IPv4',
    endpoints: Array.from({ length: bigHosts }, (_unused, index) => ({ addresses: [`10.244.4.${index + 1}`] })),
    ports: [{ port: 80, protocol: 'TCP' }],
  });
}
