import { errors, nodeKind, type Pod, podKind } from '#api';
import type { Reader, RequestInfo } from '../contract.ts';
import { checkedAddress, hostPort } from './address.ts';

/** What the handlers are composed with. */
export interface StreamingOptions {
  /** A JWT for one operation at one node's kubelet, living for at most 60 s. */
  signKubeletToken(nodeName: string, claim: KubeletTokenClaim): Promise<string>;
  /** PEM: what kubelets' certificates are checked against. */
  readonly kubeletCa: string;
  /** CIDRs that are connected to although they are loopback: what this cluster gives its pods and services, and in them only the addresses of live ones. Default none. */
  readonly allowedRanges?: readonly string[];
  /** The same for the streaming endpoints of kubelets, whose certificate is checked. Default none. */
  readonly kubeletRanges?: readonly string[];
  /** Where a node is reached that is not by its own address. */
  readonly tunnels?: { hostOf(nodeName: string): string | undefined };
}
export interface KubeletTokenClaim {
  readonly op: 'logs' | 'exec' | 'attach' | 'portForward' | 'stats';
  readonly namespace: string;
  readonly pod: string;
  readonly container?: string;
}
/** One operation at one kubelet. */
export interface KubeletTarget {
  readonly node: string;
  /** `10.0.0.1:10250`. */
  readonly host: string;
  readonly token: string;
}

export function findPod(reader: Reader, info: RequestInfo): Readonly<Pod> {
  const pod = reader.get(podKind, info.namespace, info.name);
  if (!pod) throw errors.notFound('pods', info.name);
  return pod;
}

/** The container that is meant: named and there, or the only one. Throws 400 with the sentences that clients know. */
export function chooseContainer(pod: Readonly<Pod>, wanted: string | null): string {
  const name = pod.metadata?.name ?? '';
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const names = [...initContainers, ...containers, ...ephemeralContainers].map((container) => container.name);
  if (wanted) {
    if (!names.includes(wanted)) throw errors.badRequest(`container ${wanted} is not valid for pod ${name}`);
    return wanted;
  }
  if (containers.length === 1 && containers[0]?.name) return containers[0].name;
  const choice = containers.length > 0 ? `, choose one of: [${names.join(' ')}]` : '';
  throw errors.badRequest(`a container name must be specified for pod ${name}${choice}`);
}

/** Where the kubelet of a node listens. */
export function kubeletAddress(reader: Reader, nodeName: string, allowedRanges: readonly string[]): string {
  const node = reader.get(nodeKind, '', nodeName);
  if (!node) throw errors.notFound('nodes', nodeName);
  const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port;
  if (!address || !port) throw errors.unavailable(`node "${nodeName}" has not said yet where its kubelet listens`);
  return hostPort(checkedAddress(address, allowedRanges), port);
}

export async function kubeletTarget(
  reader: Reader,
  node: string,
  claim: KubeletTokenClaim,
  options: StreamingOptions,
): Promise<KubeletTarget> {
  const host = options.tunnels?.hostOf(node) ?? kubeletAddress(reader, node, options.kubeletRanges ?? []);
  return { node, host, token: await options.signKubeletToken(node, claim) };
}
