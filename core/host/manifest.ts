import type { KubeObject } from '#api';
import { PintleError } from '#base';
import { type CommandFacts, hookVerbs, type JsonSchema, networkNeed, type Panel, type RestKindFacts } from '#sdk';
import { apiSchemaMistake } from './hooks/rest-schema.ts';
import { isNodeWide, type Placement, placements } from './placement.ts';
import type { MetricFacts } from './plugin-metrics.ts';
import { podGrant } from './rbac.ts';

export const manifestFile = 'plugin.json';
/** Of what host and plugin say to each other. */
export const protocolVersion = 2;
/** What `sdk` ranges of plugins are held against. */
export const sdkVersion = '1.0.0';

/** From the weakest to the strongest. */
export const isolations = ['process', 'sandbox', 'container'] as const;
export type Isolation = (typeof isolations)[number];
/** Pure. */
export const isWeaker = (one: Isolation, than: Isolation): boolean =>
  isolations.indexOf(one) < isolations.indexOf(than);

/** What setup() registers, by name: learned when the plugin is built, held against what it registers when it runs. */
export interface Provides {
  readonly controllers: readonly string[];
  /** `plural.group` of resources with hooks. */
  readonly validates: readonly string[];
  readonly mutates: readonly string[];
  readonly schedules: readonly string[];
  /** Those of `validates` that are asked about deletions too. */
  readonly deletes?: readonly string[];
  /** `plural.group` of kinds with convert(). */
  readonly converts?: readonly string[];
  /** `group/version Kind` of kinds that are served by rest(). */
  readonly apis?: readonly string[];
  readonly authenticators?: readonly string[];
  readonly authorizers?: readonly string[];
  readonly metrics?: readonly string[];
  readonly commands?: readonly string[];
  readonly panels?: readonly string[];
  readonly networks?: readonly string[];
  readonly proxies?: readonly string[];
  readonly runtimes?: readonly string[];
  readonly volumes?: readonly string[];
}
const providesRequired = ['controllers', 'validates', 'mutates', 'schedules'] as const;
export const providesPoints = [
  ...providesRequired,
  'deletes',
  'converts',
  'apis',
  'authenticators',
  'authorizers',
  'metrics',
  'commands',
  'panels',
  'networks',
  'proxies',
  'runtimes',
  'volumes',
] as const satisfies readonly (keyof Provides)[];
/** What others ask the plugin for: its host needs one way to it. */
export const hookPoints = [
  'validates',
  'mutates',
  'schedules',
  'converts',
  'apis',
  'authenticators',
  'authorizers',
] as const;
/** What a node asks the instance on it for. */
export const nodePoints = ['networks', 'proxies', 'runtimes', 'volumes'] as const satisfies readonly (keyof Provides)[];
export type NodePoint = (typeof nodePoints)[number];
/** plugin.json of a built plugin: all that install and start need to know, without running its code. */
export interface PluginManifest {
  readonly formatVersion: 1;
  readonly name: string;
  readonly version: string;
  /** Range of SDK versions, such as ^1.0. */
  readonly sdk: string;
  /** A program for Bun, relative to the manifest. Absent: `container` says what runs. */
  readonly entry?: string;
  readonly protocol: number;
  readonly placement: Placement;
  readonly isolation: Isolation;
  /** Of a plugin that is no program for Bun: what runs in its container. */
  readonly container?: ContainerFacts;
  readonly requires: readonly string[];
  /** Plugins that must not run beside it. */
  readonly conflicts?: readonly string[];
  /** Plugins whose place it takes: it does not run beside them either, and their kinds become its own. */
  readonly replaces?: readonly string[];
  readonly provides: Provides;
  readonly needs: Readonly<Record<string, readonly string[]>>;
  readonly config?: JsonSchema;
  /** CustomResourceDefinitions. */
  readonly resources: readonly KubeObject[];
  /** Facts of what `provides` names. */
  readonly apis?: readonly RestKindFacts[];
  readonly commands?: readonly CommandFacts[];
  readonly panels?: readonly Panel[];
  readonly metrics?: readonly MetricFacts[];
  readonly networks?: readonly { readonly name: string; readonly overheadBytes: number }[];
  readonly limits: { readonly memoryMiB: number };
  /** Path → SHA-256, 64 hex digits, of every other file of the bundle. */
  readonly files: Readonly<Record<string, string>>;
}

