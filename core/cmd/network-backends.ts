import { readFileSync } from 'node:fs';
import { systemClock, systemExec } from '#base';
import type { NetworkBackend } from '#net/backend';
import { createHostGatewayBackend } from '../../net/backends/host-gw.ts';
import { createVxlanBackend } from '../../net/backends/vxlan.ts';
import { createWireguardBackend } from '../../net/backends/wireguard.ts';
import { type Config, type Home, isSeveralHosts } from './home.ts';

/** The platform's own ways between hosts. Nothing of them is on the host until the overlay prepares one. */
export function networkBackends(home: Home, config: Config): NetworkBackend[] {
  if (!isSeveralHosts(config) || config.runtime !== 'docker') return [];
  const common = { clusterId: config.clusterId, node: config.nodeName, exec: systemExec };
  const stateFolder = home.path('node', 'overlay');
  return [
    createWireguardBackend({ ...common, clock: systemClock, stateFolder, secret: () => presharedSecret(home) }),
    createVxlanBackend(common),
    createHostGatewayBackend({ ...common, stateFolder }),
  ];
}

/** The overlay's part keeps it there, readable by its owner alone. */
function presharedSecret(home: Home): string | undefined {
  try {
    return readFileSync(home.path('node', 'plugins', 'overlay', 'preshared-key'), 'utf8') || undefined;
  } catch {
    return undefined;
  }
}
