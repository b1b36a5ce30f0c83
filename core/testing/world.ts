import { isReason, type Kind, type KubeObject, keyOf } from '#api';
import { type Clock, type Log, messageOf, silentLog } from '#base';
import type { Client, Fetch } from '#client';
import type { ControllerSpec, SchedulerPlugin, SchedulingAdviser } from '#sdk';
import type { KindRegistry } from '../apiserver/contract.ts';
import type { DefinableSchema } from '../apiserver/schema/schema.ts';
import { createClient } from '../client/http.ts';
import { createFakeRuntime, type FakeRuntime, type FakeRuntimeOptions } from '../kubelet/runtimes/fake.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import {
  type ExtendedServer,
  runApiServer,
  runControllers,
  runKubelet,
  runScheduler,
  type SimNode,
} from './components.ts';
import { type History, SimDisk } from './disk.ts';
import { newDisk } from './files.ts';
import type { StoreImage } from './image.ts';
import type { MakeChecker, Violation } from './invariants/checker.ts';
import { checkers as allCheckers } from './invariants/index.ts';
import { Network, type Weather } from './network.ts';
import { Observer } from './observer.ts';
import { fork, SimProcess } from './process.ts';
import { isHeartbeat, type Unsettled, unsettled } from './settled.ts';
import { Timeline } from './timeline.ts';

export interface WorldOptions {
  /** The same seed does the same things at the same times. */
  readonly seed: number;
  /** Machines with a kubelet and a fake engine; default 1. */
  readonly nodes?: number;
  /** Of each machine; default 4 cpus, 8 GiB, 40 pods. */
  readonly capacity?: Readonly<Record<string, string>>;
  /** Instead of the core controllers. */
  readonly controllers?: readonly ControllerSpec<never>[];
  /** Instead of the core rules. */
  readonly schedulerRules?: readonly SchedulerPlugin[];
  /** Changes how the engines of the machines behave: scripts of containers, times, addresses. */
  readonly engine?: (options: FakeRuntimeOptions, node: string) => FakeRuntimeOptions;
  /** Stands between the apiserver and the simulated disk: a store with a planted bug. */
  readonly store?: (inner: Store) => Store;
  /** Stands before the apiserver: a server with a planted bug. */
  readonly server?: (fetch: Fetch) => Fetch;
  readonly checkers?: readonly MakeChecker[];
  /** What the store holds at the start; see freshImage. Default nothing. */
  readonly image?: StoreImage;
  /** Compiled types, to share between worlds. */
  readonly schema?: DefinableSchema;
  /** False: components write no Event objects, which are half of all writes. Default true. */
  readonly events?: boolean;
  /** What built-in plugins add, in the server and beside the core controllers. */
  readonly extend?: WorldExtension;
  /** Receives every log line of every component. */
  readonly onLog?: (process: string, level: string, message: string, fields: unknown) => void;
}
/** Each is started anew with its process; what it makes dies with it. */
export interface WorldExtension {
  server?(process: SimProcess, server: ExtendedServer): Promise<void>;
  controllers?(process: SimProcess, network: Network): Promise<void>;
  /** Asked by the scheduler. */
  readonly advisers?: () => readonly SchedulingAdviser[];
  /** The process `plugin`: started by nobody but `restart('plugin')`. */
  plugin?(process: SimProcess, network: Network): Promise<void>;
}
export type ProcessName = 'apiserver' | 'controllers' | 'scheduler' | 'plugin' | `node-${number}`;

const capacityDefault = { cpu: '4', memory: '8Gi', pods: '40', 'ephemeral-storage': '100Gi' };
const bootMsMax = 60_000;
const quietMs = 12_000; // longer than a heartbeat and every look of a controller
const lookEveryMs = 250;
const patrolEveryMs = 500;
/** What a component says only when it has a bug. */
const bugs = new Set(['a request failed inside', 'a change handler failed']);

/** Boots a whole cluster of production components on virtual time. Resolves when its nodes are ready. */
export async function world(options: WorldOptions): Promise<World> {
  const made = new World(options, await createMemoryStore());
  await made.load(options.image ?? []);
  await made.boot();
  return made;
}

