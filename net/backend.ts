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
}
export interface LocalHost {
  readonly node: string;
  readonly subnets: readonly string[];
  /** An own address of the underlay, and the largest packet that the way there takes. */
  readonly endpoint: string;
  readonly underlayMtuBytes: number;
}
export interface SyncReport {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Peers that could not be served; the others are. */
  readonly rejected: readonly { readonly node: string; readonly reason: string }[];
}
/** What a backend sees of its peers, for health, relays and rotation. Absent facts are not known to that backend. */
export interface PeerSight {
  readonly node: string;
  /** Where packets of it came from last. */
  readonly seenEndpoint?: string;
  /** Milliseconds since 1970. */
  readonly lastHandshake?: number;
}
export interface NetworkBackend extends AsyncDisposable {
  readonly name: string;
  /** What it adds to each packet over an IPv4 underlay. */
  readonly overheadBytes: number;
  /** Makes the host's side ready (device, key, port); resolves to what the other hosts must know. Safe to repeat. */
  prepare(local: LocalHost): Promise<Pick<Lease, 'endpoint' | 'data'>>;
  /** The whole set of the other hosts. Cost follows what changed. */
  sync(peers: readonly Lease[]): Promise<SyncReport>;
  sights?(): Promise<readonly PeerSight[]>;
  /** Removes everything of it from the host. Disposal leaves it in force: a restart drops nothing. */
  purge(): Promise<void>;
}
