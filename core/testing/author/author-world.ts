import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Kind, KubeObject } from '#api';
import { PintleError } from '#base';
import type { Client } from '#client';
import type { Plugin } from '#sdk';
import { withConversion } from '../../host/hooks/conversion.ts';
import type { BuiltinPlugin } from '../../host/parts.ts';
import { PluginMetrics } from '../../host/plugin-metrics.ts';
import { provisionIdentity, provisionKinds } from '../../host/provision.ts';
import type { FakeRuntimeOptions } from '../../kubelet/runtimes/fake.ts';
import { parseFakeCommand } from '../../kubelet/runtimes/fake-shell.ts';
import { createMemoryStore } from '../../store/memory.ts';
import { freshImage } from '../image.ts';
import { isHeartbeat } from '../settled.ts';
import { millisecondsOf, World } from '../world.ts';
import { extensionOf, type Subject } from './extension.ts';
import { endState } from './state.ts';
import { looksMs, type Trial } from './trial.ts';
import { isWrite, writeText } from './writes.ts';

export interface AuthorWorldOptions {
  /** The same seed does the same things at the same times. */
  readonly seed: number;
  /** Default: the default export of plugin.ts in the current folder. */
  readonly plugin?: Plugin;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Machines with a kubelet and a played engine; default 1. */
  readonly nodes?: number;
  /** Gets what the plugin logs, a line each. */
  readonly onLog?: (line: string) => void;
}
type Body = Readonly<Record<string, unknown>>;
/** What an object must have: each field of it, as it stands or by a function. */
export type Expected = Body | ((object: never) => boolean);

const settleMsMax = 600_000;
const quietMs = 12_000; // longer than a heartbeat and every look of a controller
const rebirthMs = 100;
/** Programs that the played engine does not know run until they are stopped: an author's image has them. */
const anyProgram = (options: FakeRuntimeOptions): FakeRuntimeOptions => ({
  ...options,
  script: ({ command = [], args = [] }) => (parseFakeCommand([...command, ...args]) ? undefined : {}),
});
const staleMs = 2_000;
const mergedMs = 2_000;

/**
 * A cluster on virtual time, with one plugin in it: real API server, controllers, scheduler and kubelets; network, disk,
 * engines and chance are played. Hooks of the plugin are called in the server's process.
 */
export class AuthorWorld implements AsyncDisposable {
  #ended: Promise<void> | undefined;
  private constructor(
    readonly world: World,
    private readonly subject: Subject,
    private readonly trial: Trial | undefined,
  ) {}

  /** Boots, and resolves when the plugin has been set up. Throws what its setup() throws. */
  static async boot(options: AuthorWorldOptions, parts: readonly BuiltinPlugin[], trial?: Trial): Promise<AuthorWorld> {
    const plugin = options.plugin ?? (await pluginHere());
    const metrics = new PluginMetrics();
    const subject: Subject = { plugin, config: options.config, metrics, log: options.onLog ?? (() => {}) };
    const { seed, nodes } = options;
    const extend = extensionOf(parts, subject);
    const world = new World(
      { seed, nodes, events: false, checkers: [], extend, engine: anyProgram },
      await createMemoryStore(),
    );
    await Promise.all(parts.flatMap(({ api, controllers }) => [api?.(), controllers?.()])); // loading is no part of virtual time
    await world.load(await image());
    await world.boot();
    world.mustBeSound();
    const made = new AuthorWorld(world, subject, trial);
    await made.#install();
    trial?.worlds.push(made);
    return made;
  }

