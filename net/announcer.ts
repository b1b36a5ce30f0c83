/**
 * Addresses that this host answers for in the networks that it is in, beside its own: packets for them come to it from
 * then on. What becomes of these is the service proxy's matter.
 */
export interface AddressAnnouncer {
  /**
   * These and no others, canonical and of either family; neighbours are told of those that are new, also on
   * the link of `nodeIp`, by which the host is known. Heals what somebody
   * took away. Throws with the kernel's reason; the next call tries everything again.
   */
  hold(ips: readonly string[], nodeIp: string): Promise<void>;
  /** Nothing of it is left, also of a former life of this process. */
  purge(): Promise<void>;
}
