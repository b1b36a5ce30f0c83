import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Exec } from '#base';

/** CNI by its specification: configuration lists, and plugins run as child processes with JSON in and out. */
export interface CniPluginConfig {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}
export interface CniList {
  readonly cniVersion: string;
  readonly name: string;
  readonly disableCheck?: boolean;
  readonly plugins: readonly CniPluginConfig[];
}
export interface CniResult {
  readonly cniVersion?: string;
  readonly ips?: readonly { readonly address: string; readonly gateway?: string; readonly interface?: number }[];
  readonly interfaces?: readonly { readonly name: string; readonly sandbox?: string }[];
  /** Before 0.3.0. */
  readonly ip4?: { readonly ip: string; readonly gateway?: string };
  readonly ip6?: { readonly ip: string; readonly gateway?: string };
  readonly [key: string]: unknown;
}
export interface CniCall {
  readonly containerId: string;
  readonly netnsPath: string;
  readonly interfaceName: string;
  /** `K8S_POD_NAME` and so on. */
  readonly args: Readonly<Record<string, string>>;
  /** Passed to the plugins that declare the capability. */
  readonly runtimeConfig: Readonly<Record<string, unknown>>;
}

/** What a plugin answered instead of a result. */
export class CniError extends Error {
  constructor(
    text: string,
    /** By the specification: 1-99 are its own, 100 and above the plugin's. Absent: it died without an answer. */
    readonly code?: number,
  ) {
    super(text);
  }
}
const codes = { unknownContainer: 3, notAvailable: 50, limitedConnectivity: 51 } as const;

/** The first list of a folder by name, as every CNI user picks it. Throws when there is none. */
export function loadCniList(folder: string): CniList {
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const name = names.find((each) => /\.(conflist|conf|json)$/.test(each));
  if (!name) throw new Error(`no CNI configuration in ${folder}: put a .conflist there`);
  return parseCniList(readFileSync(join(folder, name), 'utf8'), name);
}

export function parseCniList(text: string, name: string): CniList {
  let parsed: Partial<CniList> & { type?: string; cniVersions?: readonly string[] };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch (error) {
    throw new Error(`${name} is no CNI configuration: ${(error as Error).message}`);
  }
  const plugins = parsed.plugins ?? (parsed.type ? [parsed as CniPluginConfig] : []);
  if (!parsed.name || !Array.isArray(plugins) || plugins.length === 0)
    throw new Error(`${name} is no CNI configuration: it lacks a name or plugins`);
  if (!/^[a-zA-Z0-9][\w.-]*$/.test(parsed.name))
    throw new Error(`${name} is no CNI configuration: ${JSON.stringify(parsed.name)} is no name of a network`);
  const nameless = plugins.findIndex(({ type }) => typeof type !== 'string' || !/^[\w.-]+$/.test(type));
  if (nameless >= 0) throw new Error(`${name} is no CNI configuration: plugin ${nameless + 1} has no type`);
  const versions = [...(parsed.cniVersions ?? []), ...(parsed.cniVersion ? [parsed.cniVersion] : [])];
  const cniVersion =
    versions.filter(isKnownVersion).sort(compareVersions).at(-1) ?? (versions.length ? undefined : '0.2.0');
  if (!cniVersion) throw new Error(`${name} wants CNI ${versions.join(', ')}; 0.1.0 to 1.1.0 are spoken`);
  return { cniVersion, name: parsed.name, plugins, ...(parsed.disableCheck ? { disableCheck: true } : {}) };
}

const numbersOf = (version: string): number[] => version.split('.').map(Number);
function compareVersions(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  const index = left.findIndex((number, at) => number !== right[at]);
  return index < 0 ? 0 : left[index]! - right[index]!;
}
const isKnownVersion = (version: string): boolean =>
  /^\d+\.\d+\.\d+$/.test(version) && compareVersions(version, '1.2.0') < 0;
const since = (list: CniList, version: string): boolean => compareVersions(list.cniVersion, version) >= 0;

/** What one plugin gets on its stdin. Pure. */
export function pluginInput(
  list: CniList,
  plugin: CniPluginConfig,
  call: Pick<CniCall, 'runtimeConfig'>,
  previous: CniResult | undefined,
  extra: object = {},
): object {
  const { capabilities, ...config } = plugin;
  const wanted = Object.entries(call.runtimeConfig).filter(([name]) => capabilities?.[name]);
  return {
    ...config,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(wanted.length ? { runtimeConfig: Object.fromEntries(wanted) } : {}),
    ...(previous ? { prevResult: previous } : {}),
    ...extra,
  };
}

