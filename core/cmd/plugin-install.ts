import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isReason } from '#api';
import { messageOf, PintleError, systemClock, systemExec, systemFiles } from '#base';
import type { Client } from '#client';
import { type Bundle, readBundle } from '../host/bundle.ts';
import { bundleFolder } from '../host/host.ts';
import { type PluginObject, type PluginSpec, pluginKind } from '../host/kind.ts';
import { manifestFile } from '../host/manifest.ts';
import { uncarried } from '../host/provides.ts';
import { dangerous, unapproved } from '../host/rbac.ts';
import { connect } from './connect.ts';
import { type Home, openHome } from './home.ts';
import type { PluginOptions } from './plugin.ts';
import { buildPlugin } from './plugin-build.ts';
import { createProgress } from './progress.ts';

const activeMsMax = 60_000;
type Needs = Readonly<Record<string, readonly string[]>>;

/** From a source folder (built first), a built folder or a tarball: verified, shown, confirmed, started. The same for a newer version. */
export async function install(source: string, options: PluginOptions): Promise<void> {
  const home = openHome(options.home);
  const client = connect(home, home.read(), 'admin');
  const progress = createProgress();
  const config = configOf(options.config);
  const work = await mkdtemp(join(tmpdir(), 'pintle-install-'));
  try {
    const bundle = await progress.step(`reading ${source}`, () => bundleOf(resolve(source), work));
    for (const hook of uncarried(bundle.manifest.provides))
      progress.note(`note: its ${hook} is not used: only built-in plugins can contribute that`);
    const { name, version, needs } = bundle.manifest;
    const former = await find(client, name);
    confirmNeeds(bundle, former?.spec?.approvedNeeds ?? {}, options);
    await keep(home, bundle);
    await write(client, former, {
      name,
      spec: { source, digest: bundle.digest, version, approvedNeeds: needs, ...(config ? { config } : {}) },
    });
    await progress.step(`starting ${name} ${version}`, () => becomesActive(client, name, version));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function bundleOf(source: string, work: string): Promise<Bundle> {
  if (existsSync(join(source, 'plugin.ts'))) return buildPlugin(source, join(work, 'built'));
  if (existsSync(join(source, manifestFile))) return readBundle(source, systemFiles);
  if (!/\.(tgz|tar\.gz|tar)$/.test(source) || !existsSync(source))
    throw new PintleError(
      'PLUGIN_SOURCE',
      `${source} is neither a folder with plugin.ts or ${manifestFile} nor a tarball`,
      'npm packages and OCI artifacts are not built yet: name a folder or a .tgz file',
    );
  const out = join(work, 'unpacked');
  await mkdir(out);
  // Names that lead out, links and devices are refused while reading what was unpacked; tar itself refuses `..` and /.
  const result = await systemExec.run(['tar', '-xf', source, '-C', out, '--no-same-owner', '--no-same-permissions']);
  if (result.code !== 0)
    throw new PintleError(
      'PLUGIN_SOURCE',
      `${source} cannot be unpacked: ${result.stderr.trim()}`,
      'make it with: tar -czf NAME.tgz -C dist .',
    );
  return readBundle(existsSync(join(out, 'package', manifestFile)) ? join(out, 'package') : out, systemFiles);
}

function confirmNeeds({ manifest }: Bundle, approved: Needs, options: PluginOptions): void {
  const { name, version, needs } = manifest;
  const added = unapproved(needs, approved);
  const grave = dangerous(needs).filter((line) => unapproved(needs, approved).length > 0 && line);
  if (added.length > 0)
    process.stderr.write(`${name} ${version} asks for:\n${added.map((line) => `  ${line}\n`).join('')}`);
  if (grave.length > 0 && !options.approveDangerous)
    throw new PintleError(
      'NEEDS_DANGEROUS',
      `${name} wants rights that let it become somebody else: ${grave.join('; ')}`,
      'if you trust it as you trust an administrator, add --approve-dangerous',
    );
  if (added.length === 0 || options.yes) return;
  if (process.stdin.isTTY && confirm('Approve?')) return;
  throw new PintleError(
    'NEEDS_NOT_APPROVED',
    `${name} was not installed: its needs were not approved`,
    'add --yes to approve them',
  );
}

/** Into the host's store, whole or not at all; readable for the plugin's own user. */
async function keep(home: Home, { folder, manifest, digest }: Bundle): Promise<void> {
  const target = bundleFolder(home.path('plugins'), manifest.name, digest);
  if (existsSync(target)) return;
  await mkdir(resolve(target, '..'), { recursive: true });
  await rm(`${target}.new`, { recursive: true, force: true });
  await cp(folder, `${target}.new`, { recursive: true });
  await chmod(`${target}.new`, 0o755);
  await rename(`${target}.new`, target);
}

const find = (client: Client, name: string): Promise<PluginObject | undefined> =>
  client.get(pluginKind, { name }).catch((error: unknown) => {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  });

async function write(
  client: Client,
  former: PluginObject | undefined,
  { name, spec }: { name: string; spec: PluginSpec },
): Promise<void> {
  if (former) await client.update(pluginKind, { ...former, spec: { ...former.spec, ...spec } });
  else
    await client.create(pluginKind, { apiVersion: 'plugins.pintle.dev/v1', kind: 'Plugin', metadata: { name }, spec });
}

async function becomesActive(client: Client, name: string, version: string): Promise<void> {
  const endMs = systemClock.monotonicMs() + activeMsMax;
  for (;;) {
    const { status, metadata } = await client.get(pluginKind, { name });
    const isNow = status?.observedGeneration === metadata.generation;
    if (isNow && status?.phase === 'Active' && status.activeVersion === version) return;
    const bad = status?.conditions?.find((one) => one.status === 'False' && one.message !== '');
    const isRefused = bad !== undefined && bad.type !== 'Healthy';
    const over = isNow && (status?.phase === 'Failed' || status?.phase === 'Quarantined' || isRefused);
    if (over || systemClock.monotonicMs() > endMs)
      throw new PintleError(
        'PLUGIN_NOT_ACTIVE',
        `${name} ${version} is ${status?.phase ?? 'not seen by the host'}: ${bad?.message ?? 'no reason is known'}`,
        `./pintle plugin show ${name}`,
      );
    await systemClock.sleep(20);
  }
}

function configOf(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw new Error('it is no object');
  } catch (error) {
    throw new PintleError(
      'BAD_PLUGIN_CONFIG',
      `--config cannot be used: ${messageOf(error)}`,
      `write it as --config '{"name": "value"}'`,
    );
  }
}

/** Back to the version that was healthy before the one that is asked for. */
export async function rollback(name: string, options: PluginOptions): Promise<void> {
  const home = openHome(options.home);
  const client = connect(home, home.read(), 'admin');
  const plugin = await client.get(pluginKind, { name });
  const { lastGood, previous } = plugin.status ?? {};
  const good = [lastGood, previous].find((one) => one && one.digest !== plugin.spec?.digest);
  if (!good)
    throw new PintleError(
      'NO_ROLLBACK',
      `${name} has no other version that was healthy`,
      `./pintle plugin show ${name}`,
    );
  const { needs } = (await readBundle(bundleFolder(home.path('plugins'), name, good.digest), systemFiles, good.digest))
    .manifest;
  await write(client, plugin, { name, spec: { digest: good.digest, version: good.version, approvedNeeds: needs } });
  await createProgress().step(`going back to ${name} ${good.version}`, () => becomesActive(client, name, good.version));
}

export async function uninstall(name: string, options: PluginOptions): Promise<void> {
  const home = openHome(options.home);
  const client = connect(home, home.read(), 'admin');
  await client.get(pluginKind, { name });
  if (options.purge) {
    if (
      !options.yes &&
      !(process.stdin.isTTY && prompt(`Its custom resources and all their objects go too. Type ${name}:`) === name)
    )
      throw new PintleError(
        'NOT_CONFIRMED',
        `${name} was not removed: nobody confirmed that its data goes`,
        'add --yes',
      );
    await client.patch(pluginKind, { name }, { type: 'merge', body: { spec: { dataPolicy: 'Delete' } } });
  }
  await createProgress().step(`removing ${name}`, async () => {
    await client.delete(pluginKind, { name });
    const endMs = systemClock.monotonicMs() + activeMsMax;
    while (await find(client, name)) {
      if (systemClock.monotonicMs() > endMs)
        throw new PintleError('PLUGIN_NOT_GONE', `${name} is still being removed`, './pintle logs controllers');
      await systemClock.sleep(50);
    }
  });
}
