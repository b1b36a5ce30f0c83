import { createHash } from 'node:crypto';

/** Numbers that differ between clusters, from the cluster's id. */
const hashOf = (...words: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(words)).digest('hex');
const below = (limit: number, ...words: readonly string[]): number =>
  Number.parseInt(hashOf(...words).slice(0, 12), 16) % limit;

/**
 * 12 characters of the 15 that the kernel takes, and other ones for each cluster and host: wireguard-go's control sockets
 * are named after their devices and lie in one folder for all network namespaces of a machine.
 */
export const deviceName = (prefix: string, clusterId: string, node: string): string =>
  `${prefix}${hashOf('device', clusterId, node).slice(0, 9)}`;
/** Two in a row, below the dynamic ports and the node ports. */
export const wireguardPort = (clusterId: string): number => 21_000 + 2 * below(2_500, 'wireguard', clusterId);
export const vxlanPort = (clusterId: string): number => 26_000 + below(2_500, 'vxlan', clusterId);
/** 24 bits, not 0. */
export const vxlanNetwork = (clusterId: string): number => 1 + below(2 ** 24 - 1, 'network', clusterId);
/** A locally administered address of one host's device. */
export const overlayMac = (clusterId: string, node: string): string =>
  `0a:${hashOf('mac', clusterId, node).slice(0, 10).match(/../g)!.join(':')}`;
/**
 * Routes of a backend are known by this metric. Routes of two backends to one subnet stand side by side while a cluster
 * migrates, and the smaller metric wins.
 */
export const routeMetric = (backend: 'wireguard' | 'vxlan' | 'host-gw', clusterId: string): number =>
  ({ wireguard: 2_000, vxlan: 3_000, 'host-gw': 4_000 })[backend] + below(1_000, 'metric', clusterId);