export class CniChain {
  constructor(
    readonly list: CniList,
    readonly binFolders: readonly string[],
    readonly exec: Exec,
  ) {}

  async add(call: CniCall): Promise<CniResult> {
    let result: CniResult | undefined;
    for (const plugin of this.list.plugins) result = await this.#run('ADD', plugin, call, result);
    return result!;
  }

  /** In reverse order; goes on after a failure and throws the first one at the end. */
  async remove(call: CniCall, previous: CniResult | undefined): Promise<void> {
    const result = since(this.list, '0.4.0') ? previous : undefined;
    await this.#each([...this.list.plugins].reverse(), 'DEL', call, result);
  }

  /** False when a plugin says that the attachment does not stand. One that dies of the question has said nothing. */
  async check(call: CniCall, previous: CniResult): Promise<boolean> {
    if (this.list.disableCheck || !since(this.list, '0.4.0')) return true;
    for (const plugin of this.list.plugins)
      try {
        await this.#run('CHECK', plugin, call, previous);
      } catch (error) {
        if (error instanceof CniError && error.code !== undefined) return false;
      }
    return true;
  }

  /** Lets the plugins drop what belongs to none of these attachments. Needs CNI 1.1; else it does nothing. */
  async collect(valid: readonly Pick<CniCall, 'containerId' | 'interfaceName'>[]): Promise<void> {
    if (!since(this.list, '1.1.0')) return;
    const attachments = valid.map((one) => ({ containerID: one.containerId, ifname: one.interfaceName }));
    await this.#each(this.list.plugins, 'GC', undefined, undefined, { 'cni.dev/valid-attachments': attachments });
  }

  /** Throws what keeps the plugins from serving further pods. Before CNI 1.1 nothing can be asked. */
  async status(): Promise<void> {
    if (!since(this.list, '1.1.0')) return;
    for (const plugin of this.list.plugins)
      try {
        await this.#run('STATUS', plugin, undefined, undefined);
      } catch (error) {
        const { code } = error as CniError;
        if (code === codes.notAvailable || code === codes.limitedConnectivity) throw error;
      }
  }

  async #each(
    plugins: readonly CniPluginConfig[],
    command: 'DEL' | 'GC',
    call: CniCall | undefined,
    previous: CniResult | undefined,
    extra?: object,
  ): Promise<void> {
    let failure: unknown;
    for (const plugin of plugins)
      try {
        await this.#run(command, plugin, call, previous, extra);
      } catch (error) {
        if ((error as CniError).code !== codes.unknownContainer) failure ??= error;
      }
    if (failure) throw failure;
  }

  async #run(
    command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS',
    plugin: CniPluginConfig,
    call: CniCall | undefined,
    previous: CniResult | undefined,
    extra?: object,
  ) {
    const program = this.binFolders.map((folder) => join(folder, plugin.type)).find((path) => existsSync(path));
    if (!program) throw new CniError(`the CNI plugin ${plugin.type} is not in ${this.binFolders.join(':')}`);
    const args = Object.entries({ IgnoreUnknown: '1', ...call?.args }).map(([name, value]) => `${name}=${value}`);
    const input = pluginInput(this.list, plugin, call ?? { runtimeConfig: {} }, previous, extra);
    const result = await this.exec.run([program], {
      stdin: JSON.stringify(input),
      env: {
        CNI_COMMAND: command,
        CNI_PATH: this.binFolders.join(':'),
        ...(call
          ? {
              CNI_CONTAINERID: call.containerId,
              CNI_NETNS: call.netnsPath,
              CNI_IFNAME: call.interfaceName,
              CNI_ARGS: args.join(';'),
            }
          : {}),
      },
      timeoutMs: 60_000,
    });
    if (result.code !== 0) {
      const { text, code } = errorOf(result);
      throw new CniError(`plugin type="${plugin.type}" failed (${command.toLowerCase()}): ${text}`, code);
    }
    if (command !== 'ADD' || !result.stdout.trim()) return undefined;
    try {
      return JSON.parse(result.stdout) as CniResult;
    } catch {
      throw new CniError(`plugin type="${plugin.type}" answered with something else than a result`);
    }
  }
}

function errorOf(result: { code: number; stdout: string; stderr: string }): { text: string; code?: number } {
  try {
    const { msg, details, code } = JSON.parse(result.stdout) as { msg?: string; details?: string; code?: number };
    if (msg) return { text: details ? `${msg}; ${details}` : msg, ...(typeof code === 'number' ? { code } : {}) };
  } catch {} // a plugin that crashed prints no JSON
  const said = (result.stderr || result.stdout).trim();
  return { text: said.split('\n').slice(0, 3).join(' ').slice(0, 300) || `code ${result.code}` };
}
