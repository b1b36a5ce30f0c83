/** Makes virtual addresses reach backends. `apply` takes the whole wanted set; its cost follows what changed. */
export interface Backend {
  readonly ip: string;
  readonly port: number;
  /** On this host. */
  readonly local: boolean;
}
/** One port of one service in one address family: every address in it is of the family of `virtual.ip`. */
export interface Route {
  /** Stable, such as `default/web:http`. */
  readonly id: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly virtual: { readonly ip: string; readonly port: number };
  /** Answered on addresses of this host. */
  readonly nodePort?: number;
  /** Further addresses at the port of `virtual`: those of load balancers and external ones. */
  readonly external?: readonly ExternalAddress[];
  /** What the virtual address leads to. Empty: connections are refused, or dropped if `hasOthers`. */
  readonly backends: readonly Backend[];
  /** What the node port and the external addresses lead to; absent: `backends`. */
  readonly externalBackends?: readonly Backend[];
  /** Who comes from neither a pod nor this host is led to these alone, and they see the client's own address. Absent: `externalBackends`, and the client is hidden. */
  readonly externalLocal?: readonly Backend[];
  /** Backends exist that a policy keeps from this host: what finds none is dropped, so that clients try elsewhere. */
  readonly hasOthers?: boolean;
  /** Backends that get no new connections, and keep those that they have. */
  readonly retained?: readonly Backend[];
  /** Session affinity by client address: it ends this long after the client's last new connection. */
  readonly affinityTtlMs?: number;
}
export interface ExternalAddress {
  readonly ip: string;
  /** Ranges (CIDR) of those who may come; others are dropped. Absent: everybody may. */
  readonly sources?: readonly string[];
}
export interface RouteTable {
  readonly routes: readonly Route[];
  /** Pod addresses of the cluster (CIDR), of both families: traffic from elsewhere to a virtual address is masqueraded. */
  readonly podRanges: readonly string[];
}
export interface ServiceProxy extends AsyncDisposable {
  readonly name: string;
  /** Atomic: either the whole table is in force or the former one still is. Resolves to ids that could not be served, or not on every address, with the reason. */
  apply(table: RouteTable): Promise<{ readonly refused: readonly { readonly id: string; readonly reason: string }[] }>;
  /** Disposal leaves rules in force (a restart drops nothing); this removes them. */
  purge(): Promise<void>;
}
