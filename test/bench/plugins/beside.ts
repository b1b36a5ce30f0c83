import { cpSync, mkdirSync } from 'node:fs';
import { namespaceKind } from '#api';
import { systemFiles } from '#base';
import type { Client } from '#client';
import { argvOf, launch } from '../../../core/cmd/components.ts';
import { end } from '../../../core/cmd/processes.ts';
import type { Bundle } from '../../../core/host/bundle.ts';
import { pluginKind } from '../../../core/host/kind.ts';
import { bundleFolder } from '../../../core/host/verify.ts';
import { built, sandboxed, until } from '../../fixtures/hook-cluster.ts';
import { startServer } from '../api/servers.ts';
import { percentile } from '../parts/row.ts';

export interface BadPlugins {
  readonly count: number;
  /** What setup() does, but when it is recorded. */
  readonly setup: string;
  readonly needs?: Readonly<Record<string, readonly string[]>>;
  readonly rounds: number;
  readonly windowMs: number;
}
export interface Beside {
  /** Of each round the 99th percentile in ms of others' reads: while the plugins run their course, and while they are paused. */
  readonly pairs: readonly (readonly [number, number])[];
  /** The same of the two halves of each quiet window: what the machine alone does to such a ratio. */
  readonly noise: readonly (readonly [number, number])[];
  /** Of each window with them: resident bytes of the API server and of the host at its end. */
  readonly residentBytes: readonly number[];
}
/** Readers at once, each with a pause of 1 ms between its requests. */
const readers = 4;

/**
 * What others see of plugins that misbehave: server, host and plugins in processes of their own, as they run. Windows with and
 * without them in turns: each begins the plugins' life anew, with the back-off and quarantine that they meet in reality.
 */
export async function beside(bad: BadPlugins): Promise<Beside> {
  await using server = await startServer();
  const { home, client } = server;
  const { record } = launch(home, 'controllers', argvOf('controllers', home));
  try {
    const names = Array.from({ length: bad.count }, (_, index) => `bad${index}`);
    const more = bad.needs ? `needs: ${JSON.stringify(bad.needs)},` : '';
    const bundles: Bundle[] = [];
    for (const name of names)
      bundles.push(
        await built(
          name,
          `if (process.argv.includes("--record")) return; ${bad.setup}`,
          more,
          '1.0.0',
          sandboxed ? 'sandbox' : 'process',
        ),
      );
    await until(
      'the host runs',
      async () => (await systemFiles.readFile(home.path('run', 'p', '.hooks.secret'))).length > 0,
    );
    for (const bundle of bundles) await ask(client, home.path('plugins'), bundle);
    await pause(client, names, true);
    await reads(client, bad.windowMs / 4);
    const [pairs, noise, residentBytes] = [[], [], []] as [[number, number][], [number, number][], number[]];
    for (let round = 0; round < bad.rounds; round++) {
      const quiet = await reads(client, bad.windowMs);
      await pause(client, names, false);
      const loud = await reads(client, bad.windowMs);
      residentBytes.push(await residentOf(server.pid));
      await pause(client, names, true);
      const p99 = (times: readonly number[]) => percentile(times, 0.99);
      const middle = quiet.length >> 1;
      pairs.push([p99(loud), p99(quiet)]);
      noise.push([p99(quiet.slice(0, middle)), p99(quiet.slice(middle))]);
    }
    return { pairs, noise, residentBytes };
  } finally {
    await end(record ? [record] : [], 20_000);
  }
}

async function ask(client: Client, folder: string, { manifest, digest, folder: source }: Bundle): Promise<void> {
  const target = bundleFolder(folder, manifest.name, digest);
  mkdirSync(target, { recursive: true }); // readable for the plugin's own user, as its source is not
  cpSync(source, target, { recursive: true });
  await client.create(pluginKind, {
    apiVersion: 'plugins.pintle.dev/v1',
    kind: 'Plugin',
    metadata: { name: manifest.name },
    spec: { digest, version: manifest.version, approvedNeeds: manifest.needs, paused: true },
  });
}
/** Resolves when they are, or have begun. */
async function pause(client: Client, names: readonly string[], paused: boolean): Promise<void> {
  for (const name of names) await client.patch(pluginKind, { name }, { type: 'merge', body: { spec: { paused } } });
  if (paused)
    for (const name of names)
      await until(`${name} is paused`, async () => (await client.get(pluginKind, { name })).status?.phase === 'Paused');
}
async function reads(client: Client, ms: number): Promise<number[]> {
  const times: number[] = [];
  const endMs = performance.now() + ms;
  const reader = async (): Promise<void> => {
    for (; performance.now() < endMs; await Bun.sleep(1)) {
      const began = performance.now();
      await client.get(namespaceKind, { name: 'default' });
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: readers }, reader));
  return times;
}
async function residentOf(pid: number): Promise<number> {
  const text = await systemFiles.readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}
