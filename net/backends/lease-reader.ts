import type { Lease, LocalHost } from '../backend.ts';
import {
  canonical,
  judgeLease,
  type Peer,
  parseRange,
  type Range,
  type Rejection,
  withoutOverlaps,
  withRelays,
} from './leases.ts';

export interface ReadLeases<T> {
  readonly peers: readonly Peer<T>[];
  /** Of this reading alone: whoever finds more wrong may add to it. */
  readonly rejected: Rejection[];
  /** The leases are those of the reading before. */
  readonly isSame: boolean;
}

/**
 * Which leases can be served. What is wrong with one is said by its name and harms no other; of two that claim the same
 * addresses the first by name is served. Remembers what it has read: the cost follows what changed.
 */
export class LeaseReader<T extends object> {
  readonly #node: string;
  readonly #own: readonly Range[];
  readonly #backend: string;
  readonly #read: (lease: Lease) => T | string;
  #known = new Map<string, { readonly lease: Lease; readonly outcome: Peer<T> | string }>();
  #last: { readonly peers: readonly Peer<T>[]; readonly rejected: readonly Rejection[] } | undefined;

  /** `read` gives the meaning of a lease's data, or the reason why it has none. */
  constructor(local: LocalHost, backend: string, read: (lease: Lease) => T | string) {
    this.#node = local.node;
    this.#own = local.subnets.flatMap((cidr) => parseRange(cidr) ?? []);
    this.#backend = backend;
    this.#read = read;
  }

  read(leases: readonly Lease[]): ReadLeases<T> {
    const known = new Map<string, { readonly lease: Lease; readonly outcome: Peer<T> | string }>();
    let changed = false;
    for (const lease of leases) {
      if (lease.node === this.#node) continue;
      const before = this.#known.get(lease.node);
      const isSame = before !== undefined && sameLease(before.lease, lease);
      known.set(lease.node, isSame ? before : { lease, outcome: this.#judge(lease) });
      changed ||= !isSame;
    }
    changed ||= known.size !== this.#known.size;
    this.#known = known;
    const isSame = !changed && this.#last !== undefined;
    if (!isSame) this.#last = this.#together();
    const { peers, rejected } = this.#last!;
    return { peers, rejected: [...rejected], isSame };
  }

  #judge(lease: Lease): Peer<T> | string {
    const data = judgeLease(lease, this.#own, this.#backend) ?? this.#read(lease);
    if (typeof data === 'string') return data;
    const subnets = lease.subnets.map(canonical).sort();
    return { lease, data, subnets, ranges: subnets.map((cidr) => parseRange(cidr)!) };
  }
  #together() {
    const rejected: Rejection[] = [];
    const found: Peer<T>[] = [];
    for (const [node, { outcome }] of [...this.#known].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (typeof outcome === 'string') rejected.push({ node, reason: outcome });
      else found.push(outcome);
    return { peers: withRelays(withoutOverlaps(found, rejected), rejected), rejected };
  }
}

function sameLease(a: Lease, b: Lease): boolean {
  if (a === b) return true;
  if (a.endpoint !== b.endpoint || a.backend !== b.backend || a.relayVia !== b.relayVia) return false;
  if (a.subnets.length !== b.subnets.length || a.subnets.some((cidr, place) => cidr !== b.subnets[place])) return false;
  const names = Object.keys(a.data);
  return names.length === Object.keys(b.data).length && names.every((name) => a.data[name] === b.data[name]);
}
