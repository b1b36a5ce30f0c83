import { join } from 'node:path';
import type { Kind } from '#api';
import { type Clock, type Files, type Log, messageOf, PintleError, type spawnDuplex, timeText } from '#base';
import type { Client, Fetch } from '#client';
import { type ControllerSpec, type ReconcileContext, specOf, TerminalError } from '#sdk';
import { type Bundle, readBundle } from './bundle.ts';
import { type Gateway, openGateway } from './gateway.ts';
import { HookBoard } from './hooks/board.ts';
import { hooksOf } from './hooks/points.ts';
import { PluginInstance } from './instance.ts';
import { type PluginObject, type PluginSpec, type PluginStatus, pluginKind } from './kind.ts';
import { launchPlugin, socketName } from './launch.ts';
import type { Isolation } from './manifest.ts';
import { exposition } from './plugin-metrics.ts';
import { uncarried } from './provides.ts';
import { accountTokens, provisionIdentity, provisionKinds, removeIdentity, removeKinds } from './provision.ts';
import { unapproved } from './rbac.ts';
import { type Seen, StepError, statusOf } from './status.ts';

export interface HostOptions {
  /** May make accounts and roles. */
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly files: Files;
  readonly spawn: typeof spawnDuplex;
  /** To the API server, for the gateways of plugins. */
  readonly fetch: Fetch;
  readonly baseUrl: string;
  /** Bundles and states: FOLDER/NAME/bundles/HEX, FOLDER/NAME/state. */
  readonly folder: string;
  /** Sockets and roots; short, because a socket's path has at most 107 bytes. */
  readonly runFolder: string;
  readonly clusterId: string;
  /** Where its hooks are called; of its own when nobody else is to call them. */
  readonly hooks?: HookBoard;
  /** How long it must be ready before it counts as healthy; default 5 s. */
  readonly healthMs?: number;
}
const finalizer = 'plugins.pintle.dev/host';
const healthMsDefault = 5_000;
const probationMs = 10 * 60_000;
/** The right to say who somebody is. */
const authenticatorNeed = 'tokenreviews.authentication.k8s.io';
const figuresEveryMs = 10_000;

export const bundleFolder = (folder: string, name: string, digest: string): string =>
  join(folder, name, 'bundles', digest.replace(/^sha256:/, ''));

interface Running {
  /** Of what it was started from. */
  readonly fingerprint: string;
  readonly instance: PluginInstance;
  readonly gateway: Gateway;
  readonly bundle: Bundle;
  readonly spec: PluginSpec;
  readonly beganMs: number;
  healthy: boolean;
}
interface Entry {
  running?: Running;
  failure?: StepError;
  failedFingerprint?: string;
  rolledBack?: string;
  lastGood?: PluginStatus['lastGood'];
  /** Hooks that were attached by a former life of this host: they hold until this one knows better. */
  formerHooks?: PluginStatus['hooks'];
  written?: string;
  writing: Promise<void>;
}

