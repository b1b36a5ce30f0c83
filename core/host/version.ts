import { join } from 'node:path';
import type { Clock, Files, Log, spawnDuplex } from '#base';
import type { Client, Fetch } from '#client';
import type { Bundle } from './bundle.ts';
import type { ContainerEngine } from './container.ts';
import { type Gateway, openGateway } from './gateway.ts';
import { PluginInstance } from './instance.ts';
import type { PluginSpec } from './kind.ts';
import { type Launched, launchPlugin, type Places, socketName } from './launch.ts';
import type { MachineProbe } from './levels.ts';
import type { Isolation } from './manifest.ts';
import { exposition } from './plugin-metrics.ts';
import { accountTokens } from './provision.ts';
import type { Turns } from './turns.ts';

export interface VersionHost {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly files: Files;
  readonly spawn: typeof spawnDuplex;
  readonly fetch: Fetch;
  readonly baseUrl: string;
  readonly folder: string;
  readonly runFolder: string;
  readonly clusterId: string;
  /** Where the states of plugins are; default: beside their bundles. */
  readonly stateFolder?: string;
  /** Of a host that runs plugins of one node: what they do as their account ends with that node. */
  readonly node?: { readonly name: string; readonly uid: string };
  /** For isolation `container`; absent: this host has no engine. */
  readonly containers?: ContainerEngine;
  /** Of starts after a crash. */
  readonly turns?: Turns;
  /** In place of this machine, for tests. */
  readonly machine?: MachineProbe;
  /** In place of bundles in `folder` and their launch: `plugin dev` runs sources. */
  readonly source?: VersionSource;
}
export interface VersionSource {
  /** Throws StepError. */
  bundle(name: string, digest: string): Promise<Bundle>;
  launch(bundle: Bundle, places: Places): Promise<Launched>;
}
export interface VersionOptions {
  readonly bundle: Bundle;
  readonly spec: PluginSpec;
  readonly isolation: Isolation;
  /** Of what it is started from. */
  readonly fingerprint: string;
  /** Two versions of a plugin may run for a while: each has a place of its own. */
  readonly slot: Slot;
  /** Beside another one that acts. */
  readonly standby: boolean;
  readonly onChange: () => void;
}
export type Slot = 0 | 1;

/** One version of a plugin that runs: its process, and its way to the API. */
export interface Version extends AsyncDisposable {
  readonly bundle: Bundle;
  /** Of the object that asked for it, or for what it runs in place of. */
  fingerprint: string;
  readonly spec: PluginSpec;
  readonly approvedNeeds: Readonly<Record<string, readonly string[]>>;
  readonly slot: Slot;
  readonly isolation: Isolation;
  readonly places: Places;
  readonly instance: PluginInstance;
  readonly gateway: Gateway;
  readonly beganMs: number;
  /** It has been ready for the health window. */
  healthy: boolean;
}

export async function openVersion(host: VersionHost, options: VersionOptions): Promise<Version> {
  const { bundle, fingerprint, slot, standby } = options;
  const { name, version } = bundle.manifest;
  const places = placesOf(host, name, slot);
  await host.files.mkdir(places.api, { recursive: true, mode: 0o700 });
  const gateway = await openGateway({
    path: join(places.api, socketName),
    fetch: host.fetch,
    baseUrl: host.baseUrl,
    token: accountTokens(host.client, name, host.clock, host.node),
    userAgent: `plugin-${name}/${version}`,
    epoch: standby ? 'standby' : 'active',
    clock: host.clock,
  });
  const instance = new PluginInstance({
    bundle,
    config: options.spec.config ?? {},
    launch: (signal) =>
      host.source
        ? host.source.launch(bundle, places)
        : launchPlugin(bundle, options.isolation, places, { ...host, slot, signal }),
    clock: host.clock,
    log: host.log.with({ plugin: name }),
    onChange: options.onChange,
    turns: host.turns,
    standby,
    nodeName: host.node?.name,
  });
  return {
    bundle,
    fingerprint,
    spec: options.spec,
    approvedNeeds: options.spec.approvedNeeds ?? {},
    slot,
    isolation: options.isolation,
    places,
    instance,
    gateway,
    beganMs: host.clock.monotonicMs(),
    healthy: false,
    async [Symbol.asyncDispose]() {
      await instance[Symbol.asyncDispose]();
      await gateway[Symbol.asyncDispose]();
    },
  };
}

/** Metrics of those that run. */
export const metricsOf = (entries: Iterable<readonly [string, { readonly running?: Version }]>): string =>
  exposition(
    [...entries].flatMap(([name, { running }]) => {
      if (!running) return [];
      const { metrics, late } = running.instance.state;
      return [{ name, facts: running.bundle.manifest.metrics ?? [], values: metrics, late: late?.total }];
    }),
  );

function placesOf({ folder, runFolder, stateFolder = folder }: VersionHost, name: string, slot: Slot): Places {
  const suffix = slot === 0 ? '' : `-${slot}`;
  return {
    state: join(stateFolder, name, 'state'),
    api: join(runFolder, name, `api${suffix}`),
    root: join(runFolder, name, `root${suffix}`),
  };
}
