import { systemClock, systemExec } from '#base';
import { createHostGatewayBackend } from '../../net/backends/host-gw.ts';
import { deviceName } from '../../net/backends/names.ts';
import { createVxlanBackend } from '../../net/backends/vxlan.ts';
import { createWireguardBackend } from '../../net/backends/wireguard.ts';
import { networkBackendContract } from '../contracts/network-backend.ts';
import type { OverlayHost } from '../fixtures/overlay-hosts.ts';
import { skipped } from '../fixtures/skipped.ts';

/** By host: the cluster it is in, so that a test knows the names of its devices. */
const clusters = new Map<OverlayHost, string>();
const options = (host: OverlayHost, clusterId: string) => {
  clusters.set(host, clusterId);
  return { clusterId, node: host.local.node, stateFolder: host.folder, exec: host.exec, clock: systemClock };
};
const deviceOf = (prefix: string, host: OverlayHost) => deviceName(prefix, clusters.get(host)!, host.local.node);
const lostRoute = {
  what: 'somebody deletes a route',
  argv: async () => ['ip', 'route', 'delete', '10.77.2.0/24'],
};

if (process.getuid?.() !== 0) skipped('net', 'network backends', 'namespaces need root');
else {
  const wireguard = (host: OverlayHost) => `${deviceOf('pw', host)}0`;
  if (!Bun.which('wg') || !Bun.which('wireguard-go'))
    skipped('net', 'the backend wireguard', 'wg or wireguard-go is not installed');
  else
    networkBackendContract({
      name: 'wireguard',
      make: (host, clusterId) => createWireguardBackend(options(host, clusterId)),
      broken: {
        data: (good) => ({ ...good, 'key.1': `${good['key.1']!.slice(0, 40)}===` }),
        reason: /^its public key of generation 1 is no WireGuard key$/,
      },
      drifts: [
        lostRoute,
        {
          what: 'somebody deletes the device',
          argv: async (host) => ['ip', 'link', 'delete', 'dev', wireguard(host)],
        },
        {
          what: 'wireguard-go is killed, where it serves',
          async argv(host) {
            const pids = (await systemExec.run(['pgrep', '-f', `^wireguard-go ${wireguard(host)}$`])).stdout.trim();
            return pids ? ['kill', '-9', pids] : ['ip', 'link', 'delete', 'dev', wireguard(host)]; // the kernel's own has none
          },
        },
        {
          what: 'somebody removes a peer',
          async argv(host) {
            const peers = (await host.exec.run(['wg', 'show', wireguard(host), 'peers'])).stdout.trim().split('\n');
            return ['wg', 'set', wireguard(host), 'peer', peers[0]!, 'remove'];
          },
        },
        {
          what: 'somebody takes the device down',
          argv: async (host) => ['ip', 'link', 'set', 'dev', wireguard(host), 'down'],
        },
      ],
    });

  const vxlan = (host: OverlayHost) => deviceOf('px', host);
  networkBackendContract({
    name: 'vxlan',
    make: (host, clusterId) => createVxlanBackend(options(host, clusterId)),
    broken: { data: (good) => ({ ...good, mac: '01:00:5e:00:00:01' }), reason: /hardware address "01:00:5e:00:00:01"/ },
    drifts: [
      lostRoute,
      { what: 'somebody deletes the device', argv: async (host) => ['ip', 'link', 'delete', 'dev', vxlan(host)] },
      {
        what: 'somebody deletes a neighbour',
        argv: async (host) => ['ip', 'neigh', 'delete', '10.77.2.0', 'dev', vxlan(host)],
      },
      {
        what: 'somebody deletes a forwarding entry',
        async argv(host) {
          const shown = await host.exec.run(['bridge', '-j', 'fdb', 'show', 'dev', vxlan(host)]);
          const [entry] = JSON.parse(shown.stdout) as { mac: string; dst: string }[];
          return ['bridge', 'fdb', 'del', entry!.mac, 'dev', vxlan(host), 'dst', entry!.dst, 'self'];
        },
      },
      {
        what: 'somebody takes the device down',
        argv: async (host) => ['ip', 'link', 'set', 'dev', vxlan(host), 'down'],
      },
    ],
  });

  networkBackendContract({
    name: 'host-gw',
    make: (host, clusterId) => createHostGatewayBackend(options(host, clusterId)),
    broken: { data: () => ({ ipv6: '10.0.0.1' }), reason: /^its next hop "10.0.0.1" is no IPv6 address$/ },
    drifts: [lostRoute],
  });
}
