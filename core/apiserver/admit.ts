import type { AdmissionRequest, AnyKind, AnyObject } from './contract.ts';
import type { Call } from './core.ts';

/** The chain around one write. `rollBack` undoes what hooks reserved when the write did not happen. */
export class AdmissionRun {
  readonly #undo: (() => void)[] = [];
  constructor(
    private readonly call: Call,
    private readonly operation: AdmissionRequest['operation'],
    private readonly subresource = '',
    private readonly kind: AnyKind = call.served.kind,
  ) {}

  /** Most hooks have nothing to wait for, and a chain of twenty awaits is felt in every write. */
  async mutate(object: AnyObject | undefined, current?: Readonly<AnyObject>): Promise<void> {
    const request = this.#request(object, current);
    for (const hook of this.call.core.admission) {
      const pending = hook.mutate?.(request);
      if (pending) await pending;
    }
  }
  async validate(object: AnyObject | undefined, current?: Readonly<AnyObject>): Promise<void> {
    const request = this.#request(object, current);
    for (const hook of this.call.core.admission) {
      const pending = hook.validate?.(request);
      if (pending) await pending;
    }
  }
  rollBack(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
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
      name: object?.metadata.name ?? current?.metadata.name ?? call.info.name,
      object,
      current,
      dryRun: call.dryRun,
      nowMs: call.nowMs,
      warn: (text) => void call.warnings.add(text),
      onRollback: (undo) => void this.#undo.push(undo),
    };
  }
}
