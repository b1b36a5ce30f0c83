import type { Pod } from '#api';
import { accept, refuse, type SchedulerPlugin } from '#sdk';

interface HostPort {
  readonly ip: string;
  readonly port: number;
  readonly protocol: string;
}
const hostPortsOf = (pod: Readonly<Pod>): HostPort[] =>
  [
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.initContainers ?? []).filter((one) => one.restartPolicy === 'Always'),
  ].flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => port.hostPort)
      .map((port) => ({ ip: port.hostIP || '0.0.0.0', port: port.hostPort!, protocol: port.protocol ?? 'TCP' })),
  );
const clash = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0');

/** Two pods of one node cannot have the same host port. */
export const nodePorts: SchedulerPlugin = {
  name: 'NodePorts',
  retryOn: ['node', 'pod-deleted'],
  filter(pod, info) {
    const wanted = hostPortsOf(pod);
    const taken =
      wanted.length > 0 &&
      info.pods.some((other) => hostPortsOf(other).some((port) => wanted.some((one) => clash(one, port))));
    return taken ? refuse("node(s) didn't have free ports for the requested pod ports", true) : accept;
  },
};
