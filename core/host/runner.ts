import { apiVersionOf } from '#api';
import {
  type ChannelOptions,
  channelOfFd,
  createLog,
  dialChannel,
  type Log,
  messageOf,
  Scope,
  systemClock,
  systemRandom,
} from '#base';
import type { Client } from '#client';
import {
  answerHooks,
  answerNode,
  assumeKinds,
  type Contributions,
  collect,
  commandFacts,
  Deadlines,
  type Plugin,
  type PluginRuntime,
  type PreparedPlugin,
  preparePlugin,
  RestWatches,
  restKindFacts,
} from '#sdk';
import { createInformers } from '../client/cache-informer.ts';
import { createClient } from '../client/http.ts';
import { withConversion } from './hooks/conversion.ts';
import { protocolVersion } from './manifest.ts';
import { PluginMetrics } from './plugin-metrics.ts';
import {
  beatEveryMs,
  type CommandWords,
  callsOnChannelMax,
  type FromPlugin,
  hooksProtocol,
  linesOf,
  type ToPlugin,
} from './protocol.ts';
import { providesOf } from './provides.ts';

/**
 * The program that a built plugin is: `bun plugin.js` speaks with the host over standard input and output, and ends
 * with its input; `bun plugin.js --record` prints what setup() registers, without any API.
 */
export async function runPlugin(plugin: Plugin): Promise<void> {
  const write = ownOutput();
  const fail = async (error: unknown): Promise<never> => {
    await write(JSON.stringify({ type: 'failed', message: messageOf(error) } satisfies FromPlugin));
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  };
  // Bun goes on after an error that nobody caught while a module still waits: half a plugin must not look like a whole one.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error) => void fail(error));
  try {
    if (process.argv.includes('--record')) await write(JSON.stringify(await record(plugin)));
    else await serve(plugin, (message) => void write(JSON.stringify(message)));
    process.exit(0);
  } catch (error) {
    await fail(error);
  }
}

/** Standard output belongs to the protocol; what the plugin prints goes to its errors, which the host logs. */
export function ownOutput(): (line: string) => Promise<void> {
  const out = process.stdout.write.bind(process.stdout);
  const aside = process.stderr.write.bind(process.stderr);
  process.stdout.write = aside as typeof process.stdout.write;
  console.log = console.info = console.debug = console.error;
  return (line) => new Promise((written) => out(`${line}\n`, () => written()));
}

/** What a plugin is, as data. Its API never answers: a setup() that waits for it cannot be recorded. */
export async function record(plugin: Plugin): Promise<unknown> {
  await using scope = new Scope();
  const silent = new Proxy({}, { get: () => () => new Promise(() => {}) });
  const metrics = new PluginMetrics();
  const contributions = await collect(
    plugin,
    {
      client: silent as Client,
      informers: silent as PluginRuntime['informers'],
      clock: systemClock,
      random: systemRandom,
      log: createLog(() => {}, { now: systemClock.now }),
      metrics,
      discover: assumeKinds,
    },
    scope,
  );
  const { name, version, sdk, requires = [], conflicts = [], replaces = [] } = plugin;
  const { needs = {}, resources = [], placement } = plugin;
  return {
    name,
    version,
    sdk,
    ...listed('requires', requires),
    ...listed('conflicts', conflicts),
    ...listed('replaces', replaces),
    needs,
    protocol: protocolVersion,
    placement,
    config: (plugin.config as { json?: unknown } | undefined)?.json,
    resources: resources.map(({ manifest, convert }) => (convert ? withConversion(manifest, name) : manifest)),
    apiVersions: resources.map(({ kind }) => apiVersionOf(kind)),
    provides: providesOf(contributions, metrics.facts()),
    ...listed('apis', contributions.apis.map(restKindFacts)),
    ...listed('commands', contributions.commands.map(commandFacts)),
    ...listed('panels', contributions.panels),
    ...listed('metrics', metrics.facts()),
    ...listed(
      'networks',
      contributions.networks.map((one) => ({ name: one.name, overheadBytes: one.overheadBytes })),
    ),
  };
}

