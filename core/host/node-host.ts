import { join } from 'node:path';
import { isReason, nodeKind } from '#api';
import { messageOf } from '#base';
import { type ControllerSpec, specOf } from '#sdk';
import type { NodeContributions } from './carried/contributions.ts';
import { volumesFolder } from './carried/volumes.ts';
import { type PluginObject, type PluginSpec, pluginKind } from './kind.ts';
import { mustGive } from './levels.ts';
import { isNext, isNodeWide, listedNodesMax, type PluginNode, runsOn } from './placement.ts';
import { rollbackOf, wantedOn } from './rollout.ts';
import { StepError } from './status.ts';
import { startsAgainMax, Turns } from './turns.ts';
import { approved, verified } from './verify.ts';
import { metricsOf, openVersion, type Slot, type Version, type VersionHost } from './version.ts';
import { Working } from './working.ts';

export interface NodeHostOptions extends Omit<VersionHost, 'node' | 'stateFolder'> {
  readonly nodeName: string;
  readonly stateFolder: string;
  /** How long a new version must be ready before the one before it makes way; default 5 s. */
  readonly healthMs?: number;
  /** Told of what the plugins here contribute to the node. */
  readonly contributions?: NodeContributions;
}
interface Entry {
  running?: Version;
  /** Of its installation. */
  sinceMs: number;
  draining: Promise<void>;
  failure?: string;
  /** Of what was given up: only a change of the object helps. */
  givenUp?: string;
  /** Digest of a version that was given up beside the running one. */
  gaveUp?: string;
  reached: number;
  written?: string;
  writing: Promise<void>;
}
/** Labels of the node change without a word to the Plugin object. */
const lookEveryMs = 10_000;
const healthMsDefault = 5_000;
const messageLengthMax = 512;
const factsMax = 16;
/** Of a write to a list that others change at the same time. */
const triesMax = 20;

