import { type Clock, type Log, messageOf, Scope } from '#sdk';
import type { Applied, IngressDriver } from '../driver.ts';
import type { Listener, Routing } from '../model.ts';
import { carryOut, sweepServers } from './carry-out.ts';
import { type CertificateFile, certificatesOf } from './certificates.ts';
import type { Structure } from './config.ts';
import { forgetGeneration, forgetKeys, type Whole, writeFiles } from './files.ts';
import { checkConfig, type Doors, type Generation, startGeneration } from './generation.ts';
import { endLeft, findLeft, isLeft, type Left, recordServing } from './left.ts';
import { settleLimits, settleListeners } from './listeners.ts';
import { planChanges, type Running } from './plan.ts';
import type { Machine } from './program.ts';
import { readBack } from './read-back.ts';
import { noSlots, type Slots } from './slots.ts';
import { HaproxyMetrics } from './statistics.ts';
import { type Rejected, type Tables, tablesOf } from './tables.ts';

export interface HaproxyOptions {
  /** Of findHaproxy. */
  readonly program: string;
  /** Its own; it is made, and removed on disposal. */
  readonly folder: string;
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Log;
  /** Threads that serve requests. */
  readonly threads: number;
  /** Whom the program becomes once it listens; only root can. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** How long requests under way may take when the driver is disposed of. */
  readonly drainMs?: number;
  readonly lookEveryMs?: number;
}
const backoffMs = { first: 50, most: 10_000, resetAfter: 60_000 };
const formerMax = 4; // processes that finish what they began
const defaults = { drainMs: 10_000, lookEveryMs: 5_000 };

/**
 * Serves a routing with HAProxy. What changes goes over the runtime socket; only other listeners, limits, time-outs of
 * connecting or more backends than there are places for need another process, which takes over the sockets of the former one.
 */
export async function createHaproxyDriver(options: HaproxyOptions): Promise<IngressDriver> {
  const driver = new HaproxyDriver(options);
  await driver.open();
  return driver;
}

interface Now extends Whole {
  readonly generation: Generation;
  running: Running;
  tables: Tables;
  certificates: readonly CertificateFile[];
}

