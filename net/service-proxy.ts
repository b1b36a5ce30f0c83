/** Makes virtual addresses reach backends. `apply` takes the whole wanted set; its cost follows what changed. */
export interface Route {
  /** Stable, such as `default/web:http`. */
  readonly id: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly virtual: { readonly ip: string; readonly port: number };
  readonly nodePort?: number;
  /** The node port reaches local backends only, and these see the client's own address. */
  readonly nodePortLocalOnly?: boolean;
  /** What the node port leads to; absent: `backends`. */
  readonly nodePortBackends?: Route['backends'];
  /** Session affinity by client address. */
  readonly affinityTtlMs?: number;
  /** Ready backends only. Empty: connections are refused. */
  readonly backends: readonly { readonly ip: string; readonly port: number; readonly local: boolean }[];
}
export interface RouteTable {
  readonly routes: readonly Route[];
  /** Pod addresses of the cluster (CIDR): traffic from elsewhere to a virtual address is masqueraded. */
  readonly podRanges: readonly string[];
}
export interface ServiceProxy extends AsyncDisposable {
  readonly name: string;
  /** Atomic: either the whole table is in force or the former one still is. Resolves to ids that could not be served, with the reason. */
  apply(table: RouteTable): Promise<{ readonly refused: readonly { readonly id: string; readonly reason: string }[] }>;
  /** Disposal leaves rules in force (a restart drops nothing); this removes them. */
  purge(): Promise<void>;
}
