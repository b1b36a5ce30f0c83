import { createLog, PintleError } from '#base';
import { componentsOf, launch, selfArgv } from './components.ts';
import { forgetFailure } from './failure.ts';
import type { Config, Home } from './home.ts';
import { supervisorRuns } from './lock.ts';
import { waitUntil } from './processes.ts';
import type { Progress } from './progress.ts';

/** The start of the components of a home, whatever it is: a cluster, a server, an agent. */
export interface Start {
  readonly home: Home;
  readonly config: Config;
  readonly progress: Progress;
  /** Held until the supervisor's own lock holds. */
  readonly turn: Disposable;
  /** Resolves when what was started does its work. Throws early when it cannot. */
  wait(limitMs: number, signal?: AbortSignal): Promise<void>;
  /** Says where things are, once they are. */
  announce(): void;
  /** The command that goes on after an interruption. */
  readonly command: string;
}
export const readyLimitMs = 120_000;

/** In a session of its own, or in this process until a signal. A start that fails, or is interrupted, ends what it began. */
export async function launchComponents(start: Start, detach: boolean): Promise<void> {
  for (const name of componentsOf(start.config)) forgetFailure(start.home, name); // why an earlier start failed is not why this one would
  await (detach ? background(start) : foreground(start));
}

async function background(start: Start): Promise<void> {
  const { home, progress, turn } = start;
  const child = launch(home, 'supervisor', selfArgv(home, 'supervise'));
  const stop = stopOnSignal();
  const died = child.exited.then((code) => {
    if (stop.signal.aborted) return;
    throw new PintleError(
      'SUPERVISOR_ENDED',
      `the supervisor ended with code ${code}`,
      `see ./pintle logs supervisor --home ${home.folder}`,
    );
  });
  died.catch(() => {}); // it also ends when a failed start is undone
  try {
    await progress.step('starting the cluster', async () => {
      await Promise.race([died, waitUntil(() => stop.signal.aborted || supervisorRuns(home), readyLimitMs)]);
      turn[Symbol.dispose]();
      await Promise.race([died, start.wait(readyLimitMs, stop.signal)]);
      if (stop.signal.aborted) throw interrupted(start);
    });
  } catch (error) {
    await (await import('./down.ts')).stopAll(home); // the supervisor, and what a crashed one left running
    throw error;
  }
  start.announce();
}

const interrupted = ({ home, command }: Start): PintleError =>
  new PintleError(
    'INTERRUPTED',
    'the start was interrupted; what had started is stopped',
    `go on with ${command} --home ${home.folder}, or remove it with ./pintle down --purge`,
  );

function stopOnSignal(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  return stop;
}

async function foreground(start: Start): Promise<void> {
  const { home, config, progress, turn, command } = start;
  const { Supervisor } = await import('./supervisor.ts');
  const stop = stopOnSignal();
  const log = createLog(() => {}, { now: Date.now });
  const supervisor = new Supervisor(home, config, log).run(stop.signal);
  turn[Symbol.dispose](); // the supervisor's own lock holds from here
  try {
    await progress.step(`starting ${componentsOf(config).join(', ')}`, () =>
      Promise.race([supervisor, start.wait(readyLimitMs, stop.signal)]),
    );
    if (!stop.signal.aborted) {
      start.announce();
      progress.note(`Ctrl-C stops it; containers keep running for the next ${command}`);
    }
  } catch (error) {
    stop.abort();
    await supervisor;
    throw error;
  }
  await supervisor;
  progress.note('stopped; containers keep running');
  process.exit(0);
}
