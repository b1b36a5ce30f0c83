import type { Clock, Random } from '#base';
import type { ContainerRuntime, ContainerSpec, ContainerState } from '#sdk';
import type { FakeStep } from './fake-shell.ts';

/** What a container does when it is started; without one its command line decides (see fake-shell.ts), else it runs on. */
export interface FakeScript {
  readonly lines?: readonly string[];
  /** Ends by itself after so long; absent: runs until stopped. */
  readonly runsMs?: number;
  readonly exitCode?: number;
  /** start() throws ContainerError RunContainerError with this text. */
  readonly startError?: string;
  /** Does not react to the stop signal: ends only after the grace time, with 137. */
  readonly ignoresStop?: boolean;
}
export interface FakeRuntimeOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Time that a start takes; 0 when absent. */
  readonly startMs?: number;
  /** Time from the stop signal to the end; 0 when absent. */
  readonly stopMs?: number;
  /** Time that a pull takes; 0 when absent. */
  readonly pullMs?: number;
  /** First three numbers of the pods' addresses, such as `10.88.0`; 254 pods at most then. Absent: no addresses. */
  readonly ipPrefix?: string;
  /** Probes of ports succeed while the container runs, without a connection: there is nobody at the addresses. */
  readonly answersProbes?: boolean;
  readonly script?: (spec: ContainerSpec) => FakeScript | undefined;
  /** Throw or return an ImageError's text to make a pull fail. */
  readonly pull?: (image: string) => string | undefined;
  readonly exec?: (
    command: readonly string[],
    container: ContainerState,
  ) => { code: number; stdout?: string; stderr?: string } | undefined;
}
export interface FakeRuntime extends ContainerRuntime {
  /** Ends a running container as if its process had. */
  exit(podUid: string, container: string, code: number, options?: { oomKilled?: boolean }): void;
  /** The sandbox dies with everything in it, as when the engine loses the pause container. */
  crashSandbox(podUid: string): void;
  /** Every verb throws until the returned function is called: the engine is away. */
  goAway(): () => void;
  print(podUid: string, container: string, text: string, stream?: 'stdout' | 'stderr'): void;
  /** Counts of verbs so far, by name. */
  readonly calls: Readonly<Record<string, number>>;
}

export function scriptSteps(script: FakeScript): FakeStep[] {
  return [
    ...(script.lines ?? []).map((text): FakeStep => ({ type: 'print', stream: 'stdout', text: `${text}\n` })),
    { type: 'sleep', ms: script.runsMs ?? (script.exitCode === undefined ? Number.POSITIVE_INFINITY : 0) },
    { type: 'exit', code: script.exitCode ?? 0 },
  ];
}

export function scriptedSteps(result: { code: number; stdout?: string; stderr?: string }): FakeStep[] {
  return [
    ...(result.stdout ? [{ type: 'print', stream: 'stdout', text: result.stdout } as const] : []),
    ...(result.stderr ? [{ type: 'print', stream: 'stderr', text: result.stderr } as const] : []),
    { type: 'exit', code: result.code },
  ];
}
