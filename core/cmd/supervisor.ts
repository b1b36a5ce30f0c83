import { type Log, messageOf, PintleError, systemClock } from '#base';
import { argvOf, type ComponentName, type ComponentState, componentsOf, launch, readRunState } from './components.ts';
import { forgetFailure, noteFailure } from './failure.ts';
import type { Config, Home } from './home.ts';
import { lockForLife } from './lock.ts';
import { end, isAlive, type ProcessRecord, recordOf } from './processes.ts';
import { removedWhy } from './removed.ts';

const backoffMs = { first: 50, most: 5_000, resetAfter: 60_000 };
const stopGraceMs = 10_000;

/**
 * Keeps the components of one cluster running until the signal aborts, then stops them in reverse order.
 * Leftovers of a killed supervisor are ended first (the private engine is kept: its containers run on).
 */
export class Supervisor {
  readonly #states = new Map<ComponentName, ComponentState>();
  /** Everything ends: asked for, or because the host is no part of its cluster any more. */
  readonly #over = new AbortController();
  constructor(
    private readonly home: Home,
    private readonly config: Config,
    private readonly log: Log,
  ) {}

  /** Throws HOME_BUSY when another supervisor keeps this cluster. */
  async run(signal: AbortSignal): Promise<void> {
    using lock = await lockForLife(this.home);
    if (!lock)
      throw new PintleError(
        'HOME_BUSY',
        `another supervisor keeps the cluster in ${this.home.folder}`,
        `./pintle status --home ${this.home.folder}`,
      );
    const former = readRunState(this.home)?.components ?? [];
    await end(
      former
        .filter((one) => one.name !== 'engine')
        .map((one) => one.process)
        .filter((one) => one !== undefined),
      stopGraceMs,
    );
    signal.addEventListener('abort', () => this.#over.abort(), { once: true });
    if (signal.aborted) this.#over.abort();
    const names = componentsOf(this.config);
    for (const name of names) forgetFailure(this.home, name);
    const loops = names.map((name) =>
      this.#keep(name, this.#over.signal, former.find((one) => one.name === name)?.process),
    );
    await Promise.all(loops);
    for (const name of names.reverse()) {
      const process = this.#states.get(name)?.process;
      if (process) await end([process], stopGraceMs);
      this.#note(name, { process: undefined });
    }
  }

  async #keep(name: ComponentName, signal: AbortSignal, former: ProcessRecord | undefined): Promise<void> {
    if (name === 'engine' && isAlive(former)) {
      this.log.info('found the private engine running', { pid: former!.pid });
      this.#note(name, { process: former });
      while (!signal.aborted && isAlive(former)) await systemClock.sleep(500, signal);
    }
    let delayMs = backoffMs.first;
    while (!signal.aborted) {
      const startedMs = systemClock.monotonicMs();
      const child = this.#launch(name);
      this.#note(name, { process: child.record });
      this.log.info('started', { name, pid: child.record?.pid });
      const code = await Promise.race([child.exited, aborted(signal)]);
      if (code === undefined) return;
      if (removedWhy(this.home)) {
        this.log.warn('this host was removed from the cluster; ending', { why: removedWhy(this.home) });
        return this.#over.abort();
      }
      if (systemClock.monotonicMs() - startedMs > backoffMs.resetAfter) delayMs = backoffMs.first;
      this.log.warn('component ended; starting it again', { name, code, delayMs });
      const restarts = (this.#states.get(name)?.restarts ?? 0) + 1;
      this.#note(name, { process: undefined, restarts, lastExit: `code ${code}` });
      await systemClock.sleep(delayMs, signal);
      delayMs = Math.min(delayMs * 2, backoffMs.most);
    }
  }

  #launch(name: ComponentName): ReturnType<typeof launch> {
    const argv = argvOf(name, this.home);
    try {
      return launch(this.home, name, argv);
    } catch (error) {
      const missing = new PintleError(
        'PROGRAM_MISSING',
        `${argv[0]} cannot be started: ${messageOf(error)}`,
        './pintle doctor says what this machine lacks',
      );
      noteFailure(this.home, name, missing);
      return { record: undefined, exited: Promise.resolve(127) };
    }
  }

  #note(name: ComponentName, change: Partial<ComponentState>): void {
    const former = this.#states.get(name) ?? { name, restarts: 0, since: '' };
    this.#states.set(name, { ...former, since: new Date(systemClock.now()).toISOString(), ...change });
    const state = { supervisor: recordOf(process.pid), components: [...this.#states.values()] };
    try {
      this.home.writeFile('run/state.json', JSON.stringify(state, undefined, 2));
    } catch (error) {
      this.log.warn('cannot write run/state.json', { error: messageOf(error) }); // a full disk: components still must be kept
    }
  }
}

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) =>
    signal.aborted ? resolve(undefined) : signal.addEventListener('abort', () => resolve(undefined), { once: true }),
  );
