import type { Pod } from '#api';
import { accept, refuse, type SchedulerPlugin } from '#sdk';

const hostPorts = (pod: Readonly<Pod>) =>
  [
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.initContainers ?? []).filter((init) => init.restartPolicy === 'Always'),
  ]
    .flatMap((container) => container.ports ?? [])
    .map((port) => ({
      port: port.hostPort ?? (pod.spec?.hostNetwork ? port.containerPort : 0),
      protocol: port.protocol ?? 'TCP',
      ip: port.hostIP || '0.0.0.0',
    }))
    .filter(({ port }) => port > 0);

export const ports: SchedulerPlugin = {
  name: 'NodePorts',
  retryOn: ['node', 'pod-deleted'],
  filter(pod, node) {
    const wanted = hostPorts(pod);
    if (wanted.length === 0) return accept;
    const used = node.pods.flatMap(hostPorts);
    const collides = wanted.some((want) =>
      used.some(
        (use) =>
          use.port === want.port &&
          use.protocol === want.protocol &&
          (use.ip === want.ip || use.ip === '0.0.0.0' || want.ip === '0.0.0.0'),
      ),
    );
    return collides ? refuse("node(s) didn't have free ports for the requested pod ports", true) : accept;
  },
};
