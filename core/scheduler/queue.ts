import type { Pod } from '#api';
import type { RetryOn, SchedulerPlugin } from '#sdk';

const backOffMinMs = 1_000;
const backOffMaxMs = 10_000;
const unschedulableMaxMs = 300_000; // after this a refused pod is tried again even when nothing seems to have changed

interface Entry {
  pod: Readonly<Pod>;
  readonly addedMs: number;
  tries: number;
  /** Not before this. */
  readyMs: number;
  /** Set while refused: the rules that said no, and since when. */
  refusedBy?: ReadonlySet<string>;
  refusedMs: number;
}

/** Pods that want a node, as a pure structure: active or backing off (by readyMs), or refused until something changes. */
export class SchedulingQueue {
  readonly #entries = new Map<string, Entry>();
  readonly #retryOn: ReadonlyMap<string, readonly RetryOn[]>;
  constructor(rules: readonly SchedulerPlugin[]) {
    this.#retryOn = new Map(rules.map((rule) => [rule.name, rule.retryOn ?? ['node', 'pod', 'pod-deleted']]));
  }
  get size(): number {
    return this.#entries.size;
  }

  /** A new pod, or a changed one: a change of the pod itself may make it fit. */
  set(pod: Readonly<Pod>, isChanged: boolean, nowMs: number): void {
    const entry = this.#entries.get(pod.metadata.uid!);
    if (!entry) this.#entries.set(pod.metadata.uid!, { pod, addedMs: nowMs, tries: 0, readyMs: nowMs, refusedMs: 0 });
    else {
      entry.pod = pod;
      if (isChanged) entry.refusedBy = undefined;
    }
  }
  delete(uid: string): void {
    this.#entries.delete(uid);
  }
  /** Takes the most urgent pod that may be tried now: by priority, then by age. It must come back by `refuse` or `retry`, or not at all. */
  take(nowMs: number): Readonly<Pod> | undefined {
    let first: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (this.#dueMs(entry) > nowMs) continue;
      const priority = (entry.pod.spec?.priority ?? 0) - (first?.pod.spec?.priority ?? 0);
      if (!first || priority > 0 || (priority === 0 && entry.addedMs < first.addedMs)) first = entry;
    }
    if (!first) return undefined;
    first.readyMs = Infinity; // in work
    first.refusedBy = undefined;
    first.tries++;
    return first.pod;
  }
  /** No node fits: waits for a change that one of these rules waits for. */
  refuse(uid: string, rules: ReadonlySet<string>, nowMs: number): void {
    const entry = this.#entries.get(uid);
    if (!entry) return;
    this.retry(uid, nowMs);
    entry.refusedBy = rules;
    entry.refusedMs = nowMs;
  }
  /** Something failed on the way: again after the back-off. */
  retry(uid: string, nowMs: number): void {
    const entry = this.#entries.get(uid);
    if (entry) entry.readyMs = nowMs + Math.min(backOffMinMs * 2 ** (entry.tries - 1), backOffMaxMs);
  }
  /** Something changed in the cluster. True when pods came back. */
  changed(what: RetryOn): boolean {
    let any = false;
    for (const entry of this.#entries.values()) {
      if (!entry.refusedBy) continue;
      const concerns =
        entry.refusedBy.size === 0 || [...entry.refusedBy].some((rule) => this.#retryOn.get(rule)?.includes(what));
      if (concerns) {
        entry.refusedBy = undefined;
        any = true;
      }
    }
    return any;
  }
  /** When the next pod may be tried; undefined when none ever by time alone. */
  nextMs(): number | undefined {
    let next = Infinity;
    for (const entry of this.#entries.values()) next = Math.min(next, this.#dueMs(entry));
    return next === Infinity ? undefined : next;
  }
  #dueMs(entry: Entry): number {
    return entry.refusedBy ? entry.refusedMs + unschedulableMaxMs : entry.readyMs;
  }
}