  /** As cluster admin; each call lets time pass until its answer is there. */
  get client(): Client {
    return this.world.client;
  }
  /** As whom an authenticator of the plugin knows by this token. */
  as(token: string): Client {
    return this.world.clientAs(token);
  }
  now(): number {
    return this.world.clock.now();
  }
  /** Counters and gauges of the plugin, by name; those with labels as the sum of all. */
  get metrics(): Readonly<Record<string, number>> {
    return this.subject.metrics.totals();
  }
  /** YAML of one or more documents, or objects; server-side apply as cluster admin. Throws what the API server answers. */
  async apply(...given: readonly (string | Body)[]): Promise<void> {
    for (const one of given) {
      const objects =
        typeof one === 'string' ? parseAllDocuments(one).map((document) => document.toJS() as Body) : [one];
      for (const object of objects) if (object) await this.world.apply(object as unknown as KubeObject);
    }
  }
  /** `crontasks/tick`, `pods/web-1`, `deployments.apps/x`; in `default` unless said otherwise. Throws NotFound. */
  async get(target: string, namespace = 'default'): Promise<KubeObject & Body> {
    const { kind, name } = this.#target(target);
    return this.client.get(kind, { name: name!, ...(kind.namespaced ? { namespace } : {}) }) as Promise<
      KubeObject & Body
    >;
  }
  /** All of `pods` in the namespace. */
  async list(plural: string, namespace = 'default'): Promise<readonly (KubeObject & Body)[]> {
    const { kind } = this.#target(plural);
    const { items } = await this.client.list(kind, kind.namespaced ? { namespace } : {});
    return items as unknown as readonly (KubeObject & Body)[];
  }
  async delete(target: string, namespace = 'default'): Promise<void> {
    const { kind, name } = this.#target(target);
    await this.client.delete(kind, { name: name!, ...(kind.namespaced ? { namespace } : {}) });
  }
  /** `expect('crontasks/tick', { status: { active: 1 } })`, `expect('pods', 3)`: now, or it throws with what is there instead. */
  async expect(target: string, wanted: Expected | number, namespace = 'default'): Promise<void> {
    if (typeof wanted === 'number') {
      const found = (await this.list(target, namespace)).length;
      if (found !== wanted) throw new Error(`expected ${wanted} ${target} in ${namespace}, there are ${found}`);
      return;
    }
    const object = await this.get(target, namespace);
    if (typeof wanted === 'function' ? wanted(object as never) : Bun.deepMatch(wanted, object)) return;
    const { metadata, ...rest } = object;
    const asked = typeof wanted === 'function' ? wanted.toString() : JSON.stringify(wanted);
    throw new Error(
      `expected ${target} to have ${asked}; it is ${JSON.stringify({ labels: metadata.labels, ...rest })}`,
    );
  }
  /** Lets so much time pass: milliseconds, or `90s`, `5m`. */
  advance(duration: number | string): Promise<void> {
    return this.world.advance(duration);
  }
  /** Lets time pass until nothing has been written for 12 s. Throws, naming what still changes, after 10 minutes. */
  async settle(within: number | string = settleMsMax): Promise<void> {
    const { history, timeline } = this.world;
    const untilMs = timeline.nowMs + millisecondsOf(within);
    for (;;) {
      const before = history.commits.length;
      await this.advance(quietMs);
      const busy = history.commits.slice(before).find((commit) => !isHeartbeat(commit));
      if (!busy) return;
      if (timeline.nowMs >= untilMs) throw new Error(`it does not settle: ${busy.key} still changes`);
    }
  }
  /** Time passes until this answers true, or throws no more. */
  async until(look: () => Promise<boolean | void> | boolean, within: number | string = 60_000): Promise<void> {
    const untilMs = this.world.timeline.nowMs + millisecondsOf(within);
    for (;;) {
      const failure = await Promise.resolve(look()).then(
        (answer) => (answer === false ? new Error(`not so within ${within}: ${look.toString()}`) : undefined),
        (error: unknown) => error,
      );
      if (failure === undefined) return;
      if (this.world.timeline.nowMs >= untilMs) throw failure;
      await this.advance(250);
    }
  }
  /** Ends the containers of a pod, as if their programs had. */
  async exit(pod: string, code = 0, namespace = 'default'): Promise<void> {
    const found = await this.get(`pods/${pod}`, namespace);
    const { nodeName, containers = [] } = found['spec'] as { nodeName: string; containers?: { name: string }[] };
    for (const { name } of containers) this.world.engine(nodeName).exit(found.metadata.uid!, name, code);
  }
  /** Kills the plugin between two of its steps and starts it again: what setup() kept in memory is gone. */
  restartPlugin(): void {
    this.world.restart('plugin');
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    await this.#ended;
  }

  async #install(): Promise<void> {
    const { world, subject, trial } = this;
    const { plugin } = subject;
    const { name, resources = [], needs = {} } = plugin;
    const definitions = resources.map(({ manifest, convert }) => (convert ? withConversion(manifest, name) : manifest));
    const manifest = { name, needs, resources: definitions } as never;
    const { signal } = new AbortController();
    await world.drive(provisionKinds(world.directClient, manifest, world.clock, signal));
    await world.drive(provisionIdentity(world.directClient, manifest, needs as never));
    world.observer.onAnswer(({ from, method, target }) => {
      if (from.name !== 'plugin' || !isWrite(method, target)) return;
      if (trial?.wrote(world.timeline.nowMs, writeText(method, target))) this.#kill();
    });
    if (trial?.fault.type === 'stale') world.setWeather('plugin', { watchLagMs: staleMs });
    if (trial?.fault.type === 'merged') world.setWeather('plugin', { mergeWatchMs: mergedMs });
    world.restart('plugin');
    await this.until(() => subject.contributions !== undefined || world.violations.length > 0, '20s');
    const [failure] = world.violations;
    if (failure) throw new Error(failure.message);
  }
  #kill(): void {
    const { world } = this;
    world.timeline.after(0, () => {
      world.crash('plugin');
      world.timeline.after(rebirthMs, () => world.isUp('plugin') || world.restart('plugin'));
    });
  }
  /** In a trial: no more faults, and the state is kept at the times of the baseline. */
  async #end(): Promise<void> {
    const { world, trial } = this;
    if (trial) {
      const index = trial.worlds.indexOf(this);
      const first = trial.baseline?.ends[index];
      world.setWeather('plugin', undefined);
      if (!first) await this.settle('2m').catch(() => {}); // one that never settles is compared all the same
      const atMs = Math.max(world.timeline.nowMs, first?.atMs ?? 0);
      const states = [];
      for (const look of looksMs) {
        await this.advance(Math.max(0, atMs + look - world.timeline.nowMs));
        states.push(endState(world.history));
      }
      trial.ends[index] = { atMs, states };
    }
    await world[Symbol.asyncDispose]();
  }
  #target(target: string): { kind: Kind<KubeObject>; name: string | undefined } {
    const [resource = '', name] = target.split('/');
    const [plural, ...group] = resource.toLowerCase().split('.');
    const kind = this.world.kinds.find(
      (one) =>
        [one.plural, one.singular, ...(one.shortNames ?? [])].includes(plural!) &&
        (group.length === 0 || one.group === group.join('.')),
    );
    if (!kind) throw new Error(`no kind ${resource} is served`);
    return { kind, name };
  }
}

let fresh: ReturnType<typeof freshImage> | undefined;
/** What every new cluster holds, made once for a run of tests. */
const image = (): ReturnType<typeof freshImage> => (fresh ??= freshImage());

async function pluginHere(): Promise<Plugin> {
  const path = join(process.cwd(), 'plugin.ts');
  const { default: plugin } = (await import(path)) as { default?: Plugin };
  if (plugin) return plugin;
  throw new PintleError('PLUGIN_BUILD', `${path} exports no plugin`, 'export default plugin({ … })');
}
