/** What one sync did to peers, in a backend's words: from what it had to set, not from what it was told. */
export class ChangeBook {
  #served: ReadonlySet<string> | undefined;
  readonly #touched = new Set<string>();
  readonly #isNew = new Set<string>();

  /** Something of this peer was set on the machine. */
  touch(node: string, isNew: boolean): void {
    this.#touched.add(node);
    if (isNew) this.#isNew.add(node);
  }
  /** Ends one sync. After a restart nothing is known of those who went in the meantime. */
  next(nodes: readonly string[]): { added: string[]; changed: string[]; removed: string[] } {
    const served = new Set(nodes);
    const before = this.#served;
    const touched = nodes.filter((node) => this.#touched.has(node));
    const isAdded = (node: string) => (before ? !before.has(node) : this.#isNew.has(node));
    const report = {
      added: touched.filter(isAdded),
      changed: touched.filter((node) => !isAdded(node)),
      removed: before ? [...before].filter((node) => !served.has(node)) : [],
    };
    this.#served = served;
    this.#touched.clear();
    this.#isNew.clear();
    return report;
  }
}
