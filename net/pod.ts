/** Gives pods their addresses. Every verb is idempotent. */
export interface PodAttachment {
  /** Addresses of the pod, the first is the primary one. */
  readonly ips: readonly string[];
  readonly gateway?: string;
}
export interface PodNetwork extends AsyncDisposable {
  readonly name: string;
  /** Makes the host side ready (bridge, forwarding, masquerade); safe to repeat. */
  prepare(): Promise<void>;
  attach(pod: { uid: string; netnsPath: string; name?: string; namespace?: string }): Promise<PodAttachment>;
  /** Also when the namespace is gone already. */
  detach(pod: { uid: string; netnsPath?: string }): Promise<void>;
  /** What holds an address now, read from the machine or from the network's own records, so that leaks can be found. */
  attached(): Promise<{ uid: string; ips: readonly string[] }[]>;
  /** Removes everything of this network from the host (bridge, rules, records). */
  purge(): Promise<void>;
}
