import type { PartReport } from '../host/builtin.ts';
import type { Home } from './home.ts';

/** Processes that run parts of built-in plugins. */
export const partComponents = ['apiserver', 'controllers', 'node'] as const;
const fileOf = (component: string): string => `run/${component}.plugins.json`;

/** What became of a component's built-in plugins at its last start: HOME/run/NAME.plugins.json. */
export function noteParts(home: Home, component: string, reports: readonly PartReport[]): void {
  try {
    home.writeFile(fileOf(component), JSON.stringify(reports));
  } catch {} // a full disk: the log has the failures too
}
export function partsOf(home: Home, component: string): readonly PartReport[] {
  try {
    return JSON.parse(home.readFile(fileOf(component)) ?? '[]') as PartReport[];
  } catch {
    return [];
  }
}
