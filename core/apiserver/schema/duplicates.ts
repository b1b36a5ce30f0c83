/** Paths of keys that occur twice in one JSON object, as strict decoding reports them: `spec.containers[0].name`. */
const foundMax = 100;

/** `text` must be JSON that has been parsed before; only then are the positions below certain. Linear, no recursion. */
export function duplicateFields(text: string): string[] {
  const found: string[] = [];
  const stack: Level[] = [];
  let expectKey = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) {
      const end = endOfString(text, at);
      const level = stack.at(-1);
      if (expectKey && level?.keys) {
        const raw = text.slice(at + 1, end);
        level.key = raw.includes('\\') ? (JSON.parse(text.slice(at, end + 1)) as string) : raw;
        if (level.keys.has(level.key)) {
          const path = pathOf(stack);
          if (found.length < foundMax && !found.includes(path)) found.push(path);
        }
        level.keys.add(level.key);
        expectKey = false;
      }
      at = end;
    } else if (code === 123) {
      stack.push({ keys: new Set(), key: '', index: 0 });
      expectKey = true;
    } else if (code === 91) {
      stack.push({ keys: undefined, key: '', index: 0 });
      expectKey = false;
    } else if (code === 125 || code === 93) {
      stack.pop();
      expectKey = false;
    } else if (code === 44) {
      const level = stack.at(-1);
      if (level?.keys) expectKey = true;
      else if (level) level.index++;
    }
  }
  return found;
}

interface Level {
  /** Undefined for a list. */
  readonly keys: Set<string> | undefined;
  key: string;
  index: number;
}
const pathOf = (stack: readonly Level[]): string =>
  stack.map((level, depth) => (level.keys ? `${depth ? '.' : ''}${level.key}` : `[${level.index}]`)).join('');

function endOfString(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && text.charCodeAt(end) !== 34) end += text.charCodeAt(end) === 92 ? 2 : 1;
  return end;
}
