import { type HookMethod, type HookVerb, isUnhooked, watchHoldMs } from '#sdk';
import type { HookStatus, PluginSpec } from '../kind.ts';
import type { PluginManifest } from '../manifest.ts';
import { ownKinds } from '../rbac.ts';

type HookGrants = Pick<PluginSpec, 'hookPriority' | 'failClosed' | 'approvedNeeds'>;
export type HookPoint =
  | 'validate'
  | 'mutate'
  | 'delete'
  | 'schedule'
  | 'convert'
  | 'rest'
  | 'authenticate'
  | 'authorize';
/** `validate crontasks.cron.example.com`: the point, a blank, what it is about. */
export const hookName = (point: HookPoint, target: string): string => `${point} ${target}`;
export function splitHookName(name: string): { readonly point: string; readonly target: string } {
  const blank = name.indexOf(' ');
  return { point: name.slice(0, blank), target: name.slice(blank + 1) };
}

/** `budgetMs`: slower ones are counted. `limitMs`: nobody waits longer. */
export const hookLimits: Readonly<Record<HookMethod, { readonly budgetMs: number; readonly limitMs: number }>> = {
  validate: { budgetMs: 100, limitMs: 1_000 },
  mutate: { budgetMs: 100, limitMs: 1_000 },
  schedule: { budgetMs: 20, limitMs: 20 },
  permit: { budgetMs: 20, limitMs: 1_000 },
  convert: { budgetMs: 5, limitMs: 1_000 },
  rest: { budgetMs: 100, limitMs: 5_000 },
  watch: { budgetMs: 2 * watchHoldMs, limitMs: 2 * watchHoldMs },
  authenticate: { budgetMs: 100, limitMs: 1_000 },
  authorize: { budgetMs: 20, limitMs: 200 }, // before every request of everybody
};

/**
 * What the host calls, and what holds without an answer: closed for its own kinds, open for all else unless the
 * operator granted it in spec.failClosed. Pure.
 */
export function hooksOf(
  { provides, resources }: Pick<PluginManifest, 'provides' | 'resources'>,
  { hookPriority = 0, failClosed = [], approvedNeeds = {} }: HookGrants,
): HookStatus[] {
  const own = new Set(ownKinds({ resources }).map(({ group, plural }) => `${plural}.${group}`));
  const of = (point: HookPoint, targets: readonly string[] = [], closed = (target: string) => own.has(target)) =>
    targets.map((target): HookStatus => {
      const name = hookName(point, target);
      const fails = closed(target) || failClosed.includes(name);
      return { name, priority: hookPriority, failurePolicy: fails ? 'Fail' : 'Ignore', timeouts: 0 };
    });
  const always = () => true;
  // Of kinds of others only what was approved, whatever the manifest provides.
  const granted = (verb: HookVerb, targets: readonly string[] = []) =>
    targets.filter((target) => own.has(target) || (!isUnhooked(target) && approvedNeeds[target]?.includes(verb)));
  return [
    ...of('mutate', granted('mutate', provides.mutates)),
    ...of('validate', granted('validate', provides.validates)),
    ...of('delete', granted('validate', provides.deletes)),
    ...of('convert', provides.converts, always),
    ...of('schedule', provides.schedules, () => false),
    ...of('rest', provides.apis, always),
    ...of('authenticate', provides.authenticators, always),
    ...of('authorize', provides.authorizers, () => false),
  ];
}
