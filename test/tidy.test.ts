import { expect, test } from 'bun:test';
import { join } from 'node:path';

const root = join(import.meta.dir, '..');
/** The machine, time and chance come in by parameter everywhere else. */
const doors = /^core\/(base|cmd)\//;
const banned = /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|Bun\.spawn(Sync)?|process\.env)\b/;
const leftover = new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')})\\b`);
const vagueName = /(^|[/-])(utils?|helpers?|manager|common|misc)([.-]|\/)/;
const linesMax = 600;

const sources: { file: string; text: string }[] = [];
for await (const file of new Bun.Glob('{core,net,plugins}/**/*.ts').scan({ cwd: root }))
  if (!file.includes('/gen/')) sources.push({ file, text: await Bun.file(join(root, file)).text() });
const code = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');

test('time, chance, children and the environment come in by parameter', () => {
  const wrong = sources.filter(
    ({ file, text }) => !doors.test(file) && !file.endsWith('.test.ts') && banned.test(code(text)),
  );
  expect(wrong.map(({ file, text }) => `${file}: ${banned.exec(code(text))![0]}`)).toEqual([]);
});
test('no leftovers, no vague names, no file over the limit', () => {
  expect(sources.filter(({ text }) => leftover.test(text)).map(({ file }) => file)).toEqual([]);
  expect(sources.filter(({ file }) => vagueName.test(file)).map(({ file }) => file)).toEqual([]);
  expect(sources.filter(({ text }) => text.split('\n').length > linesMax).map(({ file }) => file)).toEqual([]);
});
