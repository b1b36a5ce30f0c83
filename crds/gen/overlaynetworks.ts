// Made by crds/gen/generate.ts from crds/net.pintle.dev/overlaynetworks.yaml.
import type { ObjectMeta } from '#api';

/** How pods of different hosts reach each other. There is one, named `cluster`. */
export interface OverlayNetwork {
  apiVersion: 'net.pintle.dev/v1';
  kind: 'OverlayNetwork';
  metadata: ObjectMeta;
  spec: OverlayNetworkSpec;
  /** Where the cluster stands. */
  status?: OverlayNetworkStatus;
}

export interface OverlayNetworkSpec {
  /** The cluster's pod addresses, one CIDR for each family. They never change. */
  ranges: string[];
  /**
   * By which the hosts reach each other. A change moves the running cluster host by host.
   * Default: "wireguard"
   */
  backend?: string;
  /**
   * Of a host's IPv4 subnet; hosts that have one keep it.
   * Default: 24
   */
  ipv4PrefixBits?: number;
  /**
   * Of a host's IPv6 subnet; hosts that have one keep it.
   * Default: 64
   */
  ipv6PrefixBits?: number;
  /**
   * Age at which a host changes its keys. With 0 it does so on demand only.
   * Default: 24
   */
  rotationHours?: number;
  /**
   * For so long the subnet of a host whose Node is gone is kept for its return.
   * Default: 300
   */
  returnGraceSeconds?: number;
  /**
   * True adds a key known to both ends of each pair, made from the Secret kube-system/overlay-preshared-key.
   * Default: false
   */
  presharedKeys?: boolean;
}

/** Where the cluster stands. */
export interface OverlayNetworkStatus {
  observedGeneration?: number;
  /** In force. */
  backend?: string;
  /**
   * In Preparing every host makes the next backend ready, in Switching each sends by it, in Removing the
   * former goes.
   */
  phase?: 'Settled' | 'Preparing' | 'Switching' | 'Removing';
  /** The backend that the cluster moves to. */
  next?: string;
  /** The backend that it comes from, until that is removed everywhere. */
  previous?: string;
  /** Hosts without which the phase does not end. The first 20. */
  waitingFor?: string[];
  hosts?: OverlayNetworkStatusHosts;
  /** Hosts that could still get a subnet, of the range that has the fewest. */
  freeSubnets?: number;
  conditions?: OverlayNetworkStatusConditionsItem[];
}

export interface OverlayNetworkStatusHosts {
  total: number;
  ready: number;
}

export interface OverlayNetworkStatusConditionsItem {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
}
