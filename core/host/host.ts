import { join } from 'node:path';
import type { Kind } from '#api';
import { messageOf } from '#base';
import type { Client } from '#client';
import { type ControllerSpec, type EventRecorder, type ReconcileContext, specOf, TerminalError } from '#sdk';
import { type Entry, fingerprintOf, type Known, knownOf, recall } from './entry.ts';
import { HookBoard } from './hooks/board.ts';
import { hooksOf } from './hooks/points.ts';
import { type PluginObject, pluginKind } from './kind.ts';
import { mustGive } from './levels.ts';
import { isNodeWide } from './placement.ts';
import { afterUpgrade, probationMs } from './probation.ts';
import {
  drainFinalizers,
  provisionIdentity,
  provisionKinds,
  releaseKept,
  removeIdentity,
  removeKinds,
} from './provision.ts';
import { lookAgainMs, noConflict, requirementsMet } from './requirements.ts';
import { SpreadPlugins } from './spread.ts';
import { StepError } from './status.ts';
import { StatusWriter } from './status-writer.ts';
import { startsAgainMax, Turns } from './turns.ts';
import { approved, verified } from './verify.ts';
import { metricsOf, openVersion, type Slot, type Version, type VersionHost } from './version.ts';
import { Working } from './working.ts';

export interface HostOptions extends VersionHost {
  /** Where its hooks are called; of its own when nobody else is to call them. */
  readonly hooks?: HookBoard;
  /** How long it must be ready before it counts as healthy; default 5 s. */
  readonly healthMs?: number;
  /** Before each step of a start or an upgrade, by its name; for tests that stop the host there. */
  readonly onStep?: (plugin: string, step: StartStep) => Promise<void> | void;
}
export type StartStep = 'verify' | 'kinds' | 'identity' | 'start' | 'health' | 'fence' | 'promote' | 'drain';
const finalizer = 'plugins.pintle.dev/host';
const figuresEveryMs = 10_000;
const healthMsDefault = 5_000;
const crashesToldMs = 500;

