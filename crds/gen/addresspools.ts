// Made by crds/gen/generate.ts from crds/net.pintle.dev/addresspools.yaml.
import type { ObjectMeta } from '#api';

/** Addresses for services of type LoadBalancer. */
export interface AddressPool {
  apiVersion: 'net.pintle.dev/v1';
  kind: 'AddressPool';
  metadata: ObjectMeta;
  spec: AddressPoolSpec;
  status?: AddressPoolStatus;
}

export interface AddressPoolSpec {
  /**
   * Each a range with a prefix (`192.0.2.0/28`, every address of it), a range from one to another
   * (`192.0.2.10-192.0.2.20`), or one address. Of either family.
   */
  addresses: string[];
  /**
   * False gives addresses only to services that name the pool or the address.
   * Default: true
   */
  autoAssign?: boolean;
  /**
   * The hosts answer for its addresses in the network that they are in (ARP and neighbour discovery), each
   * address by one host at a time. False where a router sends them to the hosts anyway.
   * Default: true
   */
  announce?: boolean;
}

export interface AddressPoolStatus {
  /** Addresses that services have. */
  assigned?: number;
  /** How many are left, a number as text since ranges of IPv6 have more than an integer holds. */
  free?: string;
}
