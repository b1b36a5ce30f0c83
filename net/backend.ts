/**
 * How pods of one host reach those of the others. No Kubernetes words: a host is a name, subnets and an endpoint. Every verb
 * takes the whole wanted set and is idempotent; what a stopped process left in force stays in force.
 */
export interface Lease {
  readonly node: string;
  /** Pod addresses of that host (CIDR, IPv4 or IPv6), disjoint between hosts. */
  readonly subnets: readonly string[];
  /** An address of the underlay, without a port. */
  readonly endpoint: string;
  readonly backend: string;
  /** Belongs to the backend (a public key, a port, a MAC address); nobody else reads it. */
  readonly data: Readonly<Record<string, string>>;
  /** As this host sees it: another peer of the set through which that one is reached, because there is no direct way. */
  readonly relayVia?: string;
}
export interface LocalHost {
  readonly node: string;
  readonly subnets: readonly string[];
  /** An own address of the underlay, and the largest packet that the way there takes. */
  readonly endpoint: string;
  readonly underlayMtuBytes: number;
}
export interface Prepared {
  readonly endpoint: string;
  /** What the other hosts must know, for `Lease.data`. */
  readonly data: Readonly<Record<string, string>>;
  /** The largest packet of a pod that fits into one of the underlay. */
  readonly podMtuBytes: number;
  /** Which of several ways was chosen and why, one sentence for people. */
  readonly chosen?: string;
}
export interface SyncOptions {
  /**
   * Ready to receive from every peer, but sends nothing: another backend has the routes. For a migration: the new one
   * stands by on all hosts; then host by host the new one is synced active and after that the old one to stand by.
   */
  readonly standby?: boolean;
}
export interface SyncReport {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Peers that could not be served; the others are. */
  readonly rejected: readonly { readonly node: string; readonly reason: string }[];
  /** What the other hosts must know as of now; publish it whenever the host's own lease says something else. */
  readonly data: Lease['data'];
  /** Something is under way (a rotation of keys): sync again after this time, with whatever the peers are then. */
  readonly againAfterMs?: number;
  /** Served peers that hold it up. */
  readonly waiting?: readonly { readonly node: string; readonly reason: string }[];
}
/** What a backend sees of its peers, for health, relays and rotation. Absent facts are not known to that backend. */
export interface PeerSight {
  readonly node: string;
  /** Where packets of it came from last. */
  readonly seenEndpoint?: string;
  /** Milliseconds since 1970. */
  readonly lastHandshake?: number;
  /** What came from it so far, keepalives included; it begins anew with a new device. */
  readonly receivedBytes?: number;
}
export interface NetworkBackend extends AsyncDisposable {
  readonly name: string;
  /** What it adds to each packet over an IPv4 underlay. */
  readonly overheadBytes: number;
  /**
   * Makes the host's side ready (device, key, port). Safe to repeat; a changed endpoint or MTU takes effect. `known`: the
   * leases that exist already, so that a host that joins speaks as they do from the start.
   */
  prepare(local: LocalHost, known?: readonly Lease[]): Promise<Prepared>;
  /**
   * The whole set of the other hosts. Cost follows what changed. A set that is the same as before is compared with the
   * machine, and what somebody took away is mended.
   */
  sync(peers: readonly Lease[], options?: SyncOptions): Promise<SyncReport>;
  sights?(): Promise<readonly PeerSight[]>;
  /**
   * Begins a rotation of keys; resolves to what must be published now. The other hosts follow when they see it, and calls
   * of sync() bring it to its end. Does nothing while one is under way.
   */
  rotate?(): Promise<Lease['data']>;
  /** Removes everything of it from the host. Disposal leaves it in force: a restart drops nothing. */
  purge(): Promise<void>;
}
