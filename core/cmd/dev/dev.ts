import { existsSync, watch } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isReason } from '#api';
import { createLog, messageOf, PintleError, Scope, spawnDuplex, systemClock, systemFiles, systemRandom } from '#base';
import { createInformers } from '../../client/cache-informer.ts';
import { configMistakes } from '../../host/config-check.ts';
import { PluginHost } from '../../host/host.ts';
import { type PluginObject, type PluginStatus, pluginKind } from '../../host/kind.ts';
import { startControllers } from '../../sdk/controller.ts';
import type { Catalog } from '../catalog.ts';
import { configOf } from '../plugin-install.ts';
import { linkSdk } from '../plugin-sdk.ts';
import { type DevCluster, devCluster } from './cluster.ts';
import { WarmSource } from './warm.ts';

/** An editor writes a file in several steps. */
const settleMs = 15;
const reachMsMax = 30_000;
const ignored = /(^|\/)(node_modules|dist|\.git)(\/|$)|\.test\.tsx?$|~$|\.sw.$/;

export interface DevOptions {
  readonly config?: string;
  readonly inspect?: boolean;
  readonly port?: number;
}
type Say = (text: string) => void;

/** A cluster in memory with the plugin of this folder, which is loaded anew whenever a file of it is saved. Until Ctrl-C. */
export async function developPlugin(folder: string, options: DevOptions, catalog: Catalog): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const say: Say = (text) => void process.stdout.write(`${text}\n`);
  await develop(folder, options, catalog, { say, signal: stop.signal });
}

export async function develop(
  folder: string,
  options: DevOptions,
  catalog: Catalog,
  { say, signal }: { readonly say: Say; readonly signal: AbortSignal },
): Promise<void> {
  const at = resolve(folder);
  const file = join(at, 'plugin.ts');
  if (!existsSync(file))
    throw new PintleError('PLUGIN_BUILD', `${folder} has no plugin.ts`, 'name the folder of a plugin');
  const beganMs = performance.now();
  await linkSdk(at);
  await using scope = new Scope();
  const source = scope.use(new WarmSource({ file, ...inspection(options, say) }));
  const place = await mkdtemp(join(tmpdir(), 'pintle-dev-'));
  scope.defer(() => rm(place, { recursive: true, force: true }));
  const cluster = await devCluster(scope, catalog, options.port);
  await startHost(scope, cluster, source, place, say);
  const kubeconfig = join(place, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigOf(cluster), { mode: 0o600 });
  say(`a cluster in memory after ${Math.round(performance.now() - beganMs)} ms: export KUBECONFIG=${kubeconfig}`);
  const config = configOf(options.config) ?? {};
  const reload = () => load(cluster, source, config, say);
  await Promise.all([reload(), cluster.components]);
  await saves(at, reload, signal);
  say('stopped; nothing is left of this cluster');
}

function inspection({ inspect }: DevOptions, say: Say): Partial<ConstructorParameters<typeof WarmSource>[0]> {
  if (!inspect) return {};
  return {
    inspect: () => {
      using probe = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
      return `127.0.0.1:${probe.port}/plugin`;
    },
    onInspect: (address) => say(`debugger: ws://${address}`),
  };
}

async function startHost(
  scope: Scope,
  cluster: DevCluster,
  source: WarmSource,
  place: string,
  say: Say,
): Promise<void> {
  const log = createLog(
    (line) => {
      const { level, message, plugin: _plugin, time: _time, ...fields } = JSON.parse(line) as Record<string, unknown>;
      say(
        `${level === 'info' ? '' : `${String(level)}: `}${String(message)}${Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : ''}`,
      );
    },
    { now: systemClock.now },
  );
  const seams = { clock: systemClock, random: systemRandom, log };
  const { client, fetch, board } = cluster;
  const host = new PluginHost({
    client,
    ...seams,
    files: systemFiles,
    spawn: spawnDuplex,
    fetch,
    baseUrl: 'http://localhost',
    folder: join(place, 'plugins'),
    runFolder: join(place, 'run'),
    clusterId: 'dev',
    healthMs: 0,
    hooks: board,
    source,
  });
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  scope.use(host);
  scope.use(await startControllers([host.controller], { client, informers, ...seams }));
}

/** Loads the source as it is now; the version before goes on while this one does not work. */
async function load(cluster: DevCluster, source: WarmSource, config: Record<string, unknown>, say: Say): Promise<void> {
  const beganMs = performance.now();
  try {
    const { manifest, digest } = await source.load();
    const { name, version, needs } = manifest;
    const mistakes = configMistakes(manifest.config, config);
    if (mistakes.length > 0) throw new Error(mistakes.join('; '));
    await ask(cluster, name, { digest, version, approvedNeeds: needs, config });
    await reached(cluster, name);
    say(`${name} ${version} runs after ${Math.round(performance.now() - beganMs)} ms`);
  } catch (error) {
    say(`not loaded, the version before goes on: ${messageOf(error)}`);
  }
}

async function ask({ client }: DevCluster, name: string, spec: PluginObject['spec']): Promise<void> {
  const there = await client.get(pluginKind, { name }).catch((error: unknown) => {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  });
  if (there) await client.patch(pluginKind, { name }, { type: 'merge', body: { spec: { ...spec } } });
  else
    await client.create(pluginKind, { apiVersion: 'plugins.pintle.dev/v1', kind: 'Plugin', metadata: { name }, spec });
}

/** Throws with the reason that the host gives. */
async function reached({ client }: DevCluster, name: string): Promise<void> {
  const endMs = performance.now() + reachMsMax;
  for (;;) {
    const { status, metadata } = await client.get(pluginKind, { name });
    if (status?.observedGeneration === metadata.generation) {
      const why = failureOf(status);
      if (why) throw new Error(why);
      if (status?.phase === 'Active') return;
    }
    if (performance.now() > endMs) throw new Error(`it is ${status?.phase ?? 'not seen'} after 30 s`);
    await systemClock.sleep(2);
  }
}
function failureOf(status: PluginStatus | undefined): string | undefined {
  const bad = status?.conditions?.find((one) => one.status === 'False' && one.type !== 'Healthy');
  if (bad) return bad.message || bad.reason;
  return status?.phase === 'Quarantined'
    ? status.conditions?.find(({ type }) => type === 'Quarantined')?.message
    : undefined;
}

/** Calls back after each save, one at a time, until the signal. */
async function saves(folder: string, act: () => Promise<void>, signal: AbortSignal): Promise<void> {
  let wake = Promise.withResolvers<void>();
  const watcher = watch(folder, { recursive: true }, (_event, name) => {
    if (name && !ignored.test(name)) wake.resolve();
  });
  signal.addEventListener('abort', () => wake.resolve(), { once: true });
  try {
    while (!signal.aborted) {
      await wake.promise;
      await systemClock.sleep(settleMs);
      wake = Promise.withResolvers<void>();
      if (!signal.aborted) await act();
      if (signal.aborted) wake.resolve();
    }
  } finally {
    watcher.close();
  }
}

const kubeconfigOf = ({ url, token, ca }: DevCluster): string =>
  `${JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'dev', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
    ],
    users: [{ name: 'dev', user: { token } }],
    contexts: [{ name: 'dev', context: { cluster: 'dev', user: 'dev' } }],
    'current-context': 'dev',
  })}\n`;
