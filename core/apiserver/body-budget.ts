/**
 * Bytes of all bodies that are being read or worked on: a flood of large ones is refused (429) instead of filling the memory.
 * What a request took comes back when it is answered.
 */
export class BodyBudget {
  readonly #taken = new WeakMap<Request, number>();
  #used = 0;
  constructor(private readonly bytesMax = 128 * 1024 * 1024) {}

  /** False: there is no room; nothing is taken. */
  take(request: Request, bytes: number): boolean {
    if (this.#used + bytes > this.bytesMax) return false;
    this.#used += bytes;
    this.#taken.set(request, (this.#taken.get(request) ?? 0) + bytes);
    return true;
  }
  release(request: Request): void {
    this.#used -= this.#taken.get(request) ?? 0;
    this.#taken.delete(request);
  }
  get usedBytes(): number {
    return this.#used;
  }
}

/** Whose bodies are counted; the handler names it when a request comes. */
export const budgets = new WeakMap<Request, BodyBudget>();
