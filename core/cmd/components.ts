import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { privateEngine } from './engine.ts';
import type { Config, Home } from './home.ts';
import { type ProcessRecord, recordOf } from './processes.ts';

export type ComponentName = 'engine' | 'apiserver' | 'controllers' | 'node';
export interface ComponentState {
  readonly name: ComponentName;
  readonly process?: ProcessRecord;
  readonly restarts: number;
  readonly since: string;
  readonly lastExit?: string;
}
/** HOME/run/state.json: who runs. Written by the supervisor alone. */
export interface RunState {
  readonly supervisor: ProcessRecord;
  readonly components: readonly ComponentState[];
}

export function readRunState(home: Home): RunState | undefined {
  try {
    return JSON.parse(home.readFile('run/state.json') ?? '') as RunState;
  } catch {
    return undefined;
  }
}

/** In start order; stopped in reverse. */
export const componentsOf = (config: Config): ComponentName[] => [
  ...(config.engine?.private ? (['engine'] as const) : []),
  ...(config.role === 'agent' ? [] : (['apiserver', 'controllers'] as const)),
  'node',
];

export const mainScript = join(import.meta.dir, '../../plugins/standard/main.ts');
export const selfArgv = (home: Home, ...words: string[]): string[] => [
  process.execPath,
  '--smol',
  mainScript,
  ...words,
  '--home',
  home.folder,
];

export function argvOf(name: ComponentName, home: Home): string[] {
  return name === 'engine' ? privateEngine(home).argv : selfArgv(home, 'component', name);
}

const logBytesMax = 16 * 2 ** 20;
/** Starts a process of its own session, output appended to HOME/logs/NAME.log (turned over at 16 MiB). */
export function launch(
  home: Home,
  name: string,
  argv: readonly string[],
): { record: ProcessRecord | undefined; exited: Promise<number> } {
  const path = home.path('logs', `${name}.log`);
  try {
    if (statSync(path).size > logBytesMax) renameSync(path, `${path}.1`);
  } catch {}
  const output = openSync(path, 'a', 0o600);
  try {
    const child = Bun.spawn([...argv], {
      stdin: 'ignore',
      stdout: output,
      stderr: output,
      detached: true,
      cwd: home.folder,
      env: process.env, // with the PATH as it was completed
    });
    return { record: recordOf(child.pid), exited: child.exited };
  } finally {
    closeSync(output);
  }
}
