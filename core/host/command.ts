import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, type Files, PintleError, type spawnDuplex } from '#base';
import type { Fetch } from '#client';
import type { Bundle } from './bundle.ts';
import type { ContainerEngine } from './container.ts';
import { openGateway } from './gateway.ts';
import { launchPlugin, socketName } from './launch.ts';
import { type Isolation, protocolVersion } from './manifest.ts';
import { type CommandWords, type FromPlugin, linesOf, tailOf } from './protocol.ts';

export interface CommandOptions {
  readonly bundle: Bundle;
  readonly command: CommandWords;
  readonly config: Readonly<Record<string, unknown>>;
  /** Of the person who typed it: the command can do what he can. */
  readonly token: string;
  readonly fetch: Fetch;
  readonly baseUrl: string;
  readonly spawn: typeof spawnDuplex;
  readonly files: Files;
  readonly clock: Clock;
  readonly clusterId: string;
  /** Of the plugin: below `sandbox` no command runs. */
  readonly isolation?: Isolation;
  readonly containers?: ContainerEngine;
  /** For its socket and root; what is made there goes again. */
  readonly runFolder: string;
  print(line: string): void;
}
const commandMsMax = 30_000;
const printBytesMax = 16 * 1024 * 1024;

/** Runs one command of a plugin in a sandbox of its own. Throws PLUGIN_COMMAND with why it did not end well. */
export async function runPluginCommand(options: CommandOptions): Promise<void> {
  const { bundle, clock, files, isolation } = options;
  const { name } = bundle.manifest;
  await files.mkdir(options.runFolder, { recursive: true, mode: 0o700 });
  const place = await mkdtemp(join(options.runFolder, '.c'));
  const places = { state: join(place, 's'), api: join(place, 'a'), root: join(place, 'r') };
  for (const folder of Object.values(places)) await files.mkdir(folder, { recursive: true, mode: 0o700 });
  const gateway = await openGateway({
    path: join(places.api, socketName),
    fetch: options.fetch,
    baseUrl: options.baseUrl,
    token: async () => options.token,
    userAgent: `plugin-${name}-command`,
    epoch: 'active',
    clock,
  });
  try {
    const launched = await launchPlugin(bundle, isolation === 'container' ? isolation : 'sandbox', places, {
      ...options,
      slot: 0,
      command: true,
    });
    const over = new AbortController();
    let why: string | undefined;
    void clock.sleep(commandMsMax, over.signal).then(() => {
      if (over.signal.aborted) return;
      why = `it did not end within ${commandMsMax / 1000} s`;
      launched.child.kill('SIGKILL');
    });
    const errors = tailOf(launched.child.stderr);
    try {
      const end = await converse(launched, options);
      if (end === undefined) {
        const said = (await errors).trim().split('\n').at(-1);
        why ??= `it ended with code ${await launched.child.exited}${said ? `: ${visible(said)}` : ''}`;
      } else why ??= end;
    } finally {
      over.abort();
      launched.child.kill('SIGKILL');
      await launched.child.exited;
      await launched.clear();
    }
    if (why !== 'done')
      throw new PintleError(
        'PLUGIN_COMMAND',
        `${name} ${options.command.name}: ${why}`,
        `./pintle plugin show ${name}`,
      );
  } finally {
    await gateway[Symbol.asyncDispose]();
    await rm(place, { recursive: true, force: true });
  }
}

/** `done`, or why not; undefined: it was ended. */
async function converse(
  { child, apiSocket }: Awaited<ReturnType<typeof launchPlugin>>,
  { config, command, print }: CommandOptions,
): Promise<string | undefined> {
  const ask = { type: 'start', protocol: protocolVersion, apiSocket, config, standby: true, command };
  let printedBytes = 0;
  for await (const line of linesOf(child.stdout)) {
    const message = JSON.parse(line) as FromPlugin;
    if (message.type === 'hello') void child.stdin.write(Buffer.from(`${JSON.stringify(ask)}\n`));
    else if (message.type === 'failed') return String(message.message).slice(0, 4_096);
    else if (message.type === 'done') return 'done';
    else if (message.type === 'print') {
      printedBytes += message.line.length;
      if (printedBytes > printBytesMax) return `it printed more than ${printBytesMax} bytes`;
      print(visible(String(message.line)));
    }
  }
  return undefined;
}

/** A terminal obeys control characters: only tabs are kept. Pure. */
export const visible = (line: string): string => line.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, '\ufffd');
