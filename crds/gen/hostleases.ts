// Made by crds/gen/generate.ts from crds/net.pintle.dev/hostleases.yaml.
import type { ObjectMeta } from '#api';

/** The pod addresses of one host and how its peers reach them. Its name is the Node's. */
export interface HostLease {
  apiVersion: 'net.pintle.dev/v1';
  kind: 'HostLease';
  metadata: ObjectMeta;
  /** The controllers give the subnets and the relay, the host itself the rest. */
  spec: HostLeaseSpec;
  /** How the host is, as it says itself. */
  status?: HostLeaseStatus;
}

/** The controllers give the subnets and the relay, the host itself the rest. */
export interface HostLeaseSpec {
  /** CIDRs, one for each family. They never change. */
  subnets: string[];
  /** Its address on the network between the hosts, without a port. */
  endpoint?: string;
  /** By which its peers are reached. It accepts what comes by those of `offers` too. */
  backend?: string;
  /** The backend's own facts for its peers, such as a public key and a port. Nothing secret. */
  data?: Record<string, string>;
  /** Of its pods. */
  mtuBytes?: number;
  /** A host that carries its traffic with those that it cannot reach. */
  relayVia?: string;
  /** Further backends that are ready on it, while the cluster moves from one to another. */
  offers?: HostLeaseSpecOffersItem[];
}

export interface HostLeaseSpecOffersItem {
  /** By which its peers are reached. It accepts what comes by those of `offers` too. */
  backend: string;
  endpoint: string;
  /** The backend's own facts for its peers, such as a public key and a port. Nothing secret. */
  data?: Record<string, string>;
  /** Of its pods. */
  mtuBytes?: number;
}

/** How the host is, as it says itself. */
export interface HostLeaseStatus {
  observedGeneration?: number;
  /** What serves the backend on it and why, such as `wireguard-go, the kernel has no wireguard`. */
  implementation?: string;
  /** Backends whose peers are in force on it. */
  applied?: HostLeaseStatusAppliedItem[];
  /** Which secret for pre-shared keys it holds; it tells nothing about the secret. */
  secretMark?: string;
  /** Of its keys. */
  rotation?: HostLeaseStatusRotation;
  /** Counts of its peers. The first 64 that cannot be reached are named. */
  peers?: HostLeaseStatusPeers;
  /** Peers that it hears from another address than they give. The first 64. */
  seen?: HostLeaseStatusSeenItem[];
  /** Peers that it could not serve. The first 64. */
  rejected?: HostLeaseStatusRejectedItem[];
  conditions?: HostLeaseStatusConditionsItem[];
}

export interface HostLeaseStatusAppliedItem {
  backend: string;
  /** A sum over the peers that were looked at and their facts, to be compared. */
  peersMark: string;
  /** False receives only. */
  sends: boolean;
  /** Hosts that it cannot reach by this backend although it does by the one that sends. */
  refused?: string[];
}

/** Of its keys. */
export interface HostLeaseStatusRotation {
  lastTime?: string;
  /** The value of the annotation net.pintle.dev/rotate that it has answered. */
  request?: string;
  phase?: 'Idle' | 'Announced';
}

/** Counts of its peers. The first 64 that cannot be reached are named. */
export interface HostLeaseStatusPeers {
  wanted: number;
  reachable: number;
  unreachable?: string[];
}

export interface HostLeaseStatusSeenItem {
  node: string;
  endpoint: string;
}

export interface HostLeaseStatusRejectedItem {
  node: string;
  reason: string;
}

export interface HostLeaseStatusConditionsItem {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
}