export interface ContainerFacts {
  /** As an engine knows it: `registry/name:tag`, better `registry/name@sha256:…`. Its user and network are not used. */
  readonly image: string;
  /** In place of the image's own; the bundle is at /plugin. */
  readonly command?: readonly string[];
}

const bytesMax = 4 * 1024 * 1024;
const verbs = new Set([
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
  ...hookVerbs,
]);
const isVerbOf = (resource: string, verb: string): boolean =>
  ownVerbs[resource]?.includes(verb) || (resource !== networkNeed && verbs.has(verb));
/** Of one resource alone. */
const ownVerbs: Readonly<Record<string, readonly string[]>> = { pods: [podGrant], [networkNeed]: ['outbound'] };

/** Checks everything that later steps rely on. Throws BUNDLE_INVALID with what is wrong. */
export function parseManifest(text: string): PluginManifest {
  if (text.length > bytesMax) throw invalid(`${manifestFile} has more than ${bytesMax} characters`);
  let value: Partial<PluginManifest>;
  try {
    // Keys such as __proto__ would become properties that nobody listed.
    value = JSON.parse(text, (key, one: unknown) => {
      if (key === '__proto__') throw new Error('it has a key __proto__');
      return one;
    }) as Partial<PluginManifest>;
  } catch (error) {
    throw invalid(`${manifestFile} is no JSON that can be used: ${(error as Error).message}`);
  }
  const mistake = mistakeOf(value);
  if (mistake) throw invalid(`${manifestFile}: ${mistake}`);
  return value as PluginManifest;
}

const invalid = (message: string): PintleError =>
  new PintleError('BUNDLE_INVALID', message, 'build the plugin again: ./pintle plugin build');

/** The first mistake in words, or undefined. Pure. */
function mistakeOf(value: Partial<PluginManifest> | null): string | undefined {
  if (!isRecord(value)) return 'it holds no object';
  const { name, version, sdk, files, needs, provides, resources, limits } = value;
  if (value.formatVersion !== 1)
    return `formatVersion ${String(value.formatVersion)} is not 1, the only one known here`;
  if (!isText(name) || !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    return 'name must be lower-case letters, digits and hyphens';
  if (!isText(version) || !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) return 'version must be like 1.2.0';
  if (!isText(sdk)) return 'sdk must be a range such as ^1.0';
  if (!placements.includes(value.placement as Placement)) return `placement must be one of ${placements.join(', ')}`;
  if (!isolations.includes(value.isolation as Isolation)) return `isolation must be one of ${isolations.join(', ')}`;
  if (!isRecord(files) || Object.values(files).some((hash) => !isText(hash) || !/^[0-9a-f]{64}$/.test(hash)))
    return 'files must give a SHA-256 for each path';
  const stray = Object.keys(files).find((path) => !isInside(path));
  if (stray !== undefined) return `the path ${JSON.stringify(stray)} leads out of the bundle`;
  const program = programMistake(value);
  if (program) return program;
  if (!isRecord(needs)) return 'needs must map resources to verbs';
  for (const [resource, list] of Object.entries(needs)) {
    if (!/^[a-z0-9]+(\.[a-z0-9.-]+)?$/.test(resource)) return `needs: ${JSON.stringify(resource)} is no resource`;
    if (!isTexts(list) || list.some((verb) => !isVerbOf(resource, verb)))
      return `needs: ${resource} has a verb that does not exist`;
  }
  if (!isRecord(provides)) return 'provides must list names';
  const misshapen = [
    ...providesRequired.filter((point) => !isTexts(provides[point])),
    ...providesPoints.filter((point) => provides[point] !== undefined && !isTexts(provides[point])),
  ];
  if (misshapen.length > 0) return `provides.${misshapen[0]} must list names`;
  const stranger = Object.keys(provides).find((point) => !providesPoints.includes(point as keyof Provides));
  if (stranger !== undefined) return `provides.${stranger} is no contribution point that this host knows`;
  const asked = isNodeWide(value.placement as Placement) ? hookPoints.filter((point) => provides[point]?.length) : [];
  if (asked.length > 0)
    return `placement ${value.placement}: hooks are asked in one place, so it cannot provide ${asked.join(', ')}`;
  const onNodes = nodePoints.filter((point) => provides[point]?.length);
  if (onNodes.length > 0 && value.placement === 'cluster')
    return `placement cluster: ${onNodes.join(', ')} are for nodes; say placement: "every-node" or "named-nodes"`;
  const misnamed = onNodes.flatMap((point) => provides[point] ?? []).find((one) => !isDnsName(one));
  if (misnamed !== undefined) return `provides: ${JSON.stringify(misnamed)} is no DNS name`;
  const facts = factsMistake(value);
  if (facts) return facts;
  if (!isTexts(value.requires)) return 'requires must list names of plugins';
  for (const relation of ['conflicts', 'replaces'] as const)
    if (value[relation] !== undefined && !isTexts(value[relation])) return `${relation} must list names of plugins`;
  if (!Array.isArray(resources)) return 'resources must be a list of CustomResourceDefinitions';
  if (!isRecord(limits) || !Number.isInteger(limits.memoryMiB) || limits.memoryMiB < 16)
    return 'limits.memoryMiB must be a whole number of at least 16';
  return undefined;
}
const isDnsName = (text: string): boolean =>
  text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text);
