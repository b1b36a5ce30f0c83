import { isReason, type Pod, type PodStatus, podKind } from '#api';
import type { Clock, Log } from '#base';
import type { Client, Informer } from '#client';
import { ownConditions } from './conditions.ts';

const retryMinMs = 200;
const retryMaxMs = 10_000;

/** A strategic patch: conditions merge by type, so others' conditions stay; what is absent is written as null and goes away. */
export function statusPatch(pod: Readonly<Pod>, status: PodStatus): Record<string, unknown> {
  const nullable = (['reason', 'message', 'podIP', 'podIPs'] as const).filter((key) => status[key] === undefined);
  return {
    metadata: { uid: pod.metadata.uid },
    status: {
      ...status,
      ...Object.fromEntries(nullable.map((key) => [key, null])),
      conditions: status.conditions
        ?.filter(({ type }) => (ownConditions as readonly string[]).includes(type))
        .map((condition) => ({ lastProbeTime: null, reason: null, message: null, ...defined(condition) })),
    },
  };
}
const defined = (value: object) => Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));

/** Writes one pod's statuses in order, the newest replacing any that waits. Retries until it is written or the pod is gone. */
export class StatusWriter {
  #next: PodStatus | undefined;
  #running: Promise<void> | undefined;
  readonly #givenUp = new AbortController();
  /** As it was written last. */
  written: PodStatus | undefined;
  constructor(
    private readonly pod: Readonly<Pod>,
    private readonly options: {
      readonly client: Client;
      readonly pods: Informer<Pod>;
      readonly clock: Clock;
      readonly log: Log;
      readonly signal: AbortSignal;
    },
  ) {}

  write(status: PodStatus): void {
    if (!this.#next && this.written && same(this.written, status)) return;
    this.#next = status;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Somebody else has changed our conditions since we wrote them: what is written next goes out even if we say nothing new. */
  isOverwritten(status: PodStatus | undefined): boolean {
    if (this.#running || !this.written || !status) return false;
    const said = (each: PodStatus, type: string) => each.conditions?.find((one) => one.type === type)?.status;
    const isSame = ownConditions.every((type) => said(this.written!, type) === said(status, type));
    if (!isSame) this.written = undefined;
    return !isSame;
  }

  /** The API has no such pod any more: what waits will never be written. */
  giveUp(): void {
    this.#next = undefined;
    this.#givenUp.abort();
  }

  /** Resolves when nothing is left to write. */
  async flushed(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    const { client, pods, clock, log } = this.options;
    const signal = AbortSignal.any([this.options.signal, this.#givenUp.signal]);
    let waitMs = retryMinMs;
    while (this.#next && !signal.aborted) {
      const status = this.#next;
      this.#next = undefined;
      if (this.written && same(this.written, status)) continue;
      const key = { namespace: this.pod.metadata.namespace, name: this.pod.metadata.name! };
      try {
        const body = statusPatch(this.pod, status);
        const answer = await client.patch(podKind, key, { type: 'strategic', body }, { subresource: 'status' });
        this.written = status; // before anybody compares the answer with it
        pods.observe(answer);
        waitMs = retryMinMs;
      } catch (error) {
        if (isReason(error, 'NotFound', 'Conflict')) return; // gone, or another pod of that name by now
        if (signal.aborted) return;
        log.warn('pod status not written', { pod: key.name, namespace: key.namespace, error });
        this.#next ??= status;
        await clock.sleep(waitMs, signal);
        waitMs = Math.min(waitMs * 2, retryMaxMs);
      }
    }
  }
}

const same = (a: PodStatus, b: PodStatus): boolean => JSON.stringify(a) === JSON.stringify(b);
