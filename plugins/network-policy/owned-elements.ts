import type { ElementChange } from '#sdk';

/** The elements of one set, by who put them there: two may want the same one, and it goes with the last of them. */
export class OwnedElements {
  readonly #held = new Map<string, readonly string[]>();
  readonly #counts = new Map<string, number>();
  /** Touched since the last take(): whether it was in the set then. */
  readonly #before = new Map<string, boolean>();

  /** Replaces what this owner wants; false: it is what it was. */
  update(owner: string, elements: readonly string[]): boolean {
    const held = this.#held.get(owner);
    if ((held?.length ?? 0) === elements.length && elements.every((each, index) => held?.[index] === each))
      return false;
    if (elements.length > 0) this.#held.set(owner, elements);
    else this.#held.delete(owner);
    for (const element of elements) this.#add(element, 1);
    for (const element of held ?? []) this.#add(element, -1);
    return true;
  }

  #add(element: string, number: 1 | -1): void {
    const count = this.#counts.get(element) ?? 0;
    if (!this.#before.has(element)) this.#before.set(element, count > 0);
    if (count + number > 0) this.#counts.set(element, count + number);
    else this.#counts.delete(element);
  }

  /** What changed since the last call; undefined for nothing. */
  take(): ElementChange | undefined {
    if (this.#before.size === 0) return undefined;
    const removed: string[] = [];
    const added: string[] = [];
    for (const [element, was] of this.#before)
      if (was !== this.#counts.has(element)) (was ? removed : added).push(element);
    this.#before.clear();
    return removed.length + added.length > 0 ? { removed, added } : undefined;
  }

  all(): readonly string[] {
    return [...this.#counts.keys()];
  }
  get size(): number {
    return this.#counts.size;
  }
}
