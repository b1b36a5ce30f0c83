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
  readonly #requests;
  readonly #responses;
  readonly #durations;
  readonly #hits;
  readonly #misses;
  readonly #stale;
  readonly #forwarded;
  readonly #rejected;
  readonly #dropped;
  readonly #zone: string;

  constructor(
    private readonly page: MetricsPage,
    private readonly domain: string,
  ) {
    this.#zone = `${domain}.`;
    const [zone, cache] = [
      ['server', 'zone'],
      ['server', 'zones'],
    ];
    const requests = page.counter('coredns_dns_requests_total', 'Questions.', [...zone, 'proto', 'family', 'type']);
    this.#requests = kept((key: string) => requests.at([server, ...key.split(' ')]));
    const responses = page.counter('coredns_dns_responses_total', 'Replies by their code.', [...zone, 'rcode']);
    this.#responses = kept((key: string) => responses.at([server, ...key.split(' ')]));
    const durations = page.histogram(
      'coredns_dns_request_duration_seconds',
      'From a question to its reply.',
      zone,
      durationSeconds,
    );
    this.#durations = kept((key: string) => durations.at([server, key]));
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
    const zone = !query ? 'dropped' : isWithin(query.name, this.domain) ? this.#zone : rootZone;
    const family = address.includes(':') && !address.startsWith('::ffff:') ? '2' : '1';
    const type = (query && typeNames.get(query.type)) ?? 'other';
    this.#requests(`${zone} ${stream ? 'tcp' : 'udp'} ${family} ${type}`)(1);
    this.#responses(`${zone} ${codeName(reply[3]! & 15)}`)(1);
    this.#durations(zone)(seconds);
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
