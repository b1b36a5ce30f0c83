import { LineCounter, parseDocument, type Tags, visit } from 'yaml';

/** YAML as JSON text, and what strict decoding would refuse. */
export interface YamlAsJson {
  readonly json: string;
  readonly faults: readonly string[];
}
/** Reported ones; what comes after them is dropped without a word. */
const faultsMax = 100;

/**
 * The YAML that upstream reads: 1.1 with its yes and no, but no dates and no base 60. Throws an Error with a sentence for
 * aliases, for keys that are no scalars, for several documents and for numbers that JSON cannot hold exactly.
 */
export function parseYaml(text: string): YamlAsJson {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    uniqueKeys: false,
    schema: 'yaml-1.1',
    merge: false,
    intAsBigInt: true,
    lineCounter: lines,
    logLevel: 'error',
    customTags: (tags) => tags.filter((tag) => !isForeign(tag)),
  });
  if (document.errors.length > 0) throw new Error(faultText(document.errors[0]!.message));
  const faults: { readonly line: number; readonly text: string }[] = [];
  visit(document, {
    Alias() {
      throw new Error('aliases are not allowed');
    },
    Map(_key, { items }) {
      const seen = new Set<string>();
      for (const { key } of items) {
        const scalar = key as { value?: unknown; range?: readonly number[] } | null;
        if (scalar && 'items' in scalar) throw new Error('invalid map key: it is no scalar');
        const name = String(scalar?.value ?? '');
        if (seen.has(name) && faults.length < faultsMax) {
          const { line } = lines.linePos(scalar?.range?.[0] ?? 0);
          faults.push({ line, text: `  line ${line}: key ${JSON.stringify(name)} already set in map` });
        }
        seen.add(name);
      }
    },
  });
  const told = faults.sort((a, b) => a.line - b.line).map(({ text }) => text);
  return { json: JSON.stringify(document.toJS({ maxAliasCount: 0 }) ?? null, exact), faults: told };
}

/** Dates and numbers in base 60 stay texts, as in Go; sets and ordered maps have no place in JSON. */
const isForeign = (tag: Tags[number]): boolean =>
  typeof tag === 'object' && (tag.format === 'TIME' || /:(timestamp|omap|pairs|set|binary)$/.test(tag.tag));

function exact(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return JSON.rawJSON(value.toString()); // whether it can be kept is asked of the text
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new Error(`json: unsupported value: ${Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'}`);
  return value;
}

/** Where the mistake is comes first, as people look for it. */
function faultText(message: string): string {
  const first = message.split('\n')[0]!;
  if (first.startsWith('Source contains multiple documents')) return 'several documents in one body';
  const [, text, line, column] = /^(.*) at line (\d+), column (\d+):?$/.exec(first) ?? [];
  return text ? `line ${line}, column ${column}: ${text}` : first;
}
