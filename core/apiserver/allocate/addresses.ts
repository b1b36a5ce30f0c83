import type { IPAddress, ServiceCIDR, ServiceSpec } from '#api';
import type { Random } from '#base';
import type { EventSink, ResourceCache } from '../resource-cache.ts';
import { isOf, type ServiceName } from './ip-address.ts';
import { addressNumber, addressText, canonical, type Family, familyOf, holds, type Range, rangeOf } from './range.ts';

export interface AddressSources {
  readonly services: ResourceCache;
  readonly ipAddresses: ResourceCache;
  readonly serviceCidrs: ResourceCache;
  readonly random: Random;
  /** Of the cluster, the default one first. Ranges of others are nobody's. */
  readonly families: readonly Family[];
}

/** The addresses of a spec, in canonical form. */
export const addressesOf = (spec: Readonly<ServiceSpec> | undefined): string[] =>
  (spec?.clusterIPs ?? []).filter((ip) => ip !== '' && ip !== 'None').map(canonical);
const specOf = (object: unknown): Readonly<ServiceSpec> | undefined =>
  (object as { spec?: Readonly<ServiceSpec> } | undefined)?.spec;

/**
 * Which virtual addresses may be given to services, and which are taken: those that a service has, those of an IPAddress
 * (whoever made it), and those that a request is about to use. Synchronous: between the look and the taking there is no other turn.
 */
export class ServiceAddresses {
  /** Of services: how many have it. More than one is a mistake of former days. */
  readonly #held = new Map<string, number>();
  readonly #reserved = new Set<string>();
  #ranges: readonly Range[] | undefined;

  constructor(private readonly from: AddressSources) {
    this.#countAll();
    from.services.sinks.add(this.#servicesSink());
    const forget = () => {
      this.#ranges = undefined;
    };
    from.serviceCidrs.sinks.add({ onEvent: forget, onBookmark() {}, onLost: forget });
  }
  get services(): ResourceCache {
    return this.from.services;
  }
  get families(): readonly Family[] {
    return this.from.families;
  }

  isInRange(ip: string): boolean {
    const value = addressNumber(ip);
    return value !== undefined && this.#rangesOf(familyOf(ip)).some((range) => holds(range, value));
  }
  /** A service has it. */
  isHeld(ip: string): boolean {
    return this.#held.has(ip);
  }
  /** Each address that a service has, and no other, has an IPAddress: told without reading a single object. */
  get isTidy(): boolean {
    const { ipAddresses } = this.from;
    return (
      ipAddresses.size === this.#held.size && this.#held.keys().every((ip) => ipAddresses.get('', ip) !== undefined)
    );
  }
  /** `by` may take what a creation of the same name left behind when its server died. */
  isTaken(ip: string, by?: ServiceName): boolean {
    if (this.#held.has(ip) || this.#reserved.has(ip)) return true;
    const object = this.from.ipAddresses.get('', ip)?.object as Readonly<IPAddress> | undefined;
    return object !== undefined && !(by && isOf(object, by));
  }
  /** Undefined: it is the caller's until he gives it back. Otherwise why not. */
  reserve(ip: string, by: ServiceName): string | undefined {
    if (!this.isInRange(ip)) return 'the provided network does not match the current range';
    if (this.isTaken(canonical(ip), by)) return 'provided IP is already allocated';
    this.#reserved.add(canonical(ip));
    return undefined;
  }
  /** A free one from a random place on, of the lower part of a range only when the rest is full. Undefined: none is left. */
  reserveAny(family: Family): string | undefined {
    for (const { first, last, dynamicFrom } of this.#rangesOf(family)) {
      const ip = this.#anyOf(family, dynamicFrom, last) ?? this.#anyOf(family, first, dynamicFrom - 1n);
      if (ip !== undefined) return ip;
    }
    return undefined;
  }
  /** The network's own address, which nobody gets: what a dry run shows. */
  sample(family: Family): string {
    const range = this.#rangesOf(family)[0];
    return range ? addressText(range.first - 1n, family) : '';
  }
  unreserve(ip: string): void {
    this.#reserved.delete(canonical(ip));
  }

  #anyOf(family: Family, first: bigint, last: bigint): string | undefined {
    const size = last - first + 1n;
    if (size <= 0n) return undefined;
    const start = this.#randomBelow(size);
    for (let step = 0n; step < size; step++) {
      const ip = addressText(first + ((start + step) % size), family);
      if (this.isTaken(ip)) continue;
      this.#reserved.add(ip);
      return ip;
    }
    return undefined;
  }
  /** A number of 53 bits is enough for half of a range of 2^64: the search goes on from there. */
  #randomBelow(size: bigint): bigint {
    const limit = size > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : size;
    return BigInt(Math.floor(this.from.random.next() * Number(limit)));
  }
  #rangesOf(family: Family): Range[] {
    this.#ranges ??= this.from.serviceCidrs
      .all()
      .flatMap(({ object }) => usableRanges(object as unknown as ServiceCIDR));
    return this.#ranges.filter((range) => range.family === family && this.from.families.includes(family));
  }
  #count(addresses: readonly string[], by: 1 | -1): void {
    for (const ip of addresses) {
      const count = (this.#held.get(ip) ?? 0) + by;
      if (count > 0) this.#held.set(ip, count);
      else this.#held.delete(ip);
    }
  }
  #servicesSink(): EventSink {
    return {
      onEvent: (event) => {
        if (event.previous) this.#count(addressesOf(specOf(event.previous.object)), -1);
        if (event.type !== 'DELETED') this.#count(addressesOf(specOf(event.object.object)), 1);
      },
      onBookmark() {},
      onLost: () => this.#countAll(),
    };
  }
  #countAll(): void {
    this.#held.clear();
    for (const service of this.from.services.all()) this.#count(addressesOf(specOf(service.object)), 1);
  }
}

/** Those of an object that is Ready (or of which nobody said yet) and not going. */
function usableRanges({ metadata, spec, status }: Readonly<ServiceCIDR>): Range[] {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (metadata.deletionTimestamp || (ready && ready.status !== 'True')) return [];
  return (spec?.cidrs ?? []).flatMap((cidr) => {
    try {
      return [rangeOf(cidr)];
    } catch {
      return []; // of a size that gives no addresses
    }
  });
}
