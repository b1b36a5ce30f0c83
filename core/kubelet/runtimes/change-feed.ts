/** Hints of change for each reader of `changes()`. A reader that falls behind holds at most one hint a pod. */
export class ChangeFeed {
  readonly #readers = new Set<{ pending: Set<string>; wake: () => void }>();

  publish(podUid: string): void {
    for (const reader of this.#readers) {
      reader.pending.add(podUid);
      reader.wake();
    }
  }

  /** Ends when the signal aborts. Subscribed from the call on, not from the first read. */
  subscribe(signal: AbortSignal): AsyncIterable<{ podUid: string }> {
    const reader = { pending: new Set<string>(), wake: () => {} };
    this.#readers.add(reader);
    const leave = () => {
      this.#readers.delete(reader);
      reader.wake();
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    const readers = this.#readers;
    return {
      async *[Symbol.asyncIterator]() {
        try {
          while (!signal.aborted) {
            for (const podUid of [...reader.pending]) {
              reader.pending.delete(podUid);
              yield { podUid };
              if (signal.aborted) return;
            }
            if (reader.pending.size === 0 && readers.has(reader))
              await new Promise<void>((resolve) => {
                reader.wake = resolve;
              });
          }
        } finally {
          readers.delete(reader);
          signal.removeEventListener('abort', leave);
        }
      },
    };
  }
}
