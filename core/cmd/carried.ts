import { type Log, systemExec, systemFiles } from '#base';
import type { NetworkBackend } from '#net/backend';
import { NodeContributions } from '../host/carried/contributions.ts';
import { CarriedNetworks } from '../host/carried/networks.ts';
import { CarriedRuntimes, podNetnsCheck } from '../host/carried/runtimes.ts';
import { CarriedVolumes } from '../host/carried/volumes.ts';
import { liveDriverVolumes } from '../kubelet/volumes/driver-volumes.ts';
import { type Config, type Home, podRangesOf } from './home.ts';
import { PluginLinks } from './plugin-links.ts';

/** What installed plugins contribute to this node, and what the node makes of it. */
export interface Carried {
  readonly contributions: NodeContributions;
  readonly links: PluginLinks;
  readonly backends: CarriedNetworks;
  readonly volumes: CarriedVolumes;
  /** Filled in by their host once it runs. */
  readonly host: { metricsText?: () => string };
  readonly runtimes: CarriedRuntimes;
}
/** `own`: the platform's network backends. */
export function createCarried(home: Home, config: Config, log: Log, own: readonly NetworkBackend[] = []): Carried {
  const contributions = new NodeContributions();
  const links = new PluginLinks(home, config);
  const applierOf = (plugin: string, backend: string) => links.applierOf(plugin, backend);
  const backends = new CarriedNetworks({ contributions, own, podRanges: podRangesOf(config), applierOf, log });
  const volumes = new CarriedVolumes({
    contributions,
    files: systemFiles,
    exec: systemExec,
    log,
    isRoot: process.getuid?.() === 0,
    pid: process.pid,
    live: () => liveDriverVolumes(home.path('node', 'kubelet', 'pods'), systemFiles),
  });
  const runtimes = new CarriedRuntimes({
    contributions,
    own: [config.runtime],
    isPodNetns: podNetnsCheck(systemFiles),
  });
  return { contributions, links, backends, volumes, runtimes, host: {} };
}
