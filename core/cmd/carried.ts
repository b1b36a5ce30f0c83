import { type Log, systemExec } from '#base';
import type { NetworkBackend } from '#net/backend';
import { createWorkApplier, type WorkApplier } from '../../net/wanted/device.ts';
import { NodeContributions } from '../host/carried/contributions.ts';
import { CarriedNetworks } from '../host/carried/networks.ts';
import type { Config } from './home.ts';

/** What installed plugins contribute to this node, and what the node makes of it. */
export interface Carried {
  readonly contributions: NodeContributions;
  readonly backends: CarriedNetworks;
}
/** `own`: the platform's network backends. */
export function createCarried(config: Config, log: Log, own: readonly NetworkBackend[] = []): Carried {
  const contributions = new NodeContributions();
  const appliers = new Map<string, WorkApplier>();
  const applierOf = (plugin: string, backend: string): WorkApplier => {
    const id = `${config.clusterId}/${config.nodeName}/${plugin}/${backend}`;
    const applier = appliers.get(id) ?? createWorkApplier({ owner: { id }, exec: systemExec });
    appliers.set(id, applier);
    return applier;
  };
  const backends = new CarriedNetworks({ contributions, own, podRanges: [config.podCidr], applierOf, log });
  return { contributions, backends };
}