/** What runs: a program for Bun, or an image. */
function programMistake({ entry, files = {}, container, isolation }: Partial<PluginManifest>): string | undefined {
  if (container === undefined) return isText(entry) && entry in files ? undefined : 'entry must be one of its files';
  if (isolation !== 'container') return 'container: only isolation container has one';
  if (entry !== undefined) return 'entry and container exclude each other';
  if (!isRecord(container) || Object.keys(container).some((key) => key !== 'image' && key !== 'command'))
    return 'container must give image, and may give command';
  if (!isText(container.image) || !/^[\w][\w./:@-]{0,254}$/.test(container.image)) return 'container.image is no image';
  const { command } = container;
  const fits = command === undefined || (isTexts(command) && command.length > 0 && command.length <= commandWordsMax);
  return fits ? undefined : `container.command must list words, at most ${commandWordsMax}`;
}
const commandWordsMax = 64;

/** What is registered without running any code must be said in full, and only that. */
function factsMistake({
  apis = [],
  commands = [],
  panels = [],
  networks = [],
  provides,
  files,
}: Partial<PluginManifest>): string | undefined {
  const dns = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
  if (![apis, commands, panels, networks].every((list) => Array.isArray(list) && list.every(isRecord)))
    return 'apis, commands, panels and networks must be lists of objects';
  for (const { group, version, kind, plural, namespaced, verbs, schema } of apis) {
    const named = [group, version, plural].every((text) => isText(text) && dns.test(text)) && group.includes('.');
    if (!named || !isText(kind) || !/^[A-Z]\w*$/.test(kind) || typeof namespaced !== 'boolean' || !isTexts(verbs))
      return 'apis must give group, version, kind, plural, namespaced and verbs';
    if (!provides?.apis?.includes(`${group}/${version} ${kind}`))
      return `provides.apis does not name ${group}/${version} ${kind}`;
    const wrong = schema === undefined ? undefined : apiSchemaMistake(schema);
    if (wrong) return `apis: the schema of ${kind} ${wrong}`;
  }
  for (const { name, help } of commands)
    if (!isText(name) || !dns.test(name) || !isText(help) || !provides?.commands?.includes(name))
      return 'commands must give name and help, and provides.commands their names';
  for (const { name, title, module } of panels)
    if (
      !isText(name) ||
      !isText(title) ||
      !isText(module) ||
      !(module in (files ?? {})) ||
      !provides?.panels?.includes(name)
    )
      return 'panels must give name, title and a module of the bundle, and provides.panels their names';
  for (const name of provides?.networks ?? []) {
    const bytes = networks.find((one) => one.name === name)?.overheadBytes;
    if (!Number.isSafeInteger(bytes) || bytes! < 0 || bytes! > overheadBytesMax)
      return `networks must give overheadBytes of ${name}, 0 to ${overheadBytesMax}`;
  }
  return undefined;
}
const overheadBytesMax = 512;
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
/** A relative path of plain parts. */
export const isInside = (path: string): boolean =>
  path.length <= 255 && path.split('/').every((part) => /^[\w][\w.-]*$/.test(part) && part !== '..');

/** `^1.0` against 1.2.0 and the like: caret, tilde, exact or `*`. Pure. */
export const satisfies = (version: string, range: string): boolean => Bun.semver.satisfies(version, range);
