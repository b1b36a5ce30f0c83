import { existsSync, readFileSync } from 'node:fs';
import { messageOf, PintleError, spawnDuplex, systemClock, systemFiles } from '#base';
import { type CommandFacts, commandFacts, type Command as PluginCommand } from '#sdk';
import { readBundle } from '../host/bundle.ts';
import { runPluginCommand } from '../host/command.ts';
import { pluginKind } from '../host/kind.ts';
import { bundleFolder } from '../host/verify.ts';
import type { Catalog } from './catalog.ts';
import { connect } from './connect.ts';
import { type Home, openHome } from './home.ts';
import { pluginContainers } from './plugin-containers.ts';

/**
 * `./pintle PLUGIN COMMAND [--flag value] [word …]` under the rights of the home's administrator, within 30 s.
 * False: no plugin of that name is installed here, so the words mean something else.
 */
export async function pluginCommand(argv: readonly string[], catalog: Catalog): Promise<boolean> {
  const { home: homeFolder, rest } = takeHome(argv);
  const [plugin = '', name, ...words] = rest;
  const builtin = catalog.find((one) => one.name === plugin && one.enabled)?.commands;
  if (builtin) return builtinCommand(plugin, (await builtin()).default.commands, name, words);
  const home = openHome(homeFolder);
  if (!/^[a-z0-9][-a-z0-9]*$/.test(plugin) || !home.exists() || !existsSync(home.path('plugins', plugin))) return false;
  const { status, spec } = await connect(home, home.read(), 'admin').get(pluginKind, { name: plugin });
  const facts = chosenCommand(plugin, status?.commands ?? [], name, words);
  if (!facts) return true;
  const digest = status?.activeVersion === spec?.version ? spec!.digest : (status?.lastGood?.digest ?? spec!.digest);
  const bundle = await readBundle(bundleFolder(home.path('plugins'), plugin, digest), systemFiles, digest);
  await runPluginCommand({
    bundle,
    command: { name: facts.name, ...parseFlags(facts, words) },
    config: spec?.config ?? {},
    ...wayTo(home),
    isolation: spec?.isolation ?? bundle.manifest.isolation,
    spawn: spawnDuplex,
    files: systemFiles,
    clock: systemClock,
    runFolder: home.path('run', 'p'),
    print: (line) => void process.stdout.write(`${line}\n`),
  });
  return true;
}

/** The one that was named; undefined: help was asked for, and shown. Throws UNKNOWN_PLUGIN_COMMAND. */
function chosenCommand(
  plugin: string,
  commands: readonly CommandFacts[],
  name: string | undefined,
  words: readonly string[],
): CommandFacts | undefined {
  const facts = commands.find((one) => one.name === name);
  if (name === undefined || name === '--help' || name === '-h' || (facts && words.includes('--help'))) {
    process.stdout.write(helpText(plugin, facts ? [facts] : commands));
    return undefined;
  }
  if (facts) return facts;
  throw new PintleError(
    'UNKNOWN_PLUGIN_COMMAND',
    `${plugin} has no command ${name}`,
    `./pintle ${plugin} --help lists them`,
  );
}

/** Of the distribution: in this process, without a cluster. */
async function builtinCommand(
  plugin: string,
  commands: readonly PluginCommand[],
  name: string | undefined,
  words: readonly string[],
): Promise<boolean> {
  const facts = chosenCommand(plugin, commands.map(commandFacts), name, words);
  const command = facts && commands.find((one) => one.name === facts.name);
  if (!command) return true;
  try {
    const print = (line: string) => void process.stdout.write(`${line}\n`);
    await command.run({ ...parseFlags(facts, words), print, signal: new AbortController().signal });
  } catch (error) {
    if (error instanceof PintleError) throw error;
    throw new PintleError('PLUGIN_COMMAND', `${plugin} ${facts.name}: ${messageOf(error)}`, 'see its --help');
  }
  return true;
}

function wayTo(home: Home) {
  const config = home.read();
  const ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
  return {
    token: (home.readFile('credentials/admin.token') ?? '').trim(),
    fetch: (request: Request) => fetch(request, { tls: { ca } }),
    baseUrl: `https://127.0.0.1:${config.port}`,
    clusterId: config.clusterId,
    ...(config.engine ? { containers: pluginContainers(config.engine.socket, systemClock) } : {}),
  };
}

function takeHome(argv: readonly string[]): { readonly home?: string; readonly rest: readonly string[] } {
  const at = argv.indexOf('--home');
  return at < 0
    ? { rest: argv }
    : { home: argv[at + 1], rest: argv.filter((_, index) => index < at || index > at + 1) };
}

interface FlagType {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
}
const typesOf = ({ flags }: Pick<CommandFacts, 'flags'>): Readonly<Record<string, FlagType>> =>
  (flags?.['properties'] ?? {}) as Readonly<Record<string, FlagType>>;

/** `--name value`, `--name=value`, `--name` for booleans; all else are words, and all behind `--`. Throws BAD_PLUGIN_FLAG. Pure. */
export function parseFlags(
  facts: Pick<CommandFacts, 'name' | 'flags'>,
  argv: readonly string[],
): { readonly flags: Record<string, unknown>; readonly words: string[] } {
  const types = typesOf(facts);
  const flags: Record<string, unknown> = {};
  const words: string[] = [];
  const bad = (message: string): PintleError =>
    new PintleError('BAD_PLUGIN_FLAG', `${facts.name}: ${message}`, 'see its --help');
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index]!;
    if (word === '--') {
      words.push(...argv.slice(index + 1));
      break;
    }
    if (!word.startsWith('--')) {
      words.push(word);
      continue;
    }
    const [flag = '', ...given] = word.slice(2).split('=');
    const { type } = Object.hasOwn(types, flag) ? types[flag]! : {};
    if (type === undefined) throw bad(`there is no flag --${flag}`);
    const text = given.length > 0 ? given.join('=') : type === 'boolean' ? 'true' : argv[++index];
    if (text === undefined) throw bad(`--${flag} needs a value`);
    const value = flagValue(type, text);
    if (value === undefined) throw bad(`--${flag} ${text} is no ${type}`);
    flags[flag] = value;
  }
  for (const [flag, { default: value }] of Object.entries(types))
    if (flags[flag] === undefined && value !== undefined) flags[flag] = value;
  const required = ((facts.flags?.['required'] ?? []) as readonly string[]).find((flag) => flags[flag] === undefined);
  if (required) throw bad(`--${required} is needed`);
  return { flags, words };
}
function flagValue(type: string, text: string): unknown {
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  if (type === 'integer') return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
  if (type === 'number') return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined;
  return type === 'string' ? text : undefined;
}

/** Pure. */
export function helpText(plugin: string, commands: readonly CommandFacts[]): string {
  if (commands.length === 0) return `${plugin} has no commands\n`;
  return commands
    .map((one) => {
      const flags = Object.entries(typesOf(one)).map(([name, { type = 'text', description = '', default: value }]) => {
        const shown = value === undefined ? '' : ` (default ${JSON.stringify(value)})`;
        return `    --${name} ${type}  ${description}${shown}`.trimEnd();
      });
      return [`./pintle ${plugin} ${one.name}  ${one.help}`, ...flags, ''].join('\n');
    })
    .join('');
}