/** Reconciles Plugin objects: what they say runs, isolated, as an account of its own. */
export class PluginHost implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  readonly #over = new AbortController();
  readonly #hooks: HookBoard;
  constructor(private readonly options: HostOptions) {
    this.#hooks = options.hooks ?? new HookBoard(options.clock);
  }

  get controller(): ControllerSpec<never> {
    return specOf<PluginObject>({
      name: 'plugin-host',
      watches: pluginKind,
      workersMax: 4,
      reconciler: { reconcile: (key, current, context) => this.#reconcile(key.name, current, context) },
      run: async ({ clock, signal }) => {
        for (; !signal.aborted; await clock.sleep(figuresEveryMs, signal)) await this.refreshHooks();
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all([...this.#entries.values()].map((entry) => this.#stop(entry)));
  }

  async #reconcile(
    name: string,
    current: Readonly<PluginObject> | undefined,
    { events }: ReconcileContext,
  ): Promise<{ requeueAfterMs?: number } | void> {
    const entry = this.#entries.get(name) ?? { writing: Promise.resolve() };
    this.#entries.set(name, entry);
    if (!current) {
      this.#detach(name, entry);
      await this.#stop(entry);
      this.#entries.delete(name);
      return;
    }
    if (current.metadata.deletionTimestamp) return this.#uninstall(current, entry);
    if (!current.metadata.finalizers?.includes(finalizer)) return this.#setFinalizer(current, true);
    entry.lastGood ??= current.status?.lastGood;
    entry.formerHooks ??= current.status?.hooks ?? [];
    if (current.spec?.paused) {
      this.#detach(name, entry);
      await this.#stop(entry);
      await this.#report(name, current, entry);
      return;
    }
    const fingerprint = fingerprintOf(current.spec!);
    if (entry.running?.fingerprint === fingerprint || entry.failedFingerprint === fingerprint) {
      await this.#quarantineRollback(name, current, entry);
      return this.#report(name, current, entry);
    }
    entry.failure = undefined;
    entry.rolledBack = undefined;
    try {
      await this.#run(name, current, entry, current.spec!.digest, fingerprint);
      const { instance, bundle } = entry.running!;
      if (instance.state.phase === 'Quarantined') events.event(current, 'Warning', 'GaveUp', instance.state.message);
      else events.event(current, 'Normal', 'Started', `version ${bundle.manifest.version} runs`);
    } catch (error) {
      entry.failure = error instanceof StepError ? error : new StepError('Loaded', 'Failed', messageOf(error), false);
      events.event(current, 'Warning', entry.failure.reason, entry.failure.message);
      if (entry.failure.lasting) entry.failedFingerprint = fingerprint;
      if (!entry.running) this.#detach(name, entry);
      await this.#report(name, current, entry);
      if (entry.failure.lasting) throw new TerminalError(entry.failure.message);
      throw error;
    }
    await this.#report(name, current, entry);
  }

  /** Verified, approved, resolved, provisioned; then the former version is fenced and ended before this one starts. */
  async #run(
    name: string,
    plugin: Readonly<PluginObject>,
    entry: Entry,
    digest: string,
    fingerprint: string,
  ): Promise<void> {
    const { options } = this;
    const spec = plugin.spec!;
    const bundle = await this.#verified(name, digest);
    const isolation = this.#approved(bundle, spec);
    await provisionKinds(options.client, bundle.manifest, options.clock, this.#over.signal);
    await provisionIdentity(options.client, bundle.manifest, spec.approvedNeeds ?? {});
    const former = entry.running;
    former?.gateway.fence();
    await this.#stop(entry);
    const places = {
      state: join(options.folder, name, 'state'),
      api: join(options.runFolder, name, 'api'),
      root: join(options.runFolder, name, 'root'),
    };
    await options.files.mkdir(places.api, { recursive: true, mode: 0o700 });
    const gateway = await openGateway({
      path: join(places.api, socketName),
      fetch: options.fetch,
      baseUrl: options.baseUrl,
      token: accountTokens(options.client, name, options.clock),
      userAgent: `plugin-${name}/${bundle.manifest.version}`,
    });
    const log = options.log.with({ plugin: name });
    const instance = new PluginInstance({
      bundle,
      config: spec.config ?? {},
      launch: () => launchPlugin(bundle, isolation, places, options),
      clock: options.clock,
      log,
      onChange: () => void this.#changed(name, entry),
    });
    entry.running = {
      fingerprint,
      instance,
      gateway,
      bundle,
      spec,
      beganMs: options.clock.monotonicMs(),
      healthy: false,
    };
    await instance.start();
  }

  async #verified(name: string, digest: string): Promise<Bundle> {
    const { folder, files } = this.options;
    try {
      const bundle = await readBundle(bundleFolder(folder, name, digest), files, digest);
      if (bundle.manifest.name === name) return bundle;
      throw new StepError('Verified', 'OtherName', `the bundle is of plugin ${bundle.manifest.name}`);
    } catch (error) {
      if (!(error instanceof PintleError)) throw error;
      throw new StepError('Verified', error.code === 'BUNDLE_MODIFIED' ? 'Modified' : 'NoBundle', error.message);
    }
  }

  #approved({ manifest }: Bundle, { approvedNeeds = {}, isolation }: PluginSpec): Isolation {
    const missing = unapproved(manifest.needs, approvedNeeds);
    if (missing.length > 0)
      throw new StepError('Approved', 'NeedsNotApproved', `spec.approvedNeeds lacks ${missing.join('; ')}`);
    const { authenticators = [] } = manifest.provides;
    if (authenticators.length > 0 && !approvedNeeds[authenticatorNeed]?.includes('create'))
      throw new StepError(
        'Approved',
        'AuthenticatorNotApproved',
        `it says who has a token (${authenticators.join(', ')}): that needs ${authenticatorNeed}: create, approved`,
      );
    if (isolation === 'process' && manifest.isolation === 'sandbox')
      throw new StepError(
        'Approved',
        'WeakerIsolation',
        'spec.isolation may raise the level of the manifest (sandbox), not lower it',
      );
    return isolation ?? manifest.isolation;
  }

  async #stop(entry: Entry): Promise<void> {
    const { running } = entry;
    entry.running = undefined;
    if (!running) return;
    await running.instance[Symbol.asyncDispose]();
    await running.gateway[Symbol.asyncDispose]();
  }

  /** What an instance tells by itself, between reconciles. */
  async #changed(name: string, entry: Entry): Promise<void> {
    const { running } = entry;
    if (!running || this.#over.signal.aborted) return;
    const { clock, client, healthMs = healthMsDefault } = this.options;
    const { phase } = running.instance.state;
    if (phase === 'Quarantined') this.#detach(name, entry);
    const { manifest, digest } = running.bundle;
    // What was healthy before, or takes over hooks that are in force, answers them at once: without it they fail.
    const wasGood = entry.lastGood?.digest === digest && (entry.formerHooks?.length ?? 0) > 0;
    if (phase === 'Active' && (wasGood || this.#hooks.isAttached(name))) this.#attach(name, entry, running);
    await this.#refresh(name, entry, client);
    if (phase !== 'Active' || running.healthy) return;
    await clock.sleep(healthMs, this.#over.signal);
    if (entry.running !== running || running.instance.state.phase !== 'Active') return;
    running.healthy = true;
    this.#attach(name, entry, running);
    entry.lastGood = { version: manifest.version, digest };
    await this.#refresh(name, entry, client);
  }
  #attach(name: string, entry: Entry, running: Running): void {
    entry.formerHooks = [];
    const hooks = hooksOf(running.bundle.manifest, running.spec);
    if (this.#hooks.isAttached(name, running.instance)) return;
    if (hooks.length > 0) this.#hooks.attach(name, running.instance, hooks);
    else this.#hooks.detach(name);
  }
  #detach(name: string, entry: Entry): void {
    entry.formerHooks = [];
    this.#hooks.detach(name);
  }
  /** Metrics of every plugin that runs. */
  metricsText(): string {
    return exposition(
      [...this.#entries].flatMap(([name, { running }]) =>
        running ? [{ name, facts: running.bundle.manifest.metrics ?? [], values: running.instance.state.metrics }] : [],
      ),
    );
  }
  /** Writes the figures of hooks into the status of each plugin that has some. */
  async refreshHooks(): Promise<void> {
    for (const [name, entry] of this.#entries)
      if (this.#hooks.isAttached(name)) await this.#refresh(name, entry, this.options.client);
  }
  async #refresh(name: string, entry: Entry, client: Client): Promise<void> {
    const current = await client.get(pluginKind as Kind<PluginObject>, { name }).catch(() => undefined);
    if (current)
      await this.#report(name, current, entry).catch((error: unknown) =>
        this.options.log.warn('status not written', { plugin: name, error: messageOf(error) }),
      );
  }

  /** In probation a version that was given up makes way for the last good one. */
  async #quarantineRollback(name: string, plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const { running, lastGood } = entry;
    if (running?.instance.state.phase !== 'Quarantined' || !lastGood) return;
    if (lastGood.digest === running.bundle.digest || entry.rolledBack) return;
    if (this.options.clock.monotonicMs() - running.beganMs > probationMs) return;
    const { version } = running.bundle.manifest;
    entry.rolledBack = `${version} was given up: ${running.instance.state.message}; ${lastGood.version} runs instead`;
    await this.#run(name, plugin, entry, lastGood.digest, running.fingerprint);
  }

  #report(name: string, plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const work = entry.writing.then(() => this.#write(name, plugin, entry));
    entry.writing = work.catch(() => {});
    return work;
  }
  async #write(name: string, plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const { running } = entry;
    const seen: Seen = {
      generation: plugin.metadata.generation ?? 1,
      paused: plugin.spec?.paused ?? false,
      failure: entry.failure,
      instance: running?.instance.state,
      healthy: running?.healthy ?? false,
      active: running && { version: running.bundle.manifest.version, digest: running.bundle.digest },
      lastGood: entry.lastGood,
      rolledBack: entry.rolledBack,
      uncarried: running && uncarried(running.bundle.manifest.provides),
      hooks: this.#hooks.statusOf(name) ?? (entry.formerHooks?.length ? entry.formerHooks : undefined),
      registered: running?.bundle.manifest,
    };
    const status = statusOf(seen, plugin.status, timeText(this.options.clock.now()));
    const text = JSON.stringify({
      ...status,
      conditions: status.conditions?.map((one) => ({ ...one, lastTransitionTime: '' })),
    });
    if (text === entry.written) return;
    const body = {
      status: { ...status, activeVersion: status.activeVersion ?? null, memoryBytes: status.memoryBytes ?? null },
    };
    await this.options.client.patch(pluginKind, { name }, { type: 'merge', body }, { subresource: 'status' });
    entry.written = text;
  }

  async #uninstall(plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const name = plugin.metadata.name!;
    const { client, files, folder, runFolder } = this.options;
    const manifest =
      entry.running?.bundle.manifest ??
      (await this.#verified(name, plugin.spec!.digest).catch(() => undefined))?.manifest;
    this.#detach(name, entry);
    await this.#stop(entry);
    if (plugin.spec?.dataPolicy === 'Delete' && manifest) await removeKinds(client, manifest);
    await removeIdentity(client, name);
    await files.rm(join(folder, name), { recursive: true, force: true });
    await files.rm(join(runFolder, name), { recursive: true, force: true });
    await this.#setFinalizer(plugin, false);
  }
  async #setFinalizer(plugin: Readonly<PluginObject>, wanted: boolean): Promise<void> {
    const others = (plugin.metadata.finalizers ?? []).filter((one) => one !== finalizer);
    const { resourceVersion, name } = plugin.metadata;
    const body = { metadata: { finalizers: wanted ? [...others, finalizer] : others, resourceVersion } };
    await this.options.client.patch(pluginKind, { name: name! }, { type: 'merge', body });
  }
}

const fingerprintOf = ({ digest, config, approvedNeeds, isolation, hookPriority, failClosed }: PluginSpec): string =>
  JSON.stringify([digest, config, approvedNeeds, isolation, hookPriority, failClosed]);
