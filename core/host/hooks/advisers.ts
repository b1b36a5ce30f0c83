import type { SchedulingAdviser } from '#sdk';
import type { HookBoard } from './board.ts';
import { hookName } from './points.ts';

/** The scheduling rules that plugins have attached, for a scheduler in the host's own process. */
export const advisersOf = (board: HookBoard): SchedulingAdviser[] =>
  board.schedulingRules().map(({ plugin, rule, required }) => ({
    name: `${plugin}/${rule}`,
    required,
    advise: (pod, nodes) => board.ask(plugin, hookName('schedule', rule), 'schedule', { rule, pod, nodes }),
    permit: (pod, node) => board.ask(plugin, hookName('schedule', rule), 'permit', { rule, pod, node }),
  }));
