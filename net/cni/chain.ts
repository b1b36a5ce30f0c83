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
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[];
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

/** The first list of a folder by name, as every CNI user picks it. Throws when there is none. */
export function loadCniList(folder: string): CniList {
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const name = names.find((each) => /\.(conflist|conf|json)$/.test(each));
  if (!name) throw new Error(`no CNI configuration in ${folder}: put a .conflist there`);
  return parseCniList(readFileSync(join(folder, name), 'utf8'), name);
}

export function parseCniList(text: string, name: string): CniList {
  const parsed = JSON.parse(text) as Partial<CniList> & { type?: string };
  const plugins = parsed.plugins ?? (parsed.type ? [parsed as CniPluginConfig] : []);
  if (!parsed.name || plugins.length === 0)
    throw new Error(`${name} is no CNI configuration: it lacks a name or plugins`);
  return {
    cniVersion: parsed.cniVersion ?? '0.2.0',
    name: parsed.name,
    plugins,
    ...(parsed.disableCheck ? { disableCheck: true } : {}),
  };
}

/** What one plugin gets on its stdin. Pure. */
export function pluginInput(
  list: CniList,
  plugin: CniPluginConfig,
  call: CniCall,
  previous: CniResult | undefined,
): object {
  const { capabilities, ...config } = plugin;
  const wanted = Object.entries(call.runtimeConfig).filter(([name]) => capabilities?.[name]);
  return {
    ...config,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(wanted.length ? { runtimeConfig: Object.fromEntries(wanted) } : {}),
    ...(previous ? { prevResult: previous } : {}),
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
    let failure: unknown;
    for (const plugin of [...this.list.plugins].reverse())
      try {
        await this.#run('DEL', plugin, call, previous);
      } catch (error) {
        failure ??= error;
      }
    if (failure) throw failure;
  }

  /** True when the plugins confirm that the attachment stands. */
  async check(call: CniCall, previous: CniResult): Promise<boolean> {
    if (this.list.disableCheck || /^0\.[0-3]\./.test(this.list.cniVersion)) return true;
    try {
      for (const plugin of this.list.plugins) await this.#run('CHECK', plugin, call, previous);
      return true;
    } catch {
      return false;
    }
  }

  async #run(
    command: 'ADD' | 'DEL' | 'CHECK',
    plugin: CniPluginConfig,
    call: CniCall,
    previous: CniResult | undefined,
  ) {
    const program = this.binFolders.map((folder) => join(folder, plugin.type)).find((path) => existsSync(path));
    if (!program) throw new Error(`the CNI plugin ${plugin.type} is not in ${this.binFolders.join(':')}`);
    const args = Object.entries({ IgnoreUnknown: '1', ...call.args }).map(([name, value]) => `${name}=${value}`);
    const result = await this.exec.run([program], {
      stdin: JSON.stringify(pluginInput(this.list, plugin, call, previous)),
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: call.containerId,
        CNI_NETNS: call.netnsPath,
        CNI_IFNAME: call.interfaceName,
        CNI_PATH: this.binFolders.join(':'),
        CNI_ARGS: args.join(';'),
      },
      timeoutMs: 60_000,
    });
    if (result.code !== 0)
      throw new Error(`plugin type="${plugin.type}" failed (${command.toLowerCase()}): ${errorText(result)}`);
    return result.stdout.trim() ? (JSON.parse(result.stdout) as CniResult) : undefined;
  }
}

function errorText(result: { code: number; stdout: string; stderr: string }): string {
  try {
    const error = JSON.parse(result.stdout) as { msg?: string; details?: string };
    if (error.msg) return error.details ? `${error.msg}; ${error.details}` : error.msg;
  } catch {} // a plugin that crashed prints no JSON
  return (result.stderr || result.stdout).trim() || `code ${result.code}`;
}
