import type { Clock } from '#sdk';
import { familyOf } from './address.ts';
import { type ClusterView, type Found, isWithin, lookUp, lookUpAddress, type ZoneOptions } from './cluster-zone.ts';
import type { DnsMetrics } from './dns-metrics.ts';
import { type Encoded, encodeAnswer } from './encode.ts';
import { recordsOf } from './foreign-records.ts';
import type { Forwarder, Turn } from './forwarder.ts';
import { type BadQuery, classIn, codes, parseQuery, plainBytesMax, type Query, types } from './query.ts';
import type { DnsRecord } from './records.ts';
import { replyCode, replyTo, replyUnread } from './reply.ts';
import { addressOfReverse } from './reverse-name.ts';
import { type Settings, upstreamsFor } from './settings.ts';

export interface ResponderOptions {
  readonly view: ClusterView;
  /** Asked anew for each answer: `serial` differs after every change of what the view shows. */
  readonly zone: () => ZoneOptions;
  /** Differs after every change of what the view or the settings say. */
  readonly version: () => number;
  readonly settings: () => Settings;
  readonly forwarder: Forwarder;
  readonly clock: Clock;
  readonly metrics?: DnsMetrics;
}
export interface Asked {
  /** UDP: cut to what the client takes. */
  readonly stream: boolean;
  readonly address: string;
  /** Of whoever asks. */
  readonly turn: Turn;
}
type Reply = Uint8Array | undefined | Promise<Uint8Array | undefined>;
interface Remembered {
  readonly variants: Encoded[];
  next: number;
}
const rememberedMax = 20_000;
const variantsMax = 8;
const tcpBytesMax = 65_535;

/**
 * Answers packets. What the cluster knows is answered at once, from encoded answers that are kept until anything changes;
 * what others know is asked for. Undefined: no reply is due.
 */
export class Responder {
  readonly #remembered = new Map<string, Remembered | 'foreign'>();
  #version = -1;

  constructor(private readonly options: ResponderOptions) {}

  respond(packet: Uint8Array, asked: Asked): Reply {
    const { clock, metrics } = this.options;
    const beganMs = clock.monotonicMs();
    const query = parseQuery(packet);
    const counted = (reply: Uint8Array | undefined) => {
      const { stream, address } = asked;
      const known = 'key' in query ? query : undefined;
      if (reply) metrics?.answered(known, stream, address, reply, (clock.monotonicMs() - beganMs) / 1000);
      return reply;
    };
    const reply = this.#reply(query, asked);
    return reply instanceof Promise ? reply.then(counted) : counted(reply);
  }

