import { inNetns } from './exec.ts';

/** A child that is spoken to line by line, for tools whose start or end costs more than their work. */
export interface Conversation extends AsyncDisposable {
  write(text: string): void;
  /** Lines of stdout and stderr as they come; undefined when the child has ended. */
  line(): Promise<string | undefined>;
}
export type Converse = (argv: readonly string[], options?: { readonly netns?: string }) => Conversation;
const unreadLinesMax = 10_000; // then the child is ended: nobody listens to it

export const systemConverse: Converse = (argv, options = {}) => {
  const child = Bun.spawn([...inNetns(argv, options.netns)], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    env: process.env,
  });
  const unread: string[] = [];
  let waiting: (() => void) | undefined;
  let open = 2;
  const listen = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop()!;
      unread.push(...lines);
      if (unread.length > unreadLinesMax) child.kill('SIGKILL');
      waiting?.();
    }
    open--;
    waiting?.();
  };
  const listening = Promise.allSettled([listen(child.stdout), listen(child.stderr)]);
  return {
    write(text) {
      child.stdin.write(text);
      child.stdin.flush();
    },
    async line() {
      while (unread.length === 0 && open > 0) await new Promise<void>((resolve) => (waiting = resolve));
      return unread.shift();
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await child.exited;
      await listening;
    },
  };
};
