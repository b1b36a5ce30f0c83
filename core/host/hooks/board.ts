import { CallError, type Channel, type Clock } from '#base';
import { type HookCalls, type HookMethod, restWatchesMax } from '#sdk';
import type { HookStatus } from '../kind.ts';
import { hookLimits, splitHookName } from './points.ts';
import { Breaker, HookStats } from './stats.ts';

/** Who answers: a process of one version of a plugin, which may come and go. */
export interface HookTarget {
  /** Undefined while no process of it can answer. */
  readonly channel: Channel | undefined;
  /** An answer that breaks the rules of the channel has ended it; said in its status. */
  readonly isResponsive: boolean;
}
interface Attached {
  readonly target: HookTarget;
  readonly hooks: readonly HookStatus[];
  readonly stats: ReadonlyMap<string, HookStats>;
  readonly breaker: Breaker;
  /** Watches that wait for events now. */
  readonly watching: Set<object>;
}
const methodsOf: Readonly<Record<string, readonly HookMethod[]>> = {
  mutate: ['mutate'],
  validate: ['validate'],
  delete: ['validate'],
  convert: ['convert'],
  schedule: ['schedule', 'permit'],
  rest: ['rest', 'watch'],
  authenticate: ['authenticate'],
  authorize: ['authorize'],
};

/** The hooks that are attached in this host, and the way to who answers them. Attaching again moves them at once. */
export class HookBoard {
  readonly #attached = new Map<string, Attached>();
  constructor(
    private readonly clock: Clock,
    private readonly limits: typeof hookLimits = hookLimits,
  ) {}

  attach(plugin: string, target: HookTarget, hooks: readonly HookStatus[]): void {
    const stats = new Map(hooks.map(({ name }) => [name, new HookStats()]));
    this.#attached.set(plugin, { target, hooks, stats, breaker: new Breaker(), watching: new Set() });
  }
  /** Only what this target has attached; undefined: whoever has. */
  detach(plugin: string, target?: HookTarget): void {
    if (target === undefined || this.#attached.get(plugin)?.target === target) this.#attached.delete(plugin);
  }
  isAttached(plugin: string, target?: HookTarget): boolean {
    const attached = this.#attached.get(plugin);
    return attached !== undefined && (target === undefined || attached.target === target);
  }
  /** As `status.hooks` has them; undefined: nothing is attached. */
  statusOf(plugin: string): HookStatus[] | undefined {
    const attached = this.#attached.get(plugin);
    return attached?.hooks.map((hook) => {
      const stats = attached.stats.get(hook.name)!;
      return { ...hook, p50: stats.percentile(0.5), p99: stats.percentile(0.99), timeouts: stats.timeouts };
    });
  }
  /** Of all calls of this plugin's hooks, those without an answer in time. For probation. */
  counts(plugin: string): { readonly calls: number; readonly timeouts: number } {
    const all = [...(this.#attached.get(plugin)?.stats.values() ?? [])];
    const sum = (value: (one: HookStats) => number) => all.reduce((total, one) => total + value(one), 0);
    return { calls: sum((one) => one.calls), timeouts: sum((one) => one.timeouts) };
  }
  /** Every scheduling rule that is attached. */
  schedulingRules(): { readonly plugin: string; readonly rule: string; readonly required: boolean }[] {
    return [...this.#attached].flatMap(([plugin, { hooks }]) =>
      hooks.flatMap(({ name, failurePolicy }) => {
        const { point, target } = splitHookName(name);
        return point === 'schedule' ? [{ plugin, rule: target, required: failurePolicy === 'Fail' }] : [];
      }),
    );
  }

  /** Rejects with CallError: who asks decides what holds without an answer. */
  async ask<M extends HookMethod>(
    plugin: string,
    hook: string,
    method: M,
    asked: HookCalls[M]['asked'],
  ): Promise<HookCalls[M]['answer']> {
    const attached = this.#attached.get(plugin);
    const stats = attached?.stats.get(hook);
    if (!attached || !stats || !methodsOf[splitHookName(hook).point]?.includes(method))
      throw new CallError('closed', `plugin ${plugin} has no ${hook} attached for ${method}`);
    const { target, breaker } = attached;
    const beganMs = this.clock.monotonicMs();
    if (!target.channel || !target.isResponsive) throw new CallError('closed', `plugin ${plugin} does not run`);
    if (method === 'watch') return this.#watch(attached, target.channel, asked as never) as never;
    if (breaker.isOpen(beganMs)) throw new CallError('timeout', `plugin ${plugin} gave no answer to the last calls`);
    const { budgetMs, limitMs } = this.limits[method];
    try {
      const answer = await target.channel.call(method, asked, limitMs);
      breaker.note(false, beganMs);
      return answer as HookCalls[M]['answer'];
    } catch (error) {
      const isSilent = error instanceof CallError && error.failure === 'timeout';
      if (isSilent) stats.timeouts++;
      const nowMs = this.clock.monotonicMs();
      breaker.note(isSilent, nowMs);
      throw error;
    } finally {
      stats.took(this.clock.monotonicMs() - beganMs, budgetMs);
    }
  }
  /** Waits by its nature: neither its time nor its silence says anything of the plugin. */
  async #watch(attached: Attached, channel: Channel, asked: HookCalls['watch']['asked']): Promise<unknown> {
    if (attached.watching.size >= restWatchesMax)
      throw new CallError('busy', `more than ${restWatchesMax} watches of this plugin wait`);
    const token = {};
    attached.watching.add(token);
    try {
      return await channel.call('watch', asked, this.limits.watch.limitMs);
    } finally {
      attached.watching.delete(token);
    }
  }
}
