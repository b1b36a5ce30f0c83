/** Steps that a person sees: a line when one starts to be slow and a line with its time when it ends. Plain text when output is no terminal. */
export interface Progress {
  step<T>(title: string, work: () => Promise<T>): Promise<T>;
  note(text: string): void;
}

export function createProgress(out: { write(text: string): unknown; isTTY?: boolean } = process.stderr): Progress {
  return {
    async step(title, work) {
      const start = performance.now();
      if (out.isTTY) out.write(`  … ${title}`);
      const clear = out.isTTY ? '\r\x1b[K' : '';
      try {
        const result = await work();
        out.write(`${clear}  ✓ ${title} (${duration(performance.now() - start)})\n`);
        return result;
      } catch (error) {
        out.write(`${clear}  ✗ ${title}\n`);
        throw error;
      }
    },
    note: (text) => void out.write(`  ${text}\n`),
  };
}

export const duration = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