/** A simulated cluster: real apiserver, controllers, scheduler and kubelets; time, chance, network, disk and engines are played. */
export class World implements AsyncDisposable {
  readonly timeline = new Timeline();
  readonly network: Network;
  readonly disk: SimDisk;
  readonly observer: Observer;
  readonly nodes: readonly SimNode[];
  /** Time that no process and no fault touches. */
  readonly clock: Clock = this.timeline.clock(() => true);
  /** Each call drives time on until its answer is there. As cluster admin, over a network that never fails. */
  readonly client: Client;
  /** The same without driving: for code that is driven as a whole. */
  readonly directClient: Client;
  readonly #processes = new Map<string, SimProcess>();
  readonly #lives = new Map<string, number>();
  readonly #skewMs = new Map<string, number>();
  readonly #user: SimProcess;
  #turn: Promise<unknown> = Promise.resolve();
  #kinds: KindRegistry | undefined;
  #isOver = false;

  constructor(
    readonly options: WorldOptions,
    store: Store,
  ) {
    const { seed } = options;
    const timeline = this.timeline;
    this.disk = new SimDisk({
      timeline,
      random: fork(seed, 'disk'),
      inner: options.store?.(store) ?? store,
      onCommit: (commit) => this.observer.commit(commit),
    });
    this.observer = new Observer(timeline, this.disk.history, options.checkers ?? allCheckers);
    this.network = new Network({ timeline, random: fork(seed, 'network'), tap: this.observer });
    const capacity = options.capacity ?? capacityDefault;
    this.nodes = Array.from({ length: options.nodes ?? 1 }, (_, index): SimNode => {
      const name = `node-${index + 1}`;
      const random = fork(seed, `engine of ${name}`);
      const times = { startMs: 20, stopMs: 50, pullMs: 200, ipPrefix: `10.88.${index + 1}` };
      const engine: FakeRuntimeOptions = { clock: this.clock, random, answersProbes: true, ...times };
      const runtime = createFakeRuntime(options.engine?.(engine, name) ?? engine);
      return { name, index: index + 1, runtime, disk: newDisk(), capacity };
    });
    this.#user = this.#newProcess('user');
    const fetch = this.network.fetchOf(this.#user);
    const identity = { baseUrl: 'http://localhost', token: 'user', userAgent: 'user' };
    this.client = this.clientAs('user');
    this.directClient = createClient({ fetch, ...identity });
  }
  /** As whoever has this token; each call drives time on. */
  clientAs(token: string): Client {
    const fetch = this.network.fetchOf(this.#user);
    const identity = { baseUrl: 'http://localhost', token, userAgent: 'user' };
    return createClient({ fetch: (request) => this.drive(fetch(request)), ...identity });
  }
  get seed(): number {
    return this.options.seed;
  }
  /** What the server serves now. */
  get kinds(): readonly Kind<KubeObject>[] {
    return (this.#kinds?.all() ?? []).map(({ kind }) => kind as Kind<KubeObject>);
  }
  get history(): History {
    return this.disk.history;
  }
  get violations(): readonly Violation[] {
    return this.observer.violations;
  }
  /** Equal for two runs that did the same. */
  get traceHash(): string {
    return this.observer.hash;
  }

  /** Before the first start: the store comes with these. */
  async load(image: StoreImage): Promise<void> {
    for (const { key, value } of image) {
      const { version } = await this.disk.inner.create(key, value);
      this.history.add({ atMs: 0, type: 'put', key, version: Number(version), expected: 0, value });
    }
  }
  async boot(): Promise<void> {
    this.restart('apiserver');
    this.restart('controllers');
    this.restart('scheduler');
    for (const { name } of this.nodes) this.restart(name as ProcessName);
    this.#patrol();
    await this.settle(bootMsMax, 0);
  }

  /** Awaits work of the simulation: drives time on until it has an outcome. Throws when nothing is left to happen. */
  async drive<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    work.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    while (!isDone) if (!(await this.#step()) && !isDone) throw new Error('nothing is left to happen in this world');
    return work;
  }
  /** Lets so much time pass: milliseconds, or a text such as `90s` or `5m`. */
  async advance(duration: number | string): Promise<void> {
    const untilMs = this.timeline.nowMs + millisecondsOf(duration);
    while (this.timeline.nowMs < untilMs && (await this.#step(untilMs)));
    this.timeline.nowMs = Math.max(this.timeline.nowMs, untilMs);
  }
  /** Lets time pass until the cluster is what its objects ask for, and stays so for `quiet`. Throws with what is missing. */
  async settle(withinMs = 600_000, quiet = quietMs): Promise<void> {
    const untilMs = this.timeline.nowMs + withinMs;
    let why: Unsettled | undefined = { invariant: 'I13', why: 'nothing has run yet' };
    while (this.timeline.nowMs < untilMs) {
      await this.advance(lookEveryMs);
      if (this.violations.length > 0) return;
      why = this.nodes.some(({ name }) => !this.history.current.has(`/registry/core/nodes/${name}`))
        ? { invariant: 'I13', why: 'not every node has registered' }
        : await unsettled(this.history, this.nodes);
      if (why !== undefined) continue;
      const before = this.history.commits.length;
      await this.advance(quiet);
      const busy = this.history.commits.slice(before).find((commit) => !isHeartbeat(commit));
      why = busy ? { invariant: 'I13', why: `${busy.key} still changes` } : await unsettled(this.history, this.nodes);
      if (why === undefined) return;
    }
    this.observer.report(why.invariant, `after ${withinMs / 1_000} s: ${why.why}`);
  }
  /** Reads again and again, time passing, until the value is wanted. Throws with the last value otherwise. */
  async until<R>(read: () => Promise<R> | R, wanted: (value: R) => boolean, withinMs = 60_000): Promise<R> {
    const untilMs = this.timeline.nowMs + withinMs;
    for (;;) {
      const value = await read();
      if (wanted(value)) return value;
      if (this.timeline.nowMs >= untilMs) throw new Error(`not reached in ${withinMs} ms: ${JSON.stringify(value)}`);
      await this.advance(lookEveryMs);
    }
  }
  /** Creates or replaces objects as cluster admin. */
  async apply(...objects: readonly (KubeObject & { kind?: string })[]): Promise<void> {
    for (const object of objects) {
      const group = object.apiVersion?.includes('/') ? object.apiVersion.split('/')[0] : '';
      const served = this.#kinds?.all().find(({ kind }) => kind.kind === object.kind && kind.group === group);
      if (!served) throw new Error(`no kind ${object.apiVersion} ${object.kind} is served`);
      const kind = served.kind as Kind<KubeObject>;
      const metadata = {
        ...object.metadata,
        ...(kind.namespaced && { namespace: keyOf(object).namespace ?? 'default' }),
      };
      const whole = { ...object, metadata };
      if (served.rest) await this.#put(kind, whole);
      else await this.client.apply(kind, whole, { fieldManager: 'world', force: true });
    }
  }
  /** What a plugin answers itself takes no server-side apply. */
  async #put(kind: Kind<KubeObject>, object: KubeObject): Promise<void> {
    const { name = '', namespace } = object.metadata;
    const body = object as unknown as Readonly<Record<string, unknown>>;
    await this.client.create(kind, object).catch((error: unknown) => {
      if (!isReason(error, 'AlreadyExists')) throw error;
      return this.client.patch(kind, { name, namespace }, { type: 'merge', body });
    });
  }

  /** Kills the process between two of its steps, as kill -9 does. */
  crash(name: ProcessName): void {
    const process = this.#processes.get(name);
    if (!process?.alive) return;
    this.observer.note(`${name} is killed`);
    process.kill();
    if (name === 'apiserver') this.network.server = undefined;
  }
  /** Starts the process, killing it first where it runs. */
  restart(name: ProcessName): void {
    if (this.#isOver) return;
    this.crash(name);
    const process = this.#newProcess(name);
    this.#processes.set(name, process);
    this.observer.note(`${name} starts, life ${process.life}`);
    this.#start(name, process).catch((error: unknown) =>
      this.observer.report('I13', `${name} did not start: ${messageOf(error)}`),
    );
  }
  async #start(name: ProcessName, process: SimProcess): Promise<void> {
    const { controllers, schedulerRules, events, extend } = this.options;
    switch (name) {
      case 'apiserver':
        return this.#startServer(process);
      case 'controllers':
        await runControllers(process, this.network, controllers, events);
        return extend?.controllers?.(process, this.network);
      case 'scheduler':
        return runScheduler(process, this.network, schedulerRules, events, extend?.advisers);
      case 'plugin':
        return extend?.plugin?.(process, this.network);
      default:
        return runKubelet(process, this.network, this.#node(name), events);
    }
  }
  /** Calls back when the process has had so many more of its writes carried out, before it learns of the last one. */
  afterWrites(name: ProcessName, writes: number, act: () => void): void {
    let left = writes;
    const stop = this.observer.onAnswer(({ from, method }) => {
      const counts = name === 'apiserver' ? method !== 'GET' : from.name === name && method !== 'GET';
      if (!counts || --left > 0) return;
      stop();
      this.timeline.after(0, act);
    });
  }
  isUp(name: ProcessName): boolean {
    return this.#processes.get(name)?.alive ?? false;
  }
  setWeather(name: ProcessName, weather: Weather | undefined): void {
    this.network.setWeather(name, weather);
  }
  /** Moves a process's wall clock; its monotonic one goes on evenly. */
  skewClock(name: ProcessName, byMs: number): void {
    this.#skewMs.set(name, byMs);
  }
  engine(name: string): FakeRuntime {
    return this.#node(name).runtime;
  }
  /** Compares what the store holds with what it acknowledged. */
  async checkStore(): Promise<void> {
    const { entries } = await this.disk.inner.list('/registry/');
    this.observer.stored(entries.map(({ key, version, value }) => ({ key, version: Number(version), value })));
  }
  /** Throws when an invariant was violated. */
  mustBeSound(): void {
    const [first] = this.violations;
    if (first) throw new Error(`${first.invariant} violated at ${first.atMs} ms (seed ${this.seed}): ${first.message}`);
  }
  readonly quietLog = silentLog;
  /** Nothing of it moves any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    for (const process of this.#processes.values()) process.kill();
    this.#user.kill();
  }

  /** Looks into every engine now and then. */
  #patrol(): void {
    this.timeline.after(patrolEveryMs, async () => {
      if (this.#isOver) return;
      const places: { podUid: string; node: string }[] = [];
      for (const { name, runtime } of this.nodes) {
        const { containers } = await runtime.observe().catch(() => ({ containers: [] }));
        for (const { podUid, state } of containers) if (state === 'running') places.push({ podUid, node: name });
      }
      this.observer.running(places);
      this.#patrol();
    });
  }
  #step(untilMs?: number): Promise<boolean> {
    const next = this.#turn.then(() => this.timeline.step(untilMs));
    this.#turn = next.catch(() => {});
    return next;
  }
  async #startServer(process: SimProcess): Promise<void> {
    await this.checkStore();
    const extended = await runApiServer(process, this.disk.open(process), this.options.schema);
    const { server } = extended;
    await this.options.extend?.server?.(process, extended);
    const fetch = this.options.server?.(server.fetch) ?? server.fetch;
    this.#kinds = server.kinds;
    this.network.server = { process, fetch };
  }
  #node(name: string): SimNode {
    const node = this.nodes.find((each) => each.name === name);
    if (!node) throw new Error(`no process ${name}`);
    return node;
  }
  #newProcess(name: string): SimProcess {
    const life = (this.#lives.get(name) ?? 0) + 1;
    this.#lives.set(name, life);
    const random = fork(this.seed, `${name} ${life}`);
    return new SimProcess(name, life, this.timeline, random, this.#logOf(name), () => this.#skewMs.get(name) ?? 0);
  }
  #logOf(name: string): Log {
    const line = (level: string) => (message: string, fields?: unknown) => {
      this.options.onLog?.(name, level, message, fields);
      if (bugs.has(message)) this.observer.report('I15', `${name}: ${message} ${JSON.stringify(fields)}`);
    };
    const log: Log = {
      ...silentLog,
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      with: () => log,
    };
    return log;
  }
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
export function millisecondsOf(duration: number | string): number {
  if (typeof duration === 'number') return duration;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(duration);
  if (!match) throw new Error(`not a duration: ${duration}`);
  return Number(match[1]) * units[match[2]!]!;
}
