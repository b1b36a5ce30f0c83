import { systemClock } from '#base';
import { deviceName } from '../../net/backends/names.ts';
import { createWireguardBackend } from '../../net/backends/wireguard.ts';
import { networkBackendContract } from '../contracts/network-backend.ts';
import { skipped } from '../fixtures/skipped.ts';

const wireguard = Bun.which('wg') && Bun.which('wireguard-go');
if (process.getuid?.() !== 0) skipped('net', 'network backends', 'namespaces need root');
else if (!wireguard) skipped('net', 'the backend wireguard', 'wg or wireguard-go is not installed');
else {
  const clusters = new Map<string, string>();
  const device = async (node: string) => `${deviceName('pw', clusters.get(node)!, node)}0`;
  networkBackendContract({
    name: 'wireguard',
    make(host, clusterId) {
      clusters.set(host.local.node, clusterId);
      return createWireguardBackend({
        clusterId,
        node: host.local.node,
        stateFolder: host.folder,
        exec: host.exec,
        clock: systemClock,
      });
    },
    broken: {
      data: (good) => ({ ...good, 'key.1': `${good['key.1']!.slice(0, 40)}===` }),
      reason: /^its public key of generation 1 is no WireGuard key$/,
    },
    drifts: [
      {
        what: 'somebody deletes the device',
        argv: async (host) => ['ip', 'link', 'delete', 'dev', await device(host.local.node)],
      },
      {
        what: 'somebody deletes a route',
        argv: async () => ['ip', 'route', 'delete', '10.77.2.0/24'],
      },
      {
        what: 'somebody removes a peer',
        argv: async (host) => {
          const name = await device(host.local.node);
          const peers = (await host.exec.run(['wg', 'show', name, 'peers'])).stdout.trim().split('\n');
          return ['wg', 'set', name, 'peer', peers[0]!, 'remove'];
        },
      },
      {
        what: 'somebody takes the device down',
        argv: async (host) => ['ip', 'link', 'set', 'dev', await device(host.local.node), 'down'],
      },
    ],
  });
}
