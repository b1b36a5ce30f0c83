// Network backends of plugins: what they compute is applied by the node, with real packets between three hosts.
import { silentLog, systemClock } from '#base';
import type { NetworkBackend } from '#net/backend';
import type { NetworkContribution } from '#sdk';
import { NodeContributions } from '../../core/host/carried/contributions.ts';
import { CarriedNetworks } from '../../core/host/carried/networks.ts';
import { createWorkApplier } from '../../net/wanted/device.ts';
import { deviceName } from '../../net/wanted/plan.ts';
import { createWireguardLinks } from '../../net/wanted/wireguard-links.ts';
import { networkBackendContract } from '../contracts/network-backend.ts';
import { contribute } from '../fixtures/contributor.ts';
import { networkPlugin, vxlanPlugin, wireguardPlugin } from '../fixtures/network-plugins.ts';
import type { OverlayHost } from '../fixtures/overlay-hosts.ts';
import { skipped } from '../fixtures/skipped.ts';

const ownerOf = (host: OverlayHost) => ({ id: `${host.netns}/${host.local.node}/tunnels` });

/** The node of one host, with the plugin on it: a backend that is there before the plugin has answered. */
function backendOn(host: OverlayHost, network: NetworkContribution): NetworkBackend {
  const contributions = new NodeContributions();
  const { exec, folder } = host;
  const wireguard = createWireguardLinks({ exec, clock: systemClock, folder });
  const applier = createWorkApplier({ owner: ownerOf(host), exec, wireguard });
  const networks = new CarriedNetworks({
    contributions,
    own: [],
    podRanges: ['10.77.0.0/16', 'fd77::/32'],
    applierOf: () => applier,
    log: silentLog,
  });
  const ready = contribute(contributions, networkPlugin(network));
  const backend = ready.then(() => networks.get(network.name)!);
  return {
    name: network.name,
    overheadBytes: network.overheadBytes,
    prepare: async (...given) => (await backend).prepare(...given),
    sync: async (...given) => (await backend).sync(...given),
    purge: async () => (await backend).purge(),
    [Symbol.asyncDispose]: async () => (await backend)[Symbol.asyncDispose](),
  };
}
const lostRoute = { what: 'somebody deletes a route', argv: async () => ['ip', 'route', 'delete', '10.77.2.0/24'] };
const lostDevice = (link: string) => ({
  what: 'somebody deletes the device',
  argv: async (host: OverlayHost) => ['ip', 'link', 'delete', 'dev', deviceName(ownerOf(host), link)],
});

if (process.getuid?.() !== 0) skipped('net', 'network backends of plugins', 'namespaces need root');
else {
  networkBackendContract({
    name: 'tunnels',
    make: (host) => backendOn(host, vxlanPlugin()),
    broken: { data: (good) => ({ ...good, mac: '01:00:5e:00:00:01' }), reason: /hardware address "01:00:5e:00:00:01"/ },
    drifts: [lostRoute, lostDevice('vx')],
  });
  if (!Bun.which('wg') || !Bun.which('wireguard-go'))
    skipped('net', 'a WireGuard backend of a plugin', 'wg or wireguard-go is not installed');
  else
    networkBackendContract({
      name: 'tunnels',
      make: (host) => backendOn(host, wireguardPlugin()),
      broken: { data: (good) => ({ ...good, key: 'none' }), reason: /^its public key is no WireGuard key$/ },
      drifts: [lostRoute, lostDevice('wg')],
    });
}
