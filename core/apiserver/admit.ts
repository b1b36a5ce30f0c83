import { assert } from '#base';
import type { Turn } from '../store/store.ts';
import type { AdmissionRequest, AnyKind, AnyObject, JsonObject } from './contract.ts';
import type { Call } from './core.ts';

/** The chain around one write. `rollBack` undoes what hooks reserved when the write did not happen. */
export class AdmissionRun {
  readonly #undo: (() => void)[] = [];
  #turn: Turn | undefined;
  constructor(
    private readonly call: Call,
    private readonly operation: AdmissionRequest['operation'],
    private readonly subresource = '',
    private readonly kind: AnyKind = call.served.kind,
    private readonly options?: JsonObject,
  ) {}

  /** Most hooks have nothing to wait for, and a chain of twenty awaits is felt in every write. */
  async mutate(object: AnyObject | undefined, current?: Readonly<AnyObject>): Promise<void> {
    const passes = { round: 0 as 0 | 1, again: false };
    const request = { ...this.#request(object, current), passes };
    await this.#pass(request);
    if (!passes.again) return;
    passes.round = 1;
    await this.#pass(request);
  }
  async #pass(request: AdmissionRequest): Promise<void> {
    for (const hook of this.call.core.admission) {
      const pending = hook.mutate?.(request);
      if (pending) await pending;
      if (hook.endsPass && request.passes?.round === 1) return;
    }
  }
  /** Before a stream begins. */
  async connect(options: AnyObject): Promise<void> {
    const request = this.#request(options, undefined);
    for (const hook of this.call.core.admission) await hook.connect?.(request);
  }
  async validate(object: AnyObject | undefined, current?: Readonly<AnyObject>): Promise<void> {
    this.#turn = undefined;
    const request = this.#request(object, current);
    for (const hook of this.call.core.admission) {
      const pending = hook.validate?.(request);
      if (pending) await pending;
    }
  }
  /** What the last validation was judged on, where it depends on others' creations. */
  get turn(): Turn | undefined {
    return this.#turn;
  }
  /** How much `rollBack` would undo: what is reserved later can be undone by itself. */
  get reserved(): number {
    return this.#undo.length;
  }
  rollBack(to = 0): void {
    for (const undo of this.#undo.splice(to).reverse()) undo();
  }
  #inTurn(name: string): void {
    const { cache } = this.call.core;
    assert(!this.#turn || this.#turn.name === name, `a creation is in one turn: ${this.#turn?.name}, ${name}`);
    this.#turn ??= { name, since: cache.reached };
  }

  #request(object: AnyObject | undefined, current: Readonly<AnyObject> | undefined): AdmissionRequest {
    const { call } = this;
    return {
      info: call.info,
      user: call.user,
      operation: this.operation,
      kind: this.kind,
      subresource: this.subresource,
      namespace: call.info.namespace,
      name: object?.metadata?.name ?? current?.metadata.name ?? call.info.name,
      object,
      current,
      dryRun: call.dryRun,
      options: this.options,
      nowMs: call.nowMs,
      warn: (text) => void call.warnings.add(text),
      inTurn: (name) => this.#inTurn(name),
      onRollback: (undo) => void this.#undo.push(undo),
    };
  }
}
