/**
 * The few commands that the fake runtime's containers understand, so that one contract suite can run the same
 * container specs on every runtime: `sleep N|infinity`, `echo TEXT`, `exit N`, `true`, `false`, `cat`, and
 * `sh -c` with those joined by `;` and `>&2` behind an echo.
 */
export type FakeStep =
  | { readonly type: 'sleep'; readonly ms: number }
  | { readonly type: 'print'; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | { readonly type: 'exit'; readonly code: number }
  | { readonly type: 'cat' };

/** Undefined when the fake has no such command. An empty command line runs until it is stopped. */
export function parseFakeCommand(argv: readonly string[]): FakeStep[] | undefined {
  const [name, ...rest] = argv;
  if (name === undefined) return [{ type: 'sleep', ms: Number.POSITIVE_INFINITY }];
  if (/(^|\/)sh$/.test(name) && rest[0] === '-c') {
    const steps: FakeStep[] = [];
    for (const part of (rest[1] ?? '').split(/[;\n]/).map((text) => text.trim())) {
      if (part === '') continue;
      const step = parseWords(part.split(/\s+/));
      if (!step) return undefined;
      steps.push(step);
    }
    return steps;
  }
  const step = parseWords(argv);
  return step && [step];
}

function parseWords(words: readonly string[]): FakeStep | undefined {
  const [name, ...rest] = words[0] === 'exec' ? words.slice(1) : words;
  switch (name) {
    case 'sleep':
      return { type: 'sleep', ms: rest[0] === 'infinity' ? Number.POSITIVE_INFINITY : Number(rest[0] ?? 0) * 1000 };
    case 'echo': {
      const toError = rest.at(-1) === '>&2';
      return {
        type: 'print',
        stream: toError ? 'stderr' : 'stdout',
        text: `${(toError ? rest.slice(0, -1) : rest).join(' ').replaceAll(/["']/g, '')}\n`,
      };
    }
    case 'exit':
      return { type: 'exit', code: Number(rest[0] ?? 0) };
    case 'true':
      return { type: 'exit', code: 0 };
    case 'false':
      return { type: 'exit', code: 1 };
    case 'cat':
      return { type: 'cat' };
    default:
      return undefined;
  }
}
