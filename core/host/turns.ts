/** Plugins that start again after a crash, at once. */
export const startsAgainMax = 2;

/** So many at once; the others wait in their order. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  constructor(private free: number) {}

  /** Resolves with what gives the turn back, once; calling it again does nothing. An abort ends the wait, and then there is no turn. */
  async take(signal: AbortSignal): Promise<() => void> {
    if (this.free > 0) this.free--;
    else if (!(await this.#wait(signal))) return () => {};
    let isMine = true;
    return () => {
      if (!isMine) return;
      isMine = false;
      const next = this.#waiting.shift();
      if (next) next();
      else this.free++;
    };
  }
  #wait(signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    if (signal.aborted) return Promise.resolve(false);
    const mine = (): void => resolve(true);
    this.#waiting.push(mine);
    const leave = (): void => {
      const at = this.#waiting.indexOf(mine);
      if (at >= 0) this.#waiting.splice(at, 1);
      resolve(false);
    };
    signal.addEventListener('abort', leave, { once: true });
    return promise.finally(() => signal.removeEventListener('abort', leave));
  }
}