/** Runs the instances of one node, as the node: it reads Plugin objects, writes its own entry of their status, and gets tokens of their accounts. */
export class NodePluginHost implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  readonly #over = new AbortController();
  readonly #working = new Working();
  readonly #turns = new Turns(startsAgainMax);
  constructor(private readonly options: NodeHostOptions) {}

  get controller(): ControllerSpec<never> {
    return specOf<PluginObject>({
      name: 'node-plugin-host',
      watches: pluginKind,
      workersMax: 4,
      reconciler: { reconcile: ({ name }, current) => this.#working.run(() => this.#reconcile(name, current)) },
    });
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    const stopAll = () => Promise.all([...this.#entries.values()].map((entry) => this.#stop(entry)));
    await stopAll();
    await this.#working.settled();
    await stopAll();
  }

  /** Metrics of every plugin that runs here. */
  metricsText(): string {
    return metricsOf(this.#entries);
  }

  async #reconcile(
    name: string,
    plugin: Readonly<PluginObject> | undefined,
  ): Promise<{ requeueAfterMs: number } | void> {
    const entry = this.#entries.get(name) ?? freshEntry();
    this.#entries.set(name, entry);
    entry.sinceMs = Date.parse(plugin?.metadata.creationTimestamp ?? '') || entry.sinceMs;
    const { placement } = plugin?.status ?? {};
    if (!plugin || !placement) return this.#leave(name, plugin, entry);
    const { client, nodeName } = this.options;
    const node = await client.get(nodeKind, { name: nodeName }).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
    if (!node) return { requeueAfterMs: 1_000 };
    const { deletionTimestamp, generation = 1 } = plugin.metadata;
    const isHere = runsOn(placement, plugin.spec?.nodes, { name: nodeName, labels: node.metadata.labels });
    if (deletionTimestamp || !isHere) {
      await this.#leave(name, plugin, entry);
      return deletionTimestamp ? undefined : { requeueAfterMs: lookEveryMs };
    }
    if (plugin.spec?.paused) {
      await this.options.contributions?.detach(name, false);
      await this.#stop(entry);
      entry.reached = generation;
    } else if (isProvisioned(plugin)) await this.#reach(plugin, entry, { name: nodeName, uid: node.metadata.uid! });
    await this.#report(plugin, entry);
    return { requeueAfterMs: lookEveryMs };
  }

  /** What the object asks for runs here, or waits for its turn, or leaves the reason. */
  async #reach(plugin: Readonly<PluginObject>, entry: Entry, node: NonNullable<VersionHost['node']>): Promise<void> {
    const { status, metadata } = plugin;
    const { generation = 1 } = metadata;
    const spec = wantedOn(plugin);
    const fingerprint = fingerprintOf(spec);
    if (entry.running?.fingerprint === fingerprint) {
      if (rollbackOf(plugin)) forget(entry);
      entry.reached = generation;
      return;
    }
    if (entry.givenUp === fingerprint) {
      entry.reached = generation;
      return;
    }
    const mayGo = rollbackOf(plugin) !== undefined || isNext(status?.nodes ?? [], node.name, generation);
    const former = status?.nodes?.find((one) => one.name === node.name);
    if (!mayGo && entry.running) return;
    try {
      // After a restart of this process too, what ran here goes on until its turn.
      const resumed = !mayGo && former?.digest !== undefined && former.digest !== spec.digest;
      if (resumed && (await this.#resume(plugin, entry, node, former.digest))) return;
      await this.#start(plugin.metadata.name!, spec, entry, node, fingerprint);
      forget(entry);
    } catch (error) {
      entry.failure = messageOf(error);
      if (!(error instanceof StepError)) throw error;
      if (error.reason === 'NoBundle')
        entry.failure += '; this host has no copy of the bundle, and hosts cannot fetch bundles from each other yet';
      entry.givenUp = fingerprint;
      entry.gaveUp = error.reason === 'RolledBack' ? spec.digest : undefined;
    }
    entry.reached = generation;
  }
  async #resume(
    { metadata, spec }: Readonly<PluginObject>,
    entry: Entry,
    node: NonNullable<VersionHost['node']>,
    digest: string,
  ): Promise<boolean> {
    const name = metadata.name!;
    const needs = await verified(this.options, name, digest).then(
      ({ manifest }) => manifest.needs, // its role says what it may
      () => undefined,
    );
    if (!needs) return false;
    const was = { ...spec!, digest, approvedNeeds: needs };
    return this.#start(name, was, entry, node, fingerprintOf(was)).then(
      () => true,
      () => false,
    );
  }

  async #start(
    name: string,
    spec: PluginSpec,
    entry: Entry,
    node: NonNullable<VersionHost['node']>,
    fingerprint: string,
  ): Promise<void> {
    const { options } = this;
    const bundle = await verified(options, name, spec.digest);
    if (!isNodeWide(bundle.manifest.placement))
      throw new StepError(
        'Resolved',
        'PlacementChanged',
        'this version runs in the cluster: uninstall the other first',
      );
    const isolation = approved(bundle, spec);
    await mustGive(isolation, options);
    const standby = entry.running?.instance.state.phase === 'Active';
    if (!standby) await this.#stop(entry);
    await entry.draining; // it may hold the slot
    const slot: Slot = standby && entry.running?.slot === 0 ? 1 : 0;
    const onChange = () => {
      this.options.contributions?.changed(name);
      void this.#refresh(name, entry);
    };
    const host = { ...options, turns: this.#turns, node, clusterId: `${options.clusterId}-${node.name}` };
    const next = await openVersion(host, { bundle, spec, isolation, fingerprint, slot, standby, onChange });
    if (this.#over.signal.aborted) return void (await this.#drain(entry, next));
    if (standby) return this.#handOver(entry, next);
    entry.running = next;
    this.#contribute(entry, next);
    await next.instance.start();
  }
  /** What it contributes to the node is asked of this version from now on. */
  #contribute({ sinceMs }: Entry, { bundle, instance, isolation, places }: Version): void {
    const { manifest } = bundle;
    this.options.contributions?.attach({
      plugin: manifest.name,
      sinceMs,
      manifest,
      isolation,
      stateFolder: places.state,
      target: instance,
      get isGivenUp() {
        return instance.state.phase === 'Quarantined';
      },
    });
  }

  /** As in the cluster: looked at beside the old one, which is fenced before the new one acts. Throws StepError when it is given up. */
  async #handOver(entry: Entry, next: Version): Promise<void> {
    const { clock, healthMs = healthMsDefault } = this.options;
    const former = entry.running!;
    try {
      await next.instance.start();
      const { instance, bundle } = next;
      await clock.sleep(instance.state.phase === 'Active' ? healthMs : 0, this.#over.signal);
      if (this.#over.signal.aborted) return;
      if (instance.state.phase !== 'Active') {
        const why = instance.state.message || 'it was not ready';
        const { version } = former.bundle.manifest;
        throw new StepError(
          'Loaded',
          'RolledBack',
          `${bundle.manifest.version} was given up: ${why}; ${version} goes on`,
        );
      }
      await former.gateway.fence();
      next.gateway.promote();
      instance.activate();
      entry.running = next;
      this.#contribute(entry, next);
      this.#drain(entry, former);
    } finally {
      if (entry.running !== next) this.#drain(entry, next);
    }
  }

  #drain(entry: Entry, version: Version): Promise<void> {
    const end = Promise.resolve(version[Symbol.asyncDispose]()).catch((error: unknown) =>
      this.options.log.warn('a version of a plugin did not end well', { error: messageOf(error) }),
    );
    entry.draining = Promise.all([entry.draining, end]).then(() => {});
    return entry.draining;
  }
  async #stop(entry: Entry): Promise<void> {
    const { running } = entry;
    entry.running = undefined;
    forget(entry);
    if (running) this.#drain(entry, running);
    await entry.draining;
  }
  /** Stops it, and takes its entry out of the status. Its state stays unless the plugin itself goes. */
  async #leave(name: string, plugin: Readonly<PluginObject> | undefined, entry: Entry): Promise<void> {
    const { files, runFolder, nodeName } = this.options;
    await this.#stop(entry);
    await this.options.contributions?.detach(name, true);
    this.#entries.delete(name);
    await files.rm(join(runFolder, name), { recursive: true, force: true });
    if (!plugin || plugin.metadata.deletionTimestamp)
      await this.#removeState(name, plugin?.spec?.dataPolicy === 'Delete');
    if (plugin?.status?.nodes?.some((one) => one.name === nodeName)) await this.#say(name, undefined);
  }

  /** What pods have written to volumes of a driver is data, and stays unless it was to be deleted. */
  async #removeState(name: string, withVolumes: boolean): Promise<void> {
    const { files, stateFolder } = this.options;
    const state = join(stateFolder, name, 'state');
    const held = withVolumes ? [] : await files.readdir(join(state, volumesFolder)).catch(() => []);
    if (held.length === 0) return files.rm(join(stateFolder, name), { recursive: true, force: true });
    for (const one of await files.readdir(state))
      if (one !== volumesFolder) await files.rm(join(state, one), { recursive: true, force: true });
  }

  #report(plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const work = entry.writing.then(() => this.#write(plugin, entry));
    entry.writing = work.catch(() => {});
    return work;
  }
  async #write({ metadata, spec, status }: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const { nodeName: name, log } = this.options;
    if (!entry.running && !entry.failure && !spec?.paused) return; // nothing to say yet
    const there = status?.nodes?.find((one) => one.name === name);
    if (!there && (status?.nodes?.length ?? 0) >= listedNodesMax)
      return log.warn('not in the status of a plugin, which lists no more nodes', {
        plugin: metadata.name,
        listedNodesMax,
      });
    const unused = this.options.contributions?.unused(metadata.name!);
    const one = entryOf(name, entry, spec?.paused ?? false, unused);
    const text = JSON.stringify(one);
    if (text === entry.written && there) return;
    await this.#say(metadata.name!, one);
    entry.written = text;
  }
  /** A patch of one element: no other node's word is touched, and theirs do not get in the way. */
  async #say(name: string, one: PluginNode | undefined): Promise<void> {
    const { client, nodeName } = this.options;
    for (let tries = 1; ; tries++) {
      try {
        const { metadata, status } = await client.get(pluginKind, { name });
        const body = entryPatch(nodeName, status?.nodes, one, metadata.resourceVersion);
        if (body.length > 0)
          await client.patch(pluginKind, { name }, { type: 'json', body }, { subresource: 'status' });
        return;
      } catch (error) {
        if (isReason(error, 'NotFound')) return; // uninstalled meanwhile
        const moved = isReason(error, 'Invalid') || isReason(error, 'Conflict');
        if (!moved || tries === triesMax) throw error;
      }
    }
  }
  /** What an instance tells by itself, between reconciles. */
  async #refresh(name: string, entry: Entry): Promise<void> {
    if (this.#over.signal.aborted || this.#entries.get(name) !== entry) return;
    const { client, log } = this.options;
    try {
      await this.#report(await client.get(pluginKind, { name }), entry);
    } catch (error) {
      if (!isReason(error, 'NotFound')) log.warn('status not written', { plugin: name, error: messageOf(error) });
    }
  }
}

