/** Gives pods their addresses. Every verb is idempotent. */
export interface PodAttachment {
  /** Addresses of the pod, the first is the primary one. */
  readonly ips: readonly string[];
  readonly gateway?: string;
}
/** A port of the host that leads into a pod. */
export interface HostPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostPort: number;
  readonly podPort: number;
  /** Only on this address of the host; absent: on all. `0.0.0.0` and `::` mean all of their family. */
  readonly hostIp?: string;
}
export interface PodToAttach {
  readonly uid: string;
  readonly netnsPath: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly hostPorts?: readonly HostPort[];
  /** Bits a second. */
  readonly bandwidth?: { readonly ingressBps?: number; readonly egressBps?: number };
}
export interface PodNetwork extends AsyncDisposable {
  readonly name: string;
  /** Makes the host side ready (bridge, forwarding, masquerade); safe to repeat, and mends what somebody else took away. */
  prepare(): Promise<void>;
  attach(pod: PodToAttach): Promise<PodAttachment>;
  /** Also when the namespace is gone already. */
  detach(pod: { uid: string; netnsPath?: string }): Promise<void>;
  /** The largest packet (bytes) for pods that come and pods that are here. Absent: the network decides itself. */
  setMtu?(mtuBytes: number): Promise<void>;
  /** What holds an address now, read from the machine or from the network's own records, so that leaks can be found. */
  attached(): Promise<{ uid: string; ips: readonly string[] }[]>;
  /** Removes everything of this network from the host (bridge, rules, records). */
  purge(): Promise<void>;
}
