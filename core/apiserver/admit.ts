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

  async mutate(object: AnyObject | undefined, current?: Readonly<AnyObject>): Promise<void> {
    for (const hook of this.call.core.admission) await hook.mutate?.(this.#request(object, current));
  }
  async validate(object: AnyObject | undefined, current?: Readonly<AnyObject>): Promise<void> {
    for (const hook of this.call.core.admission) await hook.validate?.(this.#request(object, current));
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
