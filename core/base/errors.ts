/** An error a person can see: what failed and why in one sentence, and what to do next. Every code is in docs/errors.md. */
export class PintleError extends Error {
  constructor(
    /** Stable, such as `PORT_TAKEN`. */
    readonly code: string,
    message: string,
    /** The next step, an imperative sentence or a command. */
    readonly next: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'PintleError';
  }
}

/** What must hold. A failure is a bug: the process ends and the supervisor restarts it. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** For places that have one line: what failed, and what to do about it where that is known. */
export const withNextStep = (error: unknown): string =>
  error instanceof PintleError ? `${error.message}; ${error.next}` : messageOf(error);
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
