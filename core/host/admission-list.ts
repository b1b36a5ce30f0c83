import type { AdmissionHook } from '#sdk';

/** One hook of the API server's fixed chain that stands for those which plugins add and withdraw while it runs. */
export class AdmissionList implements AdmissionHook {
  readonly name = 'plugins';
  #hooks: readonly AdmissionHook[] = [];

  add(hook: AdmissionHook): Disposable {
    this.#hooks = [...this.#hooks, hook];
    return { [Symbol.dispose]: () => void (this.#hooks = this.#hooks.filter((one) => one !== hook)) };
  }
  readonly mutate: NonNullable<AdmissionHook['mutate']> = async (request) => {
    for (const hook of this.#hooks) await hook.mutate?.(request);
  };
  readonly validate: NonNullable<AdmissionHook['validate']> = async (request) => {
    for (const hook of this.#hooks) await hook.validate?.(request);
  };
}
