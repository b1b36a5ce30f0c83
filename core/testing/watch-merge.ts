const mergedBytesMax = 16 * 1024 * 1024;

/**
 * The lines of a watch, held back and told as a client sees them that listed again meanwhile: of each object the last
 * state alone. What was added and changed is one addition; what came and went is a deletion.
 */
export class WatchMerge {
  #rest = '';
  #bytes = 0;
  readonly #objects = new Map<string, { type: string; line: string }>();
  readonly #bookmarks: string[] = [];

  /** A piece of the stream, cut at any byte. */
  add(piece: string): void {
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) if (line.trim()) this.#line(line);
  }
  get isFull(): boolean {
    return this.#bytes > mergedBytesMax;
  }
  /** What is left to be told, whole lines. */
  flush(): string {
    const lines = [...[...this.#objects.values()].map(({ line }) => line), ...this.#bookmarks];
    this.#objects.clear();
    this.#bookmarks.length = 0;
    this.#bytes = 0;
    return lines.map((line) => `${line}\n`).join('');
  }

  #line(line: string): void {
    this.#bytes += line.length;
    const { type, object } = JSON.parse(line) as { type: string; object: { metadata?: { uid?: string } } };
    const uid = object.metadata?.uid;
    if (type === 'BOOKMARK' || type === 'ERROR' || !uid) {
      this.#bookmarks.push(line);
      return;
    }
    const former = this.#objects.get(uid);
    this.#objects.delete(uid); // its place in the order is that of its last event
    const stays = former?.type === 'ADDED' && type === 'MODIFIED';
    this.#objects.set(uid, stays ? { type: 'ADDED', line: line.replace('"MODIFIED"', '"ADDED"') } : { type, line });
  }
}