export const hostLines = (): AsyncGenerator<string> => linesOf(process.stdin as unknown as AsyncIterable<Uint8Array>);

const listed = (name: string, list: readonly unknown[]) => (list.length > 0 ? { [name]: list } : {});

/** `lines`: what the host says. */
export async function serve(
  plugin: Plugin,
  send: (message: FromPlugin) => void,
  lines: AsyncIterable<string> = hostLines(),
): Promise<void> {
  await using scope = new Scope();
  const { name, version } = plugin;
  send({ type: 'hello', protocol: protocolVersion, name, version });
  const metrics = new PluginMetrics();
  const deadlines = new Deadlines();
  let prepared: PreparedPlugin | undefined;
  for await (const line of lines) {
    const message = JSON.parse(line) as ToPlugin;
    if (message.type === 'stop') return;
    if (message.type === 'activate') {
      await prepared?.activate();
      continue;
    }
    const log = logTo(send);
    const client = createClient({
      fetch: (request) => fetch(request, { unix: message.apiSocket } as RequestInit),
      baseUrl: 'http://localhost',
      userAgent: name,
    });
    const seams = { client, clock: systemClock, random: systemRandom, log };
    const informers = createInformers({ ...seams, signal: scope.signal });
    if (message.command)
      return runCommand(plugin, { ...seams, informers, config: message.config, metrics }, message.command, send);
    prepared = scope.use(
      await preparePlugin(plugin, {
        ...seams,
        informers,
        config: message.config,
        metrics,
        deadlines,
        nodeName: message.nodeName,
      }),
    );
    if (message.hooks !== undefined) {
      const watches = scope.use(new RestWatches(systemClock));
      scope.use(await answerHost(name, message.hooksSocket, prepared.contributions, watches));
    }
    if (message.standby) await prepared.sync();
    else await prepared.activate();
    send({ type: 'ready', provides: providesOf(prepared.contributions, metrics.facts()) });
    void beat(send, metrics, deadlines, scope.signal);
  }
}

async function runCommand(
  plugin: Plugin,
  runtime: PluginRuntime,
  { name, flags, words }: CommandWords,
  send: (message: FromPlugin) => void,
): Promise<void> {
  await using scope = new Scope();
  const { commands } = await collect(plugin, runtime, scope);
  const command = commands.find((one) => one.name === name);
  if (!command) throw new Error(`it has no command ${name}`);
  const given = (command.flags ? command.flags.read(flags as never) : flags) as Readonly<Record<string, unknown>>;
  const print = (line: string) => send({ type: 'print', line: String(line) });
  await command.run({ flags: given, words, print, signal: scope.signal });
  send({ type: 'done' });
}

/** Calls of the host come over a socket that it listens on, or over descriptor 3, which this process was started with. */
function answerHost(name: string, socket: string | undefined, contributions: Contributions, watches: RestWatches) {
  const hooks = answerHooks(contributions, watches);
  const node = answerNode(contributions, systemClock);
  const options: ChannelOptions = {
    clock: systemClock,
    callsMax: callsOnChannelMax,
    answer: (method, body) =>
      method === 'hello' ? { protocol: hooksProtocol, name } : (node(method, body) ?? hooks(method, body)),
  };
  return socket === undefined ? channelOfFd(3, options) : dialChannel(socket, options);
}

async function beat(
  send: (message: FromPlugin) => void,
  metrics: PluginMetrics,
  deadlines: Deadlines,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const late = deadlines.report();
    send({ type: 'beat', metrics: metrics.values(), ...(late.total > 0 ? { late } : {}) });
    await systemClock.sleep(beatEveryMs, signal);
  }
}

const logTo = (send: (message: FromPlugin) => void): Log =>
  createLog(
    (line) => {
      const {
        time: _time,
        level,
        message,
        ...fields
      } = JSON.parse(line) as Extract<FromPlugin, { type: 'log' }> & {
        time: string;
      };
      send({ type: 'log', level, message, fields: fields as Readonly<Record<string, unknown>> });
    },
    { now: systemClock.now },
  );
