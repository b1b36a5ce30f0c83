import { canonicalIp, type KubeObject, type Pod, type Protocol } from '#sdk';

/** What policies look at in a pod. */
export interface PodFacts {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Its own addresses; none while it has no network, after its end, and in the host's network. */
  readonly ips: readonly string[];
  /** Runs on this host. */
  readonly isLocal: boolean;
  readonly ports: readonly NamedPort[];
  /** A service's ports that lead to other ones here: packets carry `realPort` when they are looked at. */
  readonly translated?: readonly { readonly protocol: Protocol; readonly port: number; readonly realPort: number }[];
}
export interface NamedPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

const protocols: Readonly<Record<string, Protocol>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };
/** Undefined for what has no ports. */
export const protocolOf = (text: string | undefined): Protocol | undefined => protocols[text ?? 'TCP'];

/** `announced`: addresses that the pod has been given and its status does not show yet. */
export function podFactsOf(pod: Readonly<Pod & KubeObject>, nodeName: string, announced?: readonly string[]): PodFacts {
  const { namespace = '', name = '', labels = {} } = pod.metadata;
  const ended = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
  const shown = pod.status?.podIPs?.map(({ ip }) => ip) ?? (pod.status?.podIP ? [pod.status.podIP] : []);
  const ips = ended || pod.spec?.hostNetwork ? [] : shown.length > 0 ? shown : (announced ?? []);
  const isSidecar = (one: { restartPolicy?: string }) => one.restartPolicy === 'Always';
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? []).filter(isSidecar)];
  return {
    key: `${namespace}/${name}`,
    namespace,
    labels,
    // Elements of sets are compared as text. What is no address was written by a node that is not to be trusted.
    ips: [...new Set(ips.map(canonicalIp).filter((ip) => ip !== undefined))],
    isLocal: pod.spec?.nodeName === nodeName,
    ports: containers.flatMap(({ ports = [] }) =>
      ports.flatMap(({ name: portName, protocol: text, containerPort }) => {
        const protocol = protocolOf(text);
        return portName && protocol ? [{ name: portName, protocol, port: containerPort }] : [];
      }),
    ),
  };
}