class HaproxyDriver implements IngressDriver {
  readonly name = 'haproxy';
  readonly #scope = new Scope();
  readonly #log: Log;
  readonly #clock: Clock;
  #doors!: Doors;
  #now: Now | undefined;
  #former = new Set<Generation>();
  #retired: Left | undefined;
  /** It gives its sockets to another one, and may have ended before that one is known to serve. */
  #givingWay: Generation | undefined;
  /** One that outlived who started it: it serves what it was told until the first routing is there. */
  #left: Left | undefined;
  #slots: Slots = noSlots;
  #listening: readonly Listener[] = [];
  #number = 0;
  #failure = 'no routing has been applied yet';
  readonly #metrics: HaproxyMetrics;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: HaproxyOptions) {
    this.#log = options.log;
    this.#clock = options.clock;
    this.#metrics = new HaproxyMetrics(options.clock.now());
  }

  async open(): Promise<void> {
    const { machine, folder, program } = this.options;
    await machine.files.mkdir(folder, { recursive: true, mode: 0o700 });
    const handle = await machine.files.open(folder, 'r');
    this.#scope.defer(() => machine.files.rm(folder, { recursive: true, force: true }));
    this.#scope.defer(() => handle.close());
    // A socket's path has 107 bytes at most, and a home may lie deep.
    const socketPath = (name: string): string => `/proc/self/fd/${handle.fd}/${name}`;
    this.#doors = { machine, folder, program, clock: this.#clock, log: this.#log, socketPath };
    this.#scope.defer(() => this.#end());
    this.#left = await findLeft(this.#doors);
    if (this.#left) {
      [this.#number, this.#listening] = [this.#left.number, this.#left.listeners];
      this.#log.info('haproxy of a former time still serves; it is taken over', { pid: this.#left.pid });
    }
    const looking = this.#look();
    this.#scope.defer(() => looking);
  }

  get listening(): readonly Listener[] {
    return this.#listening;
  }

  apply(routing: Routing): Promise<Applied> {
    return this.#inTurn(() => this.#apply(routing));
  }

  async health(): Promise<{ readonly ok: true } | { readonly ok: false; readonly reason: string }> {
    return this.#failure === '' ? { ok: true } : { ok: false, reason: this.#failure };
  }

  async metrics(): Promise<string> {
    const now = this.#now;
    if (now && !now.generation.hasExited) {
      const places = new Map([...this.#slots.places].map(([backend, place]) => [place, backend]));
      const text = await now.generation.socket.ask('show stat -1 3 -1').catch(() => ''); // frontends and backends
      this.#metrics.take(text, places);
    }
    return this.#metrics.print();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  /** One change at a time; a failed one does not stop the next. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  async #apply(routing: Routing): Promise<Applied> {
    if (this.#scope.signal.aborted) throw new Error('the driver is disposed of');
    const { tables, slots, rejected } = tablesOf(routing, this.#slots, this.#clock.monotonicMs());
    const { files, rejected: bad } = certificatesOf(routing);
    const { listeners, rejected: taken } = settleListeners(routing.listeners, this.#listening);
    const { limits, rejected: unlimited } = settleLimits(routing.limits);
    const all: Rejected[] = [...rejected, ...bad, ...taken, ...unlimited];
    if (listeners.length === 0)
      throw new Error(
        `there is no listener to serve: ${taken.map(({ reason }) => reason).join('; ') || 'none is wanted'}`,
      );
    if (files[0]?.names[0] !== 'default.invalid' && listeners.some(({ protocol }) => protocol === 'https'))
      throw new Error(`the default certificate is not usable: ${bad[0]?.reason ?? ''}`);
    const { threads, user } = this.options;
    const structure: Structure = {
      listeners,
      limits,
      sizes: slots.sizes,
      threads,
      ...(user ? { user } : {}),
    };
    const whole: Whole = { structure, tables, certificates: files };
    const isChanged = await this.#change(whole);
    if (!isChanged) await this.#replace(whole);
    this.#slots = isChanged ? slots : { ...slots, resting: new Map() };
    this.#listening = listeners;
    this.#failure = '';
    this.#metrics.applied(!isChanged);
    return { rejected: all, reloaded: !isChanged };
  }

  /** Over the runtime socket. False: it takes another process. */
  async #change(whole: Whole): Promise<boolean> {
    const now = this.#now;
    if (!now || now.generation.hasExited || textOf(now.structure) !== textOf(whole.structure)) return false;
    try {
      for (const step of planChanges(now.running, whole.tables, whole.certificates))
        await carryOut(now.generation.socket, step);
    } catch (error) {
      this.#log.warn('haproxy refuses a change; it is replaced', { error: messageOf(error) });
      return false;
    }
    now.running = runningOf(whole, now.running);
    [now.tables, now.certificates] = [whole.tables, whole.certificates];
    return true;
  }

  /** By another process, which takes over the sockets; throws, and the former one goes on, when it does not come up. */
  async #replace(whole: Whole): Promise<void> {
    const number = ++this.#number;
    const former = this.#now?.generation.hasExited ? undefined : this.#now?.generation;
    const left = this.#left && (await isLeft(this.#doors, this.#left)) ? this.#left : undefined;
    await writeFiles(this.#doors, number, whole);
    this.#givingWay = former;
    try {
      const refused = await checkConfig(this.#doors, number);
      if (refused !== undefined) throw new Error(`haproxy refuses the configuration: ${refused}`);
      const generation = await startGeneration(this.#doors, number, former ?? left);
      this.#now = { ...whole, generation, running: runningOf(whole) };
      this.#metrics.begun();
      if (former) this.#retire(former);
      this.#retired ??= left;
      this.#left = undefined;
      await recordServing(this.#doors, { number, pid: generation.pid, listeners: whole.structure.listeners });
      void generation.exited.then((code) => this.#ended(generation, code));
    } catch (error) {
      await forgetGeneration(this.#doors, number);
      throw error;
    } finally {
      this.#givingWay = undefined;
      if (former?.hasExited) this.#ended(former, 0);
      await forgetKeys(this.#doors, whole.certificates);
    }
  }

  #retire(former: Generation): void {
    this.#former.add(former);
    if (this.#former.size <= formerMax) return;
    const [oldest] = this.#former;
    this.#log.warn('a former haproxy still had connections when a fifth one came; they are cut', { pid: oldest!.pid });
    oldest!.kill();
  }

  /** One that was replaced has finished, or the one that serves has crashed: then another is started. */
  #ended(generation: Generation, code: number): void {
    if (this.#givingWay === generation) return; // looked at again when it is known who serves
    this.#former.delete(generation);
    void forgetGeneration(this.#doors, generation.number).catch(() => {});
    if (this.#scope.signal.aborted || this.#now?.generation !== generation) return;
    this.#failure = `haproxy ended with ${code} and is started again`;
    this.#log.error('haproxy ended; starting it again', { code, pid: generation.pid });
    void this.#restart();
  }
  #lastCrashMs = Number.NEGATIVE_INFINITY;
  #delayMs = backoffMs.first;
  async #restart(): Promise<void> {
    const { signal } = this.#scope;
    if (this.#clock.monotonicMs() - this.#lastCrashMs > backoffMs.resetAfter) this.#delayMs = 0;
    this.#lastCrashMs = this.#clock.monotonicMs();
    while (!signal.aborted && this.#now?.generation.hasExited) {
      await this.#clock.sleep(this.#delayMs, signal);
      this.#delayMs = Math.min(Math.max(this.#delayMs * 2, backoffMs.first), backoffMs.most);
      await this.#inTurn(async () => {
        if (signal.aborted || !this.#now?.generation.hasExited) return;
        await this.#replace(this.#now);
        this.#failure = '';
      }).catch((error: unknown) => {
        this.#failure = messageOf(error);
        this.#log.error('haproxy cannot be started again yet', { error: messageOf(error), delayMs: this.#delayMs });
      });
    }
  }

  /** Every few seconds: servers that have finished go, and what somebody else changed is put right. */
  async #look(): Promise<void> {
    const { signal } = this.#scope;
    for (;;) {
      await this.#clock.sleep(this.options.lookEveryMs ?? defaults.lookEveryMs, signal);
      if (signal.aborted) return;
      await this.#inTurn(() => this.#heal()).catch((error: unknown) =>
        this.#log.warn('haproxy could not be looked at', { error: messageOf(error) }),
      );
    }
  }
  async #heal(): Promise<void> {
    const now = this.#now;
    if (!now || now.generation.hasExited || this.#scope.signal.aborted) return;
    const { socket } = now.generation;
    now.running = await readBack(socket, now.running, now.certificates);
    const steps = planChanges(now.running, now.tables, now.certificates);
    if (steps.length > 0) {
      this.#log.warn('haproxy had something else than it was told; it is told again', {
        steps: steps.slice(0, 10).map(({ type }) => type),
      });
      if (!(await this.#change(now))) await this.#replace(now);
    }
    const gone = await sweepServers(socket, now.running.servers);
    if (gone.length === 0) return;
    const servers = new Map([...now.running.servers].map(([place, own]) => [place, new Map(own)]));
    for (const [place, name] of gone) servers.get(place)?.delete(name);
    now.running = { ...now.running, servers };
  }

  async #end(): Promise<void> {
    await this.#queue;
    const graceMs = this.options.drainMs ?? defaults.drainMs;
    const all = [...this.#former, ...(this.#now && !this.#now.generation.hasExited ? [this.#now.generation] : [])];
    await Promise.all(all.map((generation) => generation.stop(graceMs)));
    for (const left of [this.#left, this.#retired]) if (left) await endLeft(this.#doors, left);
  }
}

const textOf = ({ listeners, limits, sizes, threads, user }: Structure): string =>
  JSON.stringify([listeners, limits, [...sizes].sort(), threads, user]);

/** After a change servers that take no requests any more are still there, until they are swept. */
function runningOf({ tables, certificates }: Pick<Whole, 'tables' | 'certificates'>, former?: Running): Running {
  const servers = new Map<string, Map<string, boolean>>();
  for (const [place, own] of former?.servers ?? [])
    servers.set(place, new Map([...own.keys()].map((name) => [name, false])));
  for (const [place, own] of tables.servers) {
    const all = servers.get(place) ?? new Map<string, boolean>();
    for (const name of own.keys()) all.set(name, true);
    servers.set(place, all);
  }
  return {
    maps: tables.maps,
    servers,
    certificates: new Map(certificates.map(({ file, version }) => [file, version])),
  };
}
