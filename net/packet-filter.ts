/**
 * Which packets may pass to and from guarded addresses of this host, as data. No Kubernetes words. Allow lists alone: a
 * guarded address passes what one of its chains accepts, and nothing else.
 */
export type Family = 4 | 6;
export type Protocol = 'tcp' | 'udp' | 'sctp';
export type Direction = 'in' | 'out';
export type SetType =
  | 'address'
  /** An address, a protocol and a port. */
  | 'endpoint';

export type FilterMatch =
  | { readonly type: 'member'; readonly side: 'saddr' | 'daddr'; readonly family: Family; readonly set: string }
  | {
      readonly type: 'block';
      readonly side: 'saddr' | 'daddr';
      readonly family: Family;
      readonly cidr: string;
      readonly except: readonly string[];
    }
  /** No ranges: every port of that protocol. */
  | { readonly type: 'ports'; readonly protocol: Protocol; readonly ranges: readonly PortRange[] }
  /** Destination and port together. */
  | { readonly type: 'endpoint'; readonly family: Family; readonly set: string };
export type PortRange = readonly [first: number, last: number];
/** All hold: the packet is accepted. */
export type AllowRule = readonly FilterMatch[];

/** `allow`: one list of rules. `guard`: what several of them together leave over is dropped. */
export type FilterChain =
  | { readonly type: 'allow'; readonly rules: readonly AllowRule[] }
  | { readonly type: 'guard'; readonly allow: readonly string[] };

export interface ElementChange {
  readonly removed: readonly string[];
  readonly added: readonly string[];
}
/** Elements of maps are `address : goto chain`; those of sets the key alone. */
export interface FilterChange {
  readonly setsAdded: ReadonlyMap<string, SetKind>;
  readonly setsRemoved: readonly string[];
  /** New or with new rules. */
  readonly chains: ReadonlyMap<string, FilterChain>;
  readonly chainsRemoved: readonly string[];
  readonly elements: ReadonlyMap<string, ElementChange>;
}
export interface SetKind {
  readonly type: SetType;
  readonly family: Family;
}

/** Sets and maps that every table has; for IPv4, and with 6 for IPv6. */
export const standingNames = {
  /** Addresses of this host's pods that somebody has decided about. */
  known: (family: Family) => `known${family}`,
  /** `address . address`: what always reaches itself. */
  self: (family: Family) => `self${family}`,
  /** Ranges that are dropped on their way to any pod. */
  flooded: (family: Family) => `flooded${family}`,
  guarded: (direction: Direction, family: Family) => `${direction}${family}`,
} as const;

/** Bridges copy these to every pod, and a packet does not tell to which: they stay off while any pod is guarded. */
export const floodedRanges: Readonly<Record<Family, readonly string[]>> = {
  4: ['224.0.0.0/4', '255.255.255.255/32'],
  6: ['ff00::/8'],
};

export interface FilterShape {
  readonly tableName: string;
  /** Of this host's pods: an address in here that nobody has decided about passes nothing (CIDR). May become known late. */
  localRanges(): readonly string[];
  /** Links of this host that lead to its pods alone: what comes from there under an address of nobody passes nothing. */
  readonly podLinks?: readonly string[];
}
export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4);

/** Where the wanted rules come from: whole once, then what changed since it was asked last. */
export interface FilterSource {
  whole(): FilterChange;
  changed(): FilterChange;
}
export interface PacketFilter extends AsyncDisposable {
  /** Resolves when all that the source wanted at the time of the call is in force. Cost follows what changed. */
  apply(source: FilterSource): Promise<void>;
  /** False: somebody took the rules away, or they were never written; the next apply writes all of them. */
  check(): Promise<boolean>;
  /** Why some packets pass by the filter on this host, with what to do about it; undefined: none does. */
  weakness(): Promise<string | undefined>;
  /** Removes every rule. Disposal leaves them in force: a restart opens nothing. */
  purge(): Promise<void>;
}
