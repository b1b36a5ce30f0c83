import type { MetricsPage } from '#sdk';
import { isWithin } from './cluster-zone.ts';
import { codes, type Query, types } from './query.ts';

const server = 'dns://:53';
const rootZone = '.';
// CoreDNS' own bounds: 0.25 ms, each twice the former.
const durationSeconds = Array.from({ length: 16 }, (_, index) => 0.00025 * 2 ** index);
const typeNames = new Map<number, string>(
  Object.entries(types)
    .filter(([name]) => !['OPT', 'IXFR', 'AXFR', 'ANY'].includes(name))
    .map(([name, number]) => [number, name]),
);
const codeNames = new Map<number, string>([
  [codes.ok, 'NOERROR'],
  [codes.format, 'FORMERR'],
  [codes.failure, 'SERVFAIL'],
  [codes.noName, 'NXDOMAIN'],
  [codes.notImplemented, 'NOTIMP'],
  [codes.refused, 'REFUSED'],
]);
const codeName = (code: number): string => codeNames.get(code) ?? String(code);

export type DropReason = 'stranger' | 'rate' | 'waiting';

/** A value for each key, made once: counting must not cost more than answering. */
function kept<K, V>(make: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      value = make(key);
      known.set(key, value);
    }
    return value;
  };
}

/** What the DNS server does, under the names of CoreDNS, so that its dashboards and alerts hold for both drivers. */
export class DnsMetrics {
  readonly #answered;
  readonly #hits;
  readonly #misses;
  readonly #stale;
  readonly #forwarded;
  readonly #rejected;
  readonly #dropped;

  constructor(
    private readonly page: MetricsPage,
    private readonly domain: string,
  ) {
    const [zone, cache] = [
      ['server', 'zone'],
      ['server', 'zones'],
    ];
    const requests = page.counter('coredns_dns_requests_total', 'Questions.', [...zone, 'proto', 'family', 'type']);
    const responses = page.counter('coredns_dns_responses_total', 'Replies by their code.', [...zone, 'rcode']);
    const durations = page.histogram(
      'coredns_dns_request_duration_seconds',
      'From a question to its reply.',
      zone,
      durationSeconds,
    );
    const zones = ['dropped', rootZone, `${domain}.`];
    this.#answered = kept((key: number) => {
      const own = zones[key & 3]!;
      const proto = key & 4 ? 'tcp' : 'udp';
      const request = requests.at([server, own, proto, key & 8 ? '2' : '1', typeNames.get(key >> 8) ?? 'other']);
      const response = responses.at([server, own, codeName((key >> 4) & 15)]);
      const duration = durations.at([server, own]);
      return (seconds: number) => {
        request(1);
        response(1);
        duration(seconds);
      };
    });
    const hits = page.counter('coredns_cache_hits_total', 'Foreign answers that were known.', [
      'server',
      'type',
      'zones',
    ]);
    this.#hits = kept((type: string) => hits.at([server, type, rootZone]));
    this.#misses = page
      .counter('coredns_cache_misses_total', 'Foreign names that had to be asked for.', cache)
      .at([server, rootZone]);
    this.#stale = page
      .counter('coredns_cache_served_stale_total', 'Old answers that were given because nobody had a new one.', cache)
      .at([server, rootZone]);
    for (const count of [this.#misses, this.#stale]) count(0);
    this.#forwarded = page.histogram(
      'coredns_proxy_request_duration_seconds',
      'How long other name servers took.',
      ['proxy_name', 'to', 'rcode'],
      durationSeconds,
    );
    this.#rejected = page.counter(
      'coredns_forward_max_concurrent_rejects_total',
      'Questions that were not passed on, because too many were under way.',
    );
    this.#rejected.add([], 0);
    this.#dropped = page.counter('pintle_dns_refused_total', 'Questions that were not answered, by the reason.', [
      'reason',
    ]);
  }
  /** Read when somebody looks. */
  entries(count: () => number): void {
    const size = this.page.gauge('coredns_cache_entries', 'Foreign answers that are kept.', ['server', 'zones']);
    this.page.beforePrint(() => size.set([server, rootZone], count()));
  }

  /** Undefined: a packet that could not be read. */
  answered(query: Query | undefined, stream: boolean, address: string, reply: Uint8Array, seconds: number): void {
    const zone = !query ? 0 : isWithin(query.name, this.domain) ? 2 : 1;
    const family = address.includes(':') && !address.startsWith('::ffff:') ? 8 : 0;
    const type = query && typeNames.has(query.type) ? query.type : 0; // so that no client can make keys without end
    this.#answered(zone | (stream ? 4 : 0) | family | ((reply[3]! & 15) << 4) | (type << 8))(seconds);
  }
  hit(code: number): void {
    this.#hits(code === codes.ok ? 'success' : 'denial')(1);
  }
  missed(): void {
    this.#misses(1);
  }
  servedStale(): void {
    this.#stale(1);
  }
  /** `code` undefined: no answer came. */
  forwarded(to: string, code: number | undefined, seconds: number): void {
    this.#forwarded.observe(['forward', to, code === undefined ? 'timeout' : codeName(code)], seconds);
  }
  rejected(): void {
    this.#rejected.add();
  }
  dropped(reason: DropReason): void {
    this.#dropped.add([reason]);
  }
}