/** The cluster's host has made its account for what is asked for now. Pure. */
const isProvisioned = ({ metadata, status }: Readonly<PluginObject>): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata.generation ?? 1) &&
  (status?.conditions?.some((one) => one.type === 'Resolved' && one.status === 'True') ?? false);

const fingerprintOf = ({ digest, config, approvedNeeds, isolation }: PluginSpec): string =>
  JSON.stringify([digest, config, approvedNeeds, isolation]);

/** Puts `one` in the place of the node's entry, or takes that away; each operation tests what it counts on. Pure. */
function entryPatch(
  name: string,
  nodes: readonly PluginNode[] | undefined,
  one: PluginNode | undefined,
  resourceVersion: string | undefined,
): object[] {
  const index = nodes?.findIndex((entry) => entry.name === name) ?? -1;
  const path = `/status/nodes/${index}`;
  if (index >= 0)
    return [
      { op: 'test', path: `${path}/name`, value: name },
      one ? { op: 'replace', path, value: one } : { op: 'remove', path },
    ];
  if (!one) return [];
  if (nodes) return [{ op: 'add', path: '/status/nodes/-', value: one }];
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
    { op: 'add', path: '/status/nodes', value: [one] },
  ];
}

function forget(entry: Entry): void {
  entry.failure = undefined;
  entry.givenUp = undefined;
  entry.gaveUp = undefined;
}

