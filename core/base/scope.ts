/**
 * Owns what must be undone. Disposal runs in reverse order, runs every step even when one fails,
 * and throws the failures together at the end. `signal` aborts first.
 */
export class Scope implements AsyncDisposable {
  readonly #steps: (() => unknown)[] = [];
  readonly #controller = new AbortController();
  #closed: Promise<void> | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  defer(step: () => unknown): void {
    if (this.#closed) throw new Error('scope is closed');
    this.#steps.push(step);
  }

  use<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.defer(() =>
      Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : (resource as Disposable)[Symbol.dispose](),
    );
    return resource;
  }

  /** Safe to call twice: both calls wait for the same end. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#controller.abort();
    const failures: unknown[] = [];
    for (const step of this.#steps.reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, 'several clean-up steps failed');
  }
}
