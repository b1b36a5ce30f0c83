import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dir, '..');
const files = Array.from(new Bun.Glob('{core,net,plugins}/**/*.ts').scanSync(root)).filter(
  (file) => !file.includes('/gen/'),
);
const sources = files
  .filter((file) => !/\.test\.ts$/.test(file))
  .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));

/** Doors to time, chance and the machine are opened in core/base and core/cmd only. */
const banned: readonly [RegExp, string][] = [
  [/\bDate\.now\(/, 'Date.now'],
  [/\bnew Date\(\)/, 'new Date()'],
  [/\bsetTimeout\(/, 'setTimeout'],
  [/\bsetInterval\(/, 'setInterval'],
  [/\bMath\.random\(/, 'Math.random'],
  [/\bBun\.spawn(Sync)?\(/, 'Bun.spawn'],
  [/\bprocess\.env\b/, 'process.env'],
];
/** `file call` → why it may. */
const allowedCalls: Record<string, string> = {};
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

test('time, chance and the machine come in by parameter', () => {
  expect(sources.length).toBeGreaterThan(50);
  const wrong: string[] = [];
  for (const { file, text } of sources) {
    if (/^core\/(base|cmd)\//.test(file)) continue;
    for (const [pattern, name] of banned)
      if (pattern.test(withoutComments(text)) && !allowedCalls[`${file} ${name}`]) wrong.push(`${file} ${name}`);
  }
  expect(wrong).toEqual([]);
});

test('nothing is left half done', () => {
  expect(sources.filter(({ text }) => /\b(FIXME|XXX|TODO)\b/.test(text)).map(({ file }) => file)).toEqual([]);
});

test('names say what a file holds', () => {
  expect(files.filter((file) => /(^|\/)(utils?|helpers?|managers?|common|misc)(\.|-|\/)/.test(file))).toEqual([]);
});

test('files stay short', () => {
  const lengths = sources.map(({ file, text }) => ({
    file,
    lines: text.split('\n').length,
    first: text.split('\n', 1)[0]!,
  }));
  expect(lengths.filter(({ lines }) => lines > 600).map(({ file, lines }) => `${file} ${lines}`)).toEqual([]);
  const sorted = lengths.map(({ lines }) => lines).sort((a, b) => a - b);
  expect(sorted[Math.floor(sorted.length / 2)]!).toBeLessThanOrEqual(130);
});

test('no type escapes', () => {
  expect(sources.filter(({ text }) => /@ts-(ignore|nocheck|expect-error)/.test(text)).map(({ file }) => file)).toEqual(
    [],
  );
});

test('no test waits within expect', () => {
  const tests = Array.from(new Bun.Glob('{core,net,plugins,test}/**/*.ts').scanSync(root)).filter(
    (file) => file !== 'test/fixtures/rejection.ts', // which says why, and what to call in its place
  );
  const wrong = tests.filter((file) => /\)\s*\.(rejects|resolves)\s*\./.test(readFileSync(join(root, file), 'utf8')));
  expect(wrong).toEqual([]);
});

test('no test has a time-out of its own below a minute: `--timeout` of its tier has room for the waits within', () => {
  const wrong = Array.from(new Bun.Glob('test/**/*.{test,net,e2e}.ts').scanSync(root)).flatMap((file) => {
    const found = readFileSync(join(root, file), 'utf8').matchAll(/^(?: {2})?\}, ([\d_]+)\);/gm);
    return [...found].filter(([, ms]) => Number(ms!.replaceAll('_', '')) < 60_000).map(([line]) => `${file} ${line}`);
  });
  expect(wrong).toEqual([]);
});

/** Longer than 70 lines when this rule began: they may only shrink, and leave the list when they have. */
const longFunctions: Record<string, number> = {
  'core/client/http.ts createClient': 80,
  'core/sdk/recorder.ts createEventRecorder': 112,
};
const opensFunction =
  /^(\s*)(?:.*\bfunction\b\*? ?([\w$]*).*\{|.*?([\w$]*) ?[=:(].*=> \{|(?:(?:async|static|get|set|private|public|override) )*\*?([#\w[\].]+)(?:<.*>)?\(.*\)(?:: .+)? \{)$/;

/** Functions over 70 lines of a formatted text: one ends at the next line of its own indentation that closes it. */
function longOf(text: string): { name: string; lines: number }[] {
  const lines = text.split('\n');
  return lines.flatMap((line, start) => {
    const found = opensFunction.exec(line);
    if (!found || /^\s*(if|for|while|switch)\b/.test(line)) return [];
    let end = start + 1;
    while (end < lines.length && !lines[end]!.startsWith(`${found[1]}}`)) end++;
    const name = found[2] || found[3] || found[4] || `line ${start + 1}`;
    return end - start + 1 > 70 ? [{ name, lines: end - start + 1 }] : [];
  });
}

test('functions stay short', () => {
  const found = Object.fromEntries(
    sources.flatMap(({ file, text }) => longOf(text).map(({ name, lines }) => [`${file} ${name}`, lines])),
  );
  const grown = Object.entries(found).filter(([name, lines]) => lines > (longFunctions[name] ?? 70));
  expect(grown).toEqual([]);
  expect(Object.keys(longFunctions).filter((name) => !(name in found))).toEqual([]);
});

test('what is exported is named somewhere', () => {
  const uses = new Map<string, number>();
  for (const file of new Bun.Glob('{core,net,plugins,test}/**/*.ts').scanSync(root))
    for (const word of readFileSync(join(root, file), 'utf8').match(/[\w$]+/g) ?? [])
      uses.set(word, (uses.get(word) ?? 0) + 1);
  const dead = sources.flatMap(({ file, text }) =>
    Array.from(text.matchAll(/^export (?:async )?(?:function\*?|const|class|interface|type) ([\w$]+)/gm))
      .filter(([, name]) => uses.get(name!) === 1)
      .map(([, name]) => `${file} ${name}`),
  );
  expect(dead).toEqual([]);
});