/** Reconciles Plugin objects: what they say runs, isolated, as an account of its own. */
export class PluginHost implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  readonly #over = new AbortController();
  readonly #working = new Working();
  readonly #turns = new Turns(startsAgainMax);
  readonly #hooks: HookBoard;
  readonly #spread: SpreadPlugins;
  readonly #status: StatusWriter;
  constructor(private readonly options: HostOptions) {
    this.#hooks = options.hooks ?? new HookBoard(options.clock);
    this.#spread = new SpreadPlugins(options, this.#over.signal);
    this.#status = new StatusWriter(options.client, options.clock, this.#hooks);
  }

  get controller(): ControllerSpec<never> {
    return specOf<PluginObject>({
      name: 'plugin-host',
      watches: pluginKind,
      workersMax: 4,
      reconciler: {
        reconcile: (key, current, context) => this.#working.run(() => this.#reconcile(key.name, current, context)),
      },
      run: async ({ clock, signal }) => {
        for (; !signal.aborted; await clock.sleep(figuresEveryMs, signal)) await this.refreshHooks();
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    const stopAll = () => Promise.all([...this.#entries.values()].map((entry) => this.#stop(entry)));
    await stopAll();
    await this.#working.settled();
    await stopAll();
  }

  async #reconcile(
    name: string,
    current: Readonly<PluginObject> | undefined,
    { events }: ReconcileContext,
  ): Promise<{ requeueAfterMs?: number } | void> {
    const entry = this.#entries.get(name) ?? { writing: Promise.resolve(), draining: Promise.resolve() };
    this.#entries.set(name, entry);
    if (!current) {
      this.#detach(name, entry);
      await this.#stop(entry);
      this.#entries.delete(name);
      return;
    }
    if (current.metadata.deletionTimestamp) return this.#uninstall(current, entry);
    if (!current.metadata.finalizers?.includes(finalizer)) return this.#setFinalizer(current, true);
    const onNodes =
      entry.running?.bundle.digest === current.spec!.digest ? undefined : await this.#spread.find(current);
    if (onNodes && !entry.running) return this.#spread.reconcile(current, onNodes, events);
    recall(entry, current, this.options.clock);
    if (current.spec?.paused) {
      this.#detach(name, entry);
      await this.#stop(entry);
      await this.#status.report(name, current, entry);
      return;
    }
    const fingerprint = fingerprintOf(current.spec!);
    if (entry.running?.fingerprint === fingerprint || entry.failedFingerprint === fingerprint) {
      await this.#probation(name, current, entry);
      await this.#status.report(name, current, entry);
      return this.#lookAgain(entry);
    }
    await this.#reach(name, current, entry, fingerprint, events);
    await this.#status.report(name, current, entry);
    return this.#lookAgain(entry);
  }

  /** What the object says is to run: starts it, or leaves the reason. */
  async #reach(
    name: string,
    current: Readonly<PluginObject>,
    entry: Entry,
    fingerprint: string,
    events: EventRecorder,
  ): Promise<void> {
    entry.failure = undefined;
    // After a restart of the host, a version that had been given up is not tried again.
    const asked = knownOf(current.spec!);
    const target = (entry.rolledBack && !entry.running && entry.lastGood) || asked;
    if (target === asked) entry.rolledBack = undefined;
    try {
      await this.#run(name, current, entry, target, fingerprint);
      const { instance, bundle } = entry.running!;
      if (entry.rolledBack) events.event(current, 'Warning', 'RolledBack', entry.rolledBack);
      else if (instance.state.phase === 'Quarantined')
        events.event(current, 'Warning', 'GaveUp', instance.state.message);
      else events.event(current, 'Normal', 'Started', `version ${bundle.manifest.version} runs`);
    } catch (error) {
      entry.failure = error instanceof StepError ? error : new StepError('Loaded', 'Failed', messageOf(error), false);
      if (lookAgainMs(entry.failure) !== undefined) return;
      events.event(current, 'Warning', entry.failure.reason, entry.failure.message);
      if (entry.failure.lasting) entry.failedFingerprint = fingerprint;
      if (!entry.running) this.#detach(name, entry);
      await this.#status.report(name, current, entry);
      if (entry.failure.lasting) throw new TerminalError(entry.failure.message);
      throw error;
    }
  }

  /** Of those on nodes their nodes tell. What a former life of this host wrote is not believed. */
  #isRunning({ metadata, status }: Readonly<PluginObject>): boolean {
    if (status?.placement) return status.phase === 'Active';
    return this.#entries.get(metadata.name!)?.running?.instance.state.phase === 'Active';
  }
  #lookAgain({ upgrade, failure }: Entry): { requeueAfterMs: number } | undefined {
    const againMs = lookAgainMs(failure);
    if (againMs !== undefined) return { requeueAfterMs: againMs };
    return upgrade && { requeueAfterMs: Math.max(100, upgrade.untilMs - this.options.clock.monotonicMs()) };
  }

  /** Verified, approved, resolved, provisioned, started; beside the version that acts, where there is one. */
  async #run(
    name: string,
    plugin: Readonly<PluginObject>,
    entry: Entry,
    { digest, approvedNeeds = {} }: Known,
    fingerprint: string,
  ): Promise<void> {
    const { options } = this;
    const spec = { ...plugin.spec!, approvedNeeds };
    await this.#step(name, 'verify');
    const bundle = await verified(options, name, digest);
    if (isNodeWide(bundle.manifest.placement) !== (plugin.status?.placement !== undefined))
      throw new StepError('Resolved', 'PlacementChanged', 'it ran in another placement before: uninstall it first');
    const isolation = approved(bundle, spec);
    await requirementsMet(options, bundle.manifest, (one) => this.#isRunning(one));
    await noConflict(options, bundle.manifest, (one) => this.#isRunning(one));
    if (!options.source) await mustGive(isolation, options);
    await this.#step(name, 'kinds');
    await provisionKinds(options.client, bundle.manifest, options.clock, this.#over.signal);
    const former = entry.running;
    await this.#step(name, 'identity');
    await provisionIdentity(options.client, bundle.manifest, approvedNeeds, former);
    const standby = former?.instance.state.phase === 'Active';
    if (!standby) await this.#stop(entry);
    // Nobody looks at it beside another one: what was good last is what it makes way for, not what an earlier upgrade had.
    if (!standby && entry.lastGood && entry.lastGood.digest !== digest) entry.upgrade = undefined;
    await entry.draining; // it may hold the slot
    await this.#step(name, 'start');
    const slot: Slot = former?.slot === 0 && standby ? 1 : 0;
    const onChange = () => void this.#changed(name, entry);
    const next = await openVersion(
      { ...options, turns: this.#turns },
      { bundle, spec, isolation, fingerprint, slot, standby, onChange },
    );
    if (this.#over.signal.aborted) return void (await this.#drain(entry, next));
    if (standby) return this.#handOver(name, entry, next);
    entry.running = next;
    await next.instance.start();
  }

  /** The new version is looked at beside the old one; then the old one is fenced, the new one acts, the old one drains. */
  async #handOver(name: string, entry: Entry, next: Version): Promise<void> {
    const { clock, client, healthMs = healthMsDefault } = this.options;
    const former = entry.running!;
    entry.next = next;
    try {
      await next.instance.start();
      await this.#step(name, 'health');
      await clock.sleep(next.instance.state.phase === 'Active' ? healthMs : 0, this.#over.signal);
      if (this.#over.signal.aborted) return;
      const { manifest } = next.bundle;
      if (next.instance.state.phase !== 'Active') {
        const why = next.instance.state.message || 'it was not ready';
        entry.rolledBack = `${manifest.version} was given up: ${why}; ${former.bundle.manifest.version} goes on`;
        former.fingerprint = next.fingerprint;
        await this.#drain(entry, next);
        await provisionIdentity(client, former.bundle.manifest, former.approvedNeeds);
        return;
      }
      await this.#step(name, 'fence');
      await former.gateway.fence();
      await this.#step(name, 'promote');
      next.gateway.promote();
      next.instance.activate();
      entry.running = next;
      this.#attach(manifest.name, entry, next);
      if (!entry.rolledBack && entry.lastGood && entry.lastGood.digest !== next.bundle.digest)
        entry.upgrade = { fallback: entry.lastGood, untilMs: clock.monotonicMs() + probationMs };
      this.#good(entry, next);
      await this.#step(name, 'drain');
      this.#drain(entry, former);
      await provisionIdentity(client, manifest, next.approvedNeeds);
    } finally {
      if (entry.next === next) entry.next = undefined;
      if (entry.running !== next && !this.#over.signal.aborted) this.#drain(entry, next);
    }
  }
  #drain(entry: Entry, version: Version): Promise<void> {
    const end = Promise.resolve(version[Symbol.asyncDispose]()).catch((error: unknown) =>
      this.options.log.warn('a version of a plugin did not end well', { error: messageOf(error) }),
    );
    entry.draining = Promise.all([entry.draining, end]).then(() => {});
    return entry.draining;
  }
  #good(entry: Entry, version: Version): void {
    version.healthy = true;
    const { manifest, digest } = version.bundle;
    if (entry.lastGood && entry.lastGood.digest !== digest) entry.previous = entry.lastGood;
    entry.lastGood = { version: manifest.version, digest, approvedNeeds: version.approvedNeeds };
  }
  async #step(plugin: string, step: StartStep): Promise<void> {
    await this.options.onStep?.(plugin, step);
  }

  async #stop(entry: Entry): Promise<void> {
    const { running, next } = entry;
    entry.running = undefined;
    entry.next = undefined;
    if (running) this.#drain(entry, running);
    if (next) this.#drain(entry, next);
    await entry.draining;
  }

  /** What an instance tells by itself, between reconciles. */
  async #changed(name: string, entry: Entry): Promise<void> {
    const { running } = entry;
    if (!running || this.#over.signal.aborted) return;
    const { clock, client, healthMs = healthMsDefault } = this.options;
    const { phase } = running.instance.state;
    if (phase === 'Quarantined') this.#detach(name, entry);
    // What was healthy before, or takes over hooks that are in force, answers them at once: without it they fail.
    const wasGood = entry.lastGood?.digest === running.bundle.digest && (entry.formerHooks?.length ?? 0) > 0;
    if (phase === 'Active' && (wasGood || this.#hooks.isAttached(name))) this.#attach(name, entry, running);
    // A life that crashed before is told when it acts, or when its end has been seen for a while: crash loops write little.
    if (running.instance.state.restarts > 0 && (phase === 'Starting' || phase === 'Backoff')) {
      if (entry.telling) return;
      entry.telling = true;
      await clock.sleep(crashesToldMs, this.#over.signal);
      entry.telling = false;
      if (this.#over.signal.aborted) return;
      return this.#refresh(name, entry, client);
    }
    await this.#refresh(name, entry, client);
    if (phase !== 'Active' || running.healthy) return;
    await clock.sleep(healthMs, this.#over.signal);
    if (entry.running !== running || running.instance.state.phase !== 'Active') return;
    this.#good(entry, running);
    this.#attach(name, entry, running);
    await this.#refresh(name, entry, client);
  }
  #attach(name: string, entry: Entry, running: Version): void {
    entry.formerHooks = [];
    if (this.#hooks.isAttached(name, running.instance)) return;
    const hooks = hooksOf(running.bundle.manifest, running.spec);
    if (hooks.length > 0) this.#hooks.attach(name, running.instance, hooks);
    else this.#hooks.detach(name);
  }
  #detach(name: string, entry: Entry): void {
    entry.formerHooks = [];
    this.#hooks.detach(name);
  }
  /** Metrics of every plugin that runs. */
  metricsText(): string {
    return metricsOf(this.#entries);
  }
  /** Writes the figures of hooks into the status of each plugin that has some. */
  async refreshHooks(): Promise<void> {
    for (const [name, entry] of this.#entries)
      if (this.#hooks.isAttached(name)) await this.#refresh(name, entry, this.options.client);
  }
  async #refresh(name: string, entry: Entry, client: Client): Promise<void> {
    const current = await client.get(pluginKind as Kind<PluginObject>, { name }).catch(() => undefined);
    if (current)
      await this.#status
        .report(name, current, entry)
        .catch((error: unknown) =>
          this.options.log.warn('status not written', { plugin: name, error: messageOf(error) }),
        );
  }

  /** In probation a version that does badly makes way for the one that was good before it. */
  async #probation(name: string, plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const { running } = entry;
    if (!running || entry.rolledBack) return;
    // One that never was healthy, after a start without a version beside it, makes way for the last good one.
    const fresh = running.healthy || !entry.lastGood || entry.lastGood.digest === running.bundle.digest;
    const upgrade =
      entry.upgrade ?? (fresh ? undefined : { fallback: entry.lastGood!, untilMs: running.beganMs + probationMs });
    if (!upgrade) return;
    const verdict = afterUpgrade(
      upgrade,
      running.instance.state,
      this.options.clock.monotonicMs(),
      this.#hooks.counts(name),
    );
    if (verdict.type === 'watch') return;
    entry.upgrade = undefined;
    if (verdict.type === 'passed') return;
    const { manifest } = running.bundle;
    const { fallback } = upgrade;
    entry.rolledBack = `${manifest.version} was given up: ${verdict.why}; ${fallback.version} runs instead`;
    await this.#run(name, plugin, entry, fallback, running.fingerprint);
    entry.lastGood = fallback;
    entry.previous = undefined;
  }

  async #uninstall(plugin: Readonly<PluginObject>, entry: Entry): Promise<{ requeueAfterMs?: number } | void> {
    if (this.#spread.isLeaving(plugin)) return { requeueAfterMs: 1_000 };
    const name = plugin.metadata.name!;
    const { client, files, folder, runFolder } = this.options;
    const manifest =
      entry.running?.bundle.manifest ??
      (await verified(this.options, name, plugin.spec!.digest).catch(() => undefined))?.manifest;
    if (plugin.spec?.dataPolicy === 'Delete' && manifest) {
      const runs = entry.running?.instance.state.phase === 'Active';
      await removeKinds(client, manifest, { clock: this.options.clock, signal: this.#over.signal, runs });
      if (this.#over.signal.aborted) return; // the next host goes on
    } else if (manifest) {
      const runs = entry.running?.instance.state.phase === 'Active';
      await drainFinalizers(client, manifest, { clock: this.options.clock, signal: this.#over.signal, runs });
      if (this.#over.signal.aborted) return;
    }
    this.#detach(name, entry);
    await this.#stop(entry);
    if (plugin.spec?.dataPolicy !== 'Delete' && manifest) await releaseKept(client, manifest); // it would take them back while it runs
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
