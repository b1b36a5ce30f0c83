import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PintleError, systemFiles } from '#base';
import { type Bundle, readBundle, sha256Of } from '../host/bundle.ts';
import { type Isolation, manifestFile, type PluginManifest, satisfies, sdkVersion } from '../host/manifest.ts';
import { bundleSource } from './plugin-bundle.ts';
import { buildForeign, foreignManifest, putBundle } from './plugin-foreign.ts';
import { type RecordOptions, recordPlugin } from './plugin-record.ts';

const sdkPath = resolve(import.meta.dir, '../sdk/index.ts');
const runnerPath = resolve(import.meta.dir, '../host/runner.ts');

/**
 * Bundles FOLDER/plugin.ts with the SDK it was written for into OUT (default FOLDER/dist), runs its setup() once in a
 * sandbox that has no API, and writes plugin.json. A folder with manifest.json in its place is a plugin in another
 * language. Throws PLUGIN_BUILD with what stands in the way.
 */
export async function buildPlugin(
  folder: string,
  out = join(folder, 'dist'),
  isolation: Isolation = 'sandbox',
  options: RecordOptions = {},
): Promise<Bundle> {
  const source = join(folder, 'plugin.ts');
  if (existsSync(join(folder, foreignManifest)) && !existsSync(source)) return buildForeign(folder, out);
  if (!existsSync(source))
    throw new PintleError(
      'PLUGIN_BUILD',
      `${folder} has neither plugin.ts nor ${foreignManifest}`,
      'name the folder of a plugin: ./pintle plugin new NAME makes one',
    );
  const work = await mkdtemp(join(tmpdir(), 'pintle-build-'));
  try {
    const code = await bundle(resolve(source), work);
    await writeFile(join(work, 'plugin.js'), code);
    const recorded = await recordPlugin(join(work, 'plugin.js'), options);
    if (!satisfies(sdkVersion, recorded.sdk))
      throw failed(`it was written for SDK ${recorded.sdk}; this is ${sdkVersion}`, 'change sdk in plugin.ts');
    const panels = await panelFiles(folder, work, recorded.panels ?? []);
    const manifest: PluginManifest = {
      formatVersion: 1,
      name: recorded.name,
      version: recorded.version,
      sdk: recorded.sdk,
      entry: 'plugin.js',
      protocol: recorded.protocol,
      placement: recorded.placement ?? 'cluster',
      isolation,
      requires: recorded.requires ?? [],
      ...(recorded.conflicts ? { conflicts: recorded.conflicts } : {}),
      ...(recorded.replaces ? { replaces: recorded.replaces } : {}),
      provides: recorded.provides,
      needs: recorded.needs,
      ...(recorded.config ? { config: recorded.config } : {}),
      resources: recorded.resources,
      ...(recorded.apis ? { apis: recorded.apis } : {}),
      ...(recorded.commands ? { commands: recorded.commands } : {}),
      ...(recorded.panels ? { panels: recorded.panels } : {}),
      ...(recorded.metrics ? { metrics: recorded.metrics } : {}),
      ...(recorded.networks ? { networks: recorded.networks } : {}),
      limits: { memoryMiB: 128 },
      files: { 'plugin.js': sha256Of(code), ...panels },
    };
    await writeFile(join(work, manifestFile), `${JSON.stringify(manifest, undefined, 2)}\n`);
    await readBundle(work, systemFiles);
    return await putBundle(work, out);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
const failed = (message: string, next: string): PintleError =>
  new PintleError('PLUGIN_BUILD', `the plugin cannot be built: ${message}`, next);

async function bundle(source: string, work: string): Promise<string> {
  const main = join(work, 'main.ts');
  await writeFile(
    main,
    `import plugin from ${JSON.stringify(source)};\nimport { runPlugin } from ${JSON.stringify(runnerPath)};\nawait runPlugin(plugin);\n`,
  );
  const text = bundleSource(resolve(source, '..'), source, {
    entrypoints: [main],
    target: 'bun',
    minify: { whitespace: true, syntax: true },
    plugins: [
      {
        name: 'the SDK of this program',
        setup: (build) => build.onResolve({ filter: /^pintle\/sdk$/ }, () => ({ path: sdkPath })) as unknown as void,
      },
    ],
  });
  return text.finally(() => rm(main));
}

/** Each panel's module, from the source of its name beside plugin.ts, as one file for browsers. Path in the bundle → digest. */
async function panelFiles(
  folder: string,
  work: string,
  panels: readonly { readonly module: string }[],
): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const { module } of panels) {
    const stem = module.replace(/\.js$/, '');
    const source = ['.ts', '.tsx', '.js'].map((ending) => join(folder, stem + ending)).find((path) => existsSync(path));
    if (!/^[\w-]+(\/[\w-]+)*\.js$/.test(module) || module === 'plugin.js' || !source)
      throw failed(`the panel's module ${module} has no source`, `write ${stem}.ts beside plugin.ts`);
    const text = await bundleSource(folder, source, {
      entrypoints: [resolve(source)],
      target: 'browser',
      format: 'esm',
    });
    await mkdir(resolve(work, module, '..'), { recursive: true });
    await writeFile(join(work, module), text);
    files[module] = sha256Of(text);
  }
  return files;
}
