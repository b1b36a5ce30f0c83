import { rmSync } from 'node:fs';
import { messageOf, PintleError } from '#base';
import { readRunState } from './components.ts';
import type { Home } from './home.ts';

/** Why a component does not start: HOME/run/NAME.failure.json, written by it, removed once it runs. */
interface Failure {
  readonly code: string;
  readonly message: string;
  readonly next: string;
}
const fileOf = (name: string): string => `run/${name}.failure.json`;

export function noteFailure(home: Home, name: string, error: unknown): void {
  const failure: Failure =
    error instanceof PintleError
      ? { code: error.code, message: error.message, next: error.next }
      : {
          code: 'COMPONENT_FAILED',
          message: messageOf(error),
          next: `see ./pintle logs ${name} --home ${home.folder}`,
        };
  try {
    home.writeFile(fileOf(name), JSON.stringify(failure));
  } catch {} // a full disk: the log has it too
}
export const forgetFailure = (home: Home, name: string): void => rmSync(home.path(fileOf(name)), { force: true });

export function failureOf(home: Home, name: string): Failure | undefined {
  try {
    return JSON.parse(home.readFile(fileOf(name)) ?? '') as Failure;
  } catch {
    return undefined;
  }
}

const startsTried = 3; // what heals by itself (an engine that still starts, a port that is about to be freed) has healed by then

/** Throws the reason of a component that tried to start several times and cannot. */
export function throwIfBroken(home: Home): void {
  for (const { name, restarts } of readRunState(home)?.components ?? []) {
    const failure = restarts >= startsTried ? failureOf(home, name) : undefined;
    if (failure) throw new PintleError(failure.code, `the ${name} does not start: ${failure.message}`, failure.next);
  }
}
