/** What is under way, so that whoever ends waits for it: a start that goes on behind the end makes folders and processes that nobody clears. */
export class Working {
  readonly #all = new Set<Promise<unknown>>();
  run<T>(work: () => Promise<T>): Promise<T> {
    const one = work();
    this.#all.add(one);
    const over = () => void this.#all.delete(one);
    one.then(over, over);
    return one;
  }
  async settled(): Promise<void> {
    while (this.#all.size > 0) await Promise.allSettled(this.#all);
  }
}
