/**
 * What somebody without rights wants of the host's network, as data: a first-party helper checks it and applies it. There is no
 * path, no command and no free text in it: names are labels of a few letters, everything else is a number, an address or a key.
 */
export interface NetworkWork {
  readonly links?: readonly WorkLink[];
  /** Single addresses of this host's subnets, without a length. */
  readonly addresses?: readonly { readonly link: string; readonly address: string }[];
  readonly routes?: readonly WorkRoute[];
  /** Who has that address behind this link. */
  readonly neighbours?: readonly { readonly link: string; readonly ip: string; readonly mac: string }[];
  /** Of a vxlan link: frames for this address go to that host. */
  readonly forwarding?: readonly { readonly link: string; readonly mac: string; readonly to: string }[];
  /** Of a wireguard link. */
  readonly peers?: readonly WorkPeer[];
  /** Forwarded packets from, or to, these pod addresses (CIDR) are dropped. */
  readonly drops?: readonly { readonly direction: 'from' | 'to'; readonly range: string }[];
}
/** Its name is a label of this list: the host's own name for it is the helper's to make. */
export type WorkLink = { readonly name: string; readonly mtuBytes?: number } & (
  | { readonly type: 'vxlan'; readonly vni: number; readonly port: number }
  | { readonly type: 'wireguard'; readonly port: number }
);
export interface WorkRoute {
  /** Within a peer's subnets. */
  readonly to: string;
  /** Absent: by the underlay, and then `via` is the peer's endpoint. */
  readonly link?: string;
  readonly via?: string;
}
export interface WorkPeer {
  readonly link: string;
  readonly publicKey: string;
  /** A peer's endpoint. */
  readonly endpoint: { readonly ip: string; readonly port: number };
  readonly allowed: readonly string[];
  readonly keepaliveSeconds?: number;
}
/** What came of a link: what other hosts have to know of it. Private keys stay with the helper. */
export interface LinkFacts {
  readonly name: string;
  readonly type: WorkLink['type'];
  readonly mac?: string;
  readonly publicKey?: string;
}
/** A part of the list that may not be, such as `routes[3].to`, and why. */
export interface WorkMistake {
  readonly at: string;
  readonly why: string;
}
export const workLimits = {
  links: 4,
  addresses: 16,
  routes: 4_096,
  neighbours: 4_096,
  forwarding: 4_096,
  peers: 4_096,
  drops: 4_096,
} as const satisfies Record<keyof NetworkWork, number>;
