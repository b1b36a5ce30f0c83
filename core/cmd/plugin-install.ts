import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isReason } from '#api';
import { messageOf, PintleError, systemClock, systemFiles } from '#base';
import type { Client } from '#client';
import { type Bundle, readBundle } from '../host/bundle.ts';
import { configMistakes } from '../host/config-check.ts';
import { type PluginObject, type PluginSpec, pluginKind } from '../host/kind.ts';
import { type Isolation, isolations, isWeaker, manifestFile, parseManifest } from '../host/manifest.ts';
import { nodePowers } from '../host/provides.ts';
import { dangerous, unapproved } from '../host/rbac.ts';
import { bundleFolder } from '../host/verify.ts';
import { connect } from './connect.ts';
import { type Home, openHome } from './home.ts';
import type { PluginOptions } from './plugin.ts';
import { bundleFrom } from './plugin-sources.ts';
import { createProgress } from './progress.ts';

export const activeMsMax = 60_000;
type Needs = Readonly<Record<string, readonly string[]>>;

/** From any source (see plugin-sources.ts): verified, shown, confirmed, started. The same for a newer version. */
export async function install(source: string, options: PluginOptions, mustExist = false): Promise<void> {
  const home = openHome(options.home);
  const client = connect(home, home.read(), 'admin');
  const progress = createProgress();
  const config = configOf(options.config);
  const work = await mkdtemp(join(tmpdir(), 'pintle-install-'));
  try {
    const bundle = await progress.step(`reading ${source}`, () => bundleFrom(source, work, options.digest));
    const { name, version, needs } = bundle.manifest;
    const former = await find(client, name);
    if (mustExist && !former)
      throw new PintleError('PLUGIN_REFUSED', `${name} is not installed`, `./pintle plugin install ${source}`);
    checkOrder(bundle, former);
    checkConfig(bundle, config ?? former?.spec?.config ?? {});
    confirmNeeds(bundle, former?.spec?.approvedNeeds, options);
    confirmPowers(bundle, await powersNow(home, former), options);
    const nodes = nodesOf(bundle, options.nodes, former);
    const isolation = isolationOf(bundle, options.isolation);
    await keep(home, bundle);
    await write(client, former, {
      name,
      spec: {
        source,
        digest: bundle.digest,
        version,
        approvedNeeds: needs,
        ...(config ? { config } : {}),
        ...(nodes ? { nodes } : {}),
        ...(isolation ? { isolation } : {}),
      },
    });
    const doing = former
      ? `upgrading ${name} from ${former.status?.activeVersion ?? former.spec?.version} to ${version}`
      : `starting ${name} ${version}`;
    await progress.step(doing, () => becomesActive(client, name, version));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
export const upgrade = (source: string, options: PluginOptions): Promise<void> => install(source, options, true);

/** What --nodes says. Throws PLUGIN_REFUSED when the placement and the choice do not fit. */
function nodesOf({ manifest }: Bundle, text: string | undefined, former: PluginObject | undefined) {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const named = manifest.placement === 'named-nodes';
  if (named && names.length === 0 && !former?.spec?.nodes)
    throw new PintleError(
      'PLUGIN_REFUSED',
      `${manifest.name} runs on the nodes that you name, and none is named`,
      'add --nodes NODE,NODE; labels can be given in spec.nodes.matchLabels of its Plugin object later',
    );
  if (!named && names.length > 0)
    throw new PintleError(
      'PLUGIN_REFUSED',
      `${manifest.name} has the placement ${manifest.placement}: it does not run on named nodes`,
      'leave --nodes out',
    );
  return names.length > 0 ? { names } : undefined;
}

/** What --isolation says. Throws PLUGIN_REFUSED for what is no level, or a weaker one. */
function isolationOf({ manifest }: Bundle, text: string | undefined): Isolation | undefined {
  const level = isolations.find((one) => one === text);
  if (text === undefined || (level && !isWeaker(level, manifest.isolation))) return level;
  throw new PintleError(
    'PLUGIN_REFUSED',
    level
      ? `${manifest.name} asks for isolation ${manifest.isolation}, which is stronger than ${level}`
      : `there is no isolation ${text}`,
    `leave --isolation out, or name one of: ${isolations.filter((one) => !isWeaker(one, manifest.isolation)).join(', ')}`,
  );
}

/** An older version is not slipped in as an upgrade. */
function checkOrder({ manifest }: Bundle, former: PluginObject | undefined): void {
  const { name, version } = manifest;
  const there = former?.spec?.version;
  if (there !== undefined && Bun.semver.order(version, there) < 0)
    throw new PintleError(
      'PLUGIN_DOWNGRADE',
      `${name} ${there} is installed, and ${version} is older`,
      `./pintle plugin rollback ${name}`,
    );
}
function checkConfig({ manifest }: Bundle, config: Readonly<Record<string, unknown>>): void {
  const mistakes = configMistakes(manifest.config, config);
  if (mistakes.length > 0)
    throw new PintleError(
      'BAD_PLUGIN_CONFIG',
      `the configuration of ${manifest.name} cannot be used: ${mistakes.join('; ')}`,
      `give it as --config '{"name": "value"}'`,
    );
}

/** What a newer version asks for beyond the former one (`+`), and what it asks for no more (`-`). Pure. */
export function needsDiff(needs: Needs, approved: Needs): string[] {
  const added = unapproved(needs, approved).map((line) => `+ ${line}`);
  return [...added, ...unapproved(approved, needs).map((line) => `- ${line}`)];
}

function confirmNeeds({ manifest }: Bundle, approved: Needs | undefined, options: PluginOptions): void {
  const { name, version, needs } = manifest;
  const diff = needsDiff(needs, approved ?? {});
  const added = addedNeeds(needs, approved ?? {});
  const grave = dangerous(added);
  if (diff.length > 0)
    process.stderr.write(
      approved
        ? `${name} ${version} changes what it asks for:\n${diff.map((line) => `  ${line}\n`).join('')}`
        : `${name} ${version} asks for:\n${unapproved(needs, {})
            .map((line) => `  ${line}\n`)
            .join('')}`,
    );
  if (grave.length > 0 && !options.approveDangerous)
    throw new PintleError(
      'NEEDS_DANGEROUS',
      `${name} wants rights that let it become somebody else: ${grave.join('; ')}`,
      'if you trust it as you trust an administrator, add --approve-dangerous',
    );
  if (Object.keys(added).length === 0 || options.yes) return;
  if (process.stdin.isTTY && confirm('Approve?')) return;
  throw new PintleError(
    'NEEDS_NOT_APPROVED',
    `${name} was not installed: its needs were not approved`,
    'add --yes to approve them',
  );
}
/** What it does on nodes is as much as a right: it is shown, and confirmed when it is more than before. */
function confirmPowers({ manifest }: Bundle, before: readonly string[], options: PluginOptions): void {
  const more = nodePowers(manifest.provides).filter((line) => !before.includes(line));
  if (more.length === 0 || options.approveDangerous) return;
  throw new PintleError(
    'NEEDS_DANGEROUS',
    `${manifest.name} works for every pod of its nodes: ${more.join('; ')}`,
    'if you trust it as you trust an administrator, add --approve-dangerous',
  );
}
async function powersNow(home: Home, former: PluginObject | undefined): Promise<readonly string[]> {
  const { metadata, spec } = former ?? {};
  if (!metadata?.name || !spec) return [];
  const file = join(bundleFolder(home.path('plugins'), metadata.name, spec.digest), manifestFile);
  return readFile(file, 'utf8').then(
    (text) => nodePowers(parseManifest(text).provides),
    () => [], // its bundle is gone: all of it is asked again
  );
}
/** Pure. */
function addedNeeds(needs: Needs, approved: Needs): Needs {
  const rest = Object.entries(needs).map(
    ([resource, verbs]) => [resource, verbs.filter((verb) => !approved[resource]?.includes(verb))] as const,
  );
  return Object.fromEntries(rest.filter(([, verbs]) => verbs.length > 0));
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

export const find = (client: Client, name: string): Promise<PluginObject | undefined> =>
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
        `${name} ${version} is not active${goesOn(name, version, status)}: ${bad?.message ?? 'no reason is known'}`,
        `./pintle plugin show ${name}`,
      );
    await systemClock.sleep(20);
  }
}

/** Who does the work meanwhile. Pure. */
function goesOn(name: string, version: string, status: PluginObject['status']): string {
  if (!status) return ' (the host has not seen it)';
  const { phase, activeVersion } = status;
  return phase === 'Active' && activeVersion !== version ? `, ${name} ${activeVersion} goes on` : ` but ${phase}`;
}

export function configOf(text: string | undefined): Record<string, unknown> | undefined {
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