const freshEntry = (): Entry => ({
  sinceMs: 0,
  draining: Promise.resolve(),
  reached: 0,
  writing: Promise.resolve(),
});
/** Pure. */
function entryOf(
  name: string,
  { running, failure, gaveUp, reached }: Entry,
  paused: boolean,
  unused: readonly string[] = [],
): PluginNode {
  const state = running?.instance.state;
  const phases = { Unresponsive: 'Backoff', Stopped: 'Starting' } as const;
  const own = state && (state.phase in phases ? phases[state.phase as keyof typeof phases] : state.phase);
  const phase = paused ? 'Paused' : failure ? 'Failed' : (own ?? 'Starting');
  const isIll = state !== undefined && (state.phase === 'Quarantined' || state.hangs > 0);
  const bad = gaveUp ?? (isIll ? running?.bundle.digest : undefined);
  const message = (failure ?? state?.message ?? '').slice(0, messageLengthMax);
  return {
    name,
    phase: phase as PluginNode['phase'],
    ...(running ? { version: running.bundle.manifest.version, digest: running.bundle.digest } : {}),
    restarts: state?.restarts ?? 0,
    sandbox: (state?.sandbox ?? []).slice(0, factsMax),
    ...(message ? { message } : {}),
    ...(bad ? { gaveUp: bad } : {}),
    ...(unused.length > 0 ? { unused: unused.slice(0, factsMax) } : {}),
    observedGeneration: reached,
  };
}