  #reply(query: Query | BadQuery, { stream, turn }: Asked): Reply {
    if ('code' in query) return replyUnread(query.id, query.code);
    if (!('key' in query)) return undefined;
    if (query.edns && query.edns.version !== 0) return replyCode(query, codes.badVersion);
    if (query.class !== classIn) return replyCode(query, codes.refused);
    const bytesMax = stream ? tcpBytesMax : (query.edns?.bytesMax ?? plainBytesMax);
    const known = this.#known(query);
    if (known === 'foreign') return this.#foreign(query, bytesMax, turn);
    if ('variants' in known) {
      const { variants } = known;
      return replyTo(query, variants[known.next++ % variants.length]!, bytesMax);
    }
    return this.#alias(query, known, bytesMax, turn);
  }

  #known(query: Query): Remembered | 'foreign' | (Found & { type: 'alias' }) {
    const version = this.options.version();
    if (version !== this.#version) {
      this.#remembered.clear();
      this.#version = version;
    }
    const remembered = this.#remembered.get(query.key);
    if (remembered) return remembered;
    const found = this.#find(query);
    if (found?.type === 'alias') return found;
    const fresh = found ? { variants: rotations(query.key, found), next: 0 } : ('foreign' as const);
    if (this.#remembered.size >= rememberedMax) this.#remembered.clear(); // names that do not exist are without number
    this.#remembered.set(query.key, fresh);
    return fresh;
  }

  #find({ name, type }: Query): Found | undefined {
    const { view, settings } = this.options;
    const zone = this.options.zone();
    if (isWithin(name, zone.domain)) return lookUp(name, type, view, zone);
    const hosts = hostRecords(name, type, settings());
    if (hosts) return hosts;
    const address = addressOfReverse(name);
    if (address !== undefined && type === types.PTR) return lookUpAddress(name, address, view, zone);
    return undefined;
  }

  #foreign(query: Query, bytesMax: number, turn: Turn): Reply {
    if (!query.recursionDesired) return replyCode(query, codes.refused);
    if (query.type === types.ANY || query.type === types.AXFR || query.type === types.IXFR)
      return replyCode(query, query.type === types.ANY ? codes.notImplemented : codes.refused);
    const upstreams = upstreamsFor(query.name, this.options.settings());
    const { key, checkingDisabled } = query;
    const question = { key, checkingDisabled, dnssec: query.edns?.dnssec ?? false };
    const answer = this.options.forwarder.lookUp(question, upstreams, turn);
    if (answer === 'busy') return this.#busy();
    const reply = (known: Encoded | undefined) =>
      known ? replyTo(query, known, bytesMax) : replyCode(query, codes.failure);
    return answer instanceof Promise ? answer.then(reply) : reply(answer);
  }

  /** An external name: the chain, and behind it what others say of its target. */
  async #alias(
    query: Query,
    { chain, target }: Found & { type: 'alias' },
    bytesMax: number,
    turn: Turn,
  ): Promise<Uint8Array | undefined> {
    const answer = { authoritative: true, authority: [], additional: [] };
    const withCode = (code: number, more: readonly DnsRecord[] = []) =>
      replyTo(query, encodeAnswer(query.key, { ...answer, code, answers: [...chain, ...more] }), bytesMax);
    const settings = this.options.settings();
    const hosts = hostRecords(target, query.type, settings);
    if (hosts?.type === 'answer') return withCode(codes.ok, hosts.answer.answers);
    if (!query.recursionDesired) return withCode(codes.ok);
    const question = { key: keyOf(target, query.type), dnssec: false, checkingDisabled: false };
    const foreign = await this.options.forwarder.lookUp(question, upstreamsFor(target, settings), turn);
    if (foreign === 'busy') return this.#busy();
    if (!foreign) return withCode(codes.failure);
    return withCode(foreign.bytes[3]! & 15, recordsOf(foreign));
  }

  /** No reply, as from a full queue: resolvers ask again, and by then there may be room. */
  #busy(): undefined {
    this.options.metrics?.dropped('waiting');
  }
}

/** The same records in every order that clients shall see: many take the first address only. */
function rotations(key: string, found: Found & { type: 'answer' }): Encoded[] {
  const { answer } = found;
  const addresses = answer.answers.filter(({ type }) => type === 'A' || type === 'AAAA');
  const others = answer.answers.filter(({ type }) => type !== 'A' && type !== 'AAAA');
  const count = Math.min(variantsMax, Math.max(1, addresses.length));
  return Array.from({ length: count }, (_unused, by) =>
    encodeAnswer(key, { ...answer, answers: [...others, ...addresses.slice(by), ...addresses.slice(0, by)] }),
  );
}

function hostRecords(name: string, type: number, { hosts, hostNames }: Settings): Found | undefined {
  const ttl = hostsTtlSeconds;
  const reply = (answers: readonly DnsRecord[]): Found => ({
    type: 'answer',
    answer: { code: codes.ok, authoritative: true, answers, authority: [], additional: [] },
  });
  const addresses = hosts.get(name);
  if (addresses) {
    const wanted = addresses.filter((address) => type === (familyOf(address) === 4 ? types.A : types.AAAA));
    return reply(wanted.map((address) => ({ name, ttl, type: familyOf(address) === 4 ? 'A' : 'AAAA', address })));
  }
  const reverse = type === types.PTR ? hostNames.get(addressOfReverse(name) ?? '') : undefined;
  return reverse && reply(reverse.map((target) => ({ name, ttl, type: 'PTR', target })));
}
export const hostsTtlSeconds = 30;

function keyOf(name: string, type: number): string {
  const labels = name.split('.').map((label) => String.fromCharCode(label.length) + label);
  return `${labels.join('')}\0${String.fromCharCode(type >> 8, type & 255)}\0\x01`;
}
