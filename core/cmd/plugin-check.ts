import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ownProgram, PintleError, systemExec, systemFiles } from '#base';
import { type Bundle, readBundle } from '../host/bundle.ts';
import { manifestFile } from '../host/manifest.ts';
import { buildPlugin } from './plugin-build.ts';
import { bumpBetween, neededBump, suffices } from './plugin-bump.ts';
import { linkSdk, ownFolder } from './plugin-sdk.ts';
import { needsAgainstUse, useOf } from './plugin-use.ts';

const typesMsMax = 120_000;
const filesMax = 500;

/** Types, manifest, needs against use, and the version against a former build. Throws PLUGIN_CHECK_FAILED with every mistake. */
export async function checkPlugin(folder: string, { against }: { readonly against?: string }): Promise<void> {
  const at = resolve(folder);
  await linkSdk(at);
  const work = await mkdtemp(join(tmpdir(), 'pintle-check-'));
  const mistakes: string[] = [];
  try {
    const said = await typeMistakes(at);
    mistakes.push(...said);
    report('types', said.length === 0);
    const bundle = await buildPlugin(at, join(work, 'built'));
    report(
      `manifest: ${bundle.manifest.name} ${bundle.manifest.version}, ${bundle.manifest.resources.length} kinds`,
      true,
    );
    const wrong = needMistakes(bundle, await sourcesOf(join(at, 'plugin.ts')));
    mistakes.push(...wrong);
    report('needs against use', wrong.length === 0);
    mistakes.push(...(await versionMistakes(bundle, against ?? join(at, 'dist'), against !== undefined)));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  if (mistakes.length > 0)
    throw new PintleError(
      'PLUGIN_CHECK_FAILED',
      `${folder}:\n  ${mistakes.join('\n  ')}`,
      'mend these and check again',
    );
}
const report = (what: string, isGood: boolean): void => void process.stdout.write(`  ${isGood ? '✓' : '✗'} ${what}\n`);

async function typeMistakes(at: string): Promise<string[]> {
  const tsc = join(ownFolder, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(tsc)) {
    process.stdout.write('  - types: not checked, this installation has no TypeScript (bun install)\n');
    return [];
  }
  const argv = existsSync(join(at, 'tsconfig.json')) ? ['-p', at] : await looseFlags(at);
  const result = await systemExec.run([ownProgram(), tsc, ...argv, '--pretty', 'false'], { timeoutMs: typesMsMax });
  if (result.code === 0) return [];
  return (result.stdout + result.stderr).trim().split('\n').slice(0, 20);
}
/** A folder without its own settings is checked with those that `plugin new` writes. */
async function looseFlags(at: string): Promise<string[]> {
  const { compilerOptions } = await import('./plugin-new.ts');
  const { lib, types, ...plain } = compilerOptions.compilerOptions;
  const flags = Object.entries({ ...plain, lib: lib.join(), types: types.join() }).flatMap(([name, value]) => [
    `--${name}`,
    String(value),
  ]);
  return ['--ignoreConfig', ...flags, join(at, 'plugin.ts')];
}

function needMistakes({ manifest }: Bundle, texts: readonly string[]): string[] {
  const { use, isDynamic } = useOf(texts);
  const own = new Set(manifest.resources.map(({ metadata }) => metadata.name!));
  const { unused, undeclared } = needsAgainstUse(manifest.needs, use);
  const foreign = undeclared.filter((line) => !own.has(line.slice(0, line.indexOf(':'))));
  if (isDynamic && unused.length > 0)
    process.stdout.write(
      `  - perhaps unused (api is also used in ways that the text does not tell): ${unused.join('; ')}\n`,
    );
  return [
    ...foreign.map((line) => `used and not in needs: ${line}`),
    ...(isDynamic ? [] : unused.map((line) => `in needs and not used: ${line}`)),
  ];
}

/** plugin.ts and the files of the folder that it imports. */
async function sourcesOf(entry: string): Promise<string[]> {
  const texts = new Map<string, string>();
  const waiting = [entry];
  for (let path = waiting.pop(); path !== undefined && texts.size < filesMax; path = waiting.pop()) {
    if (texts.has(path)) continue;
    const text = await readFile(path, 'utf8');
    texts.set(path, text);
    for (const { path: imported } of new Bun.Transpiler({ loader: 'ts' }).scanImports(text))
      if (imported.startsWith('.')) {
        const found = Bun.resolveSync(imported, dirname(path));
        if (/\.tsx?$/.test(found)) waiting.push(found);
      }
  }
  return [...texts.values()];
}

async function versionMistakes(next: Bundle, formerFolder: string, isAsked: boolean): Promise<string[]> {
  if (!existsSync(join(formerFolder, manifestFile))) {
    if (isAsked) return [`${formerFolder} holds no ${manifestFile} to compare with`];
    process.stdout.write('  - version: no former build to compare with (--against FOLDER)\n');
    return [];
  }
  const former = await readBundle(formerFolder, systemFiles);
  const { bump, why } = neededBump(former.manifest, next.manifest);
  const made = bumpBetween(former.manifest.version, next.manifest.version);
  const isGood = suffices(made, bump);
  const { version } = former.manifest;
  report(`version: ${version} → ${next.manifest.version}, needed: ${bump}`, isGood);
  const mistake = `the version must take a ${bump} step from ${version}: ${why.join('; ')}`;
  if (isGood || isAsked) return isGood ? [] : [mistake];
  process.stdout.write(`    before it is given away: ${mistake}\n`); // the folder dist is no release
  return [];
}
