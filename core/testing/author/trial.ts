import type { AuthorWorld } from './author-world.ts';
import { differences, type EndState } from './state.ts';
import { firstNew, type Write } from './writes.ts';

/** What goes wrong in one run of a test. `after` counts the plugin's writes over all worlds of the test, from 1. */
export type TrialFault =
  | { readonly type: 'none' }
  | { readonly type: 'crash'; readonly after: number }
  | { readonly type: 'stale' }
  | { readonly type: 'merged' };

/** The end of one world of a run. */
export interface WorldEnd {
  readonly atMs: number;
  /** The state at `atMs` and later, at `looksMs`. */
  readonly states: readonly EndState[];
}
/** A controller that is still on its way gets more time before it is called wrong. */
export const looksMs = [0, 15_000, 60_000] as const;

/** One run of a test with one fault; its worlds tell it of their writes and of their ends. */
export class Trial {
  readonly writes: Write[] = [];
  readonly ends: WorldEnd[] = [];
  readonly worlds: AuthorWorld[] = [];
  constructor(
    readonly fault: TrialFault,
    /** The run without faults. */
    readonly baseline?: Trial,
  ) {}

  /** True: the process of the plugin is to die now, before it learns of this write. */
  wrote(atMs: number, text: string): boolean {
    const number = this.writes.length + 1;
    this.writes.push({ number, atMs, text });
    return this.fault.type === 'crash' && this.fault.after === number;
  }
  /** What is wrong with the ends of this run, in lines; none when they are those of the baseline. */
  mistakes(): string[] {
    const found = this.ends.map((end, index) => {
      const wanted = this.baseline?.ends[index];
      if (!wanted) return [];
      const lines = end.states.map((state, look) => differences(wanted.states[look]!, state));
      return lines.some((one) => one.length === 0) ? [] : lines.at(-1)!;
    });
    return found.flat();
  }
}

/** Each fault that a test with so many writes is run with. Beyond `crashesMax` writes, evenly spread ones. Pure. */
export function plannedFaults(writes: number, crashesMax: number): TrialFault[] {
  const step = Math.max(1, writes / crashesMax);
  const crashes: TrialFault[] = [];
  for (let at = 1; Math.round(at) <= writes; at += step) crashes.push({ type: 'crash', after: Math.round(at) });
  return [...crashes, { type: 'stale' }, { type: 'merged' }];
}

/** The sentence that a failed run is reported by. Pure. */
export function reportOf(trial: Pick<Trial, 'fault' | 'writes' | 'baseline'>, mistakes: readonly string[]): string {
  const { fault, writes, baseline } = trial;
  const details = mistakes.map((line) => `\n    ${line}`).join('');
  const wrong = firstNew(baseline?.writes ?? [], writes);
  const surplus = wrong ? `\n  first write that the run without faults does not have: ${wrong.text}` : '';
  if (fault.type === 'crash') {
    const write = writes[fault.after - 1];
    return `killed after write ${fault.after}, ${write?.text ?? 'which it did not make again'}, and started again, it ends differently:${details}${surplus}`;
  }
  const why = fault.type === 'stale' ? 'with caches that are 2 s behind' : 'with events between two states left out';
  return `${why} it ends differently:${details}${surplus}`;
}
