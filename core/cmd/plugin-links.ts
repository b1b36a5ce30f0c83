import { readFileSync } from 'node:fs';
import { systemClock, systemExec } from '#base';
import { writePrivate } from '../../net/backends/private-file.ts';
import { createWorkApplier, type WorkApplier } from '../../net/wanted/device.ts';
import { createWireguardLinks } from '../../net/wanted/wireguard-links.ts';
import type { Config, Home } from './home.ts';

interface Owner {
  readonly plugin: string;
  readonly backend: string;
}
const ownersMax = 1_000;

/** What network backends of plugins have on this host. Whose it is is written down first, so that all of it can be found again. */
export class PluginLinks {
  readonly #appliers = new Map<string, WorkApplier>();
  readonly #path: string;
  constructor(
    private readonly home: Home,
    private readonly config: Pick<Config, 'clusterId' | 'nodeName'>,
  ) {
    this.#path = home.path('node', 'plugin-links', 'owners.json');
  }
  applierOf(plugin: string, backend: string): WorkApplier {
    const id = `${this.config.clusterId}/${this.config.nodeName}/${plugin}/${backend}`;
    const there = this.#appliers.get(id);
    if (there) return there;
    const owners = this.#owners();
    if (!owners.some((one) => one.plugin === plugin && one.backend === backend))
      writePrivate(this.#path, JSON.stringify([...owners, { plugin, backend }].slice(-ownersMax)));
    const folder = this.home.path('node', 'plugin-links');
    const wireguard = createWireguardLinks({ exec: systemExec, clock: systemClock, folder });
    const applier = createWorkApplier({ owner: { id }, exec: systemExec, wireguard });
    this.#appliers.set(id, applier);
    return applier;
  }
  /** Removes what is there of plugins that are not among these. */
  async purge(installed: ReadonlySet<string> = new Set()): Promise<void> {
    const owners = this.#owners();
    const gone = owners.filter(({ plugin }) => !installed.has(plugin));
    if (gone.length === 0) return;
    for (const { plugin, backend } of gone) await this.applierOf(plugin, backend).purge();
    writePrivate(this.#path, JSON.stringify(owners.filter((one) => !gone.includes(one))));
  }
  #owners(): readonly Owner[] {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8')) as Owner[];
    } catch {
      return []; // no plugin has had any
    }
  }
}
