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
