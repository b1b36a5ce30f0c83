import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  type ChannelOptions,
  type Clock,
  type DuplexChild,
  type Files,
  listenOnce,
  ownProgram,
  ownUserId,
  PintleError,
  programPath,
  type SandboxRun,
  type spawnDuplex,
} from '#base';
import { networkNeed } from '#sdk';
import type { Bundle } from './bundle.ts';
import { prepareCgroup, removeCgroup } from './cgroup.ts';
import type { ContainerEngine, ContainerRun } from './container.ts';
import type { Isolation, PluginManifest } from './manifest.ts';
import { hasHooks } from './provides.ts';

export interface Places {
  /** Writable for the plugin, kept between starts. */
  readonly state: string;
  /** Holds the API socket. */
  readonly api: string;
  /** An empty folder for the sandbox's root. */
  readonly root: string;
}
export interface Launched {
  readonly child: DuplexChild;
  /** The API socket as the plugin sees it. */
  readonly apiSocket: string;
  /** Its first line says what is in force: it comes from the launcher, not from the plugin. */
  readonly announces?: boolean;
  /** Where its calls wait for it, in place of the child's channel: its path as the plugin sees it, and the host's end. */
  readonly hooks?: { readonly socket: string; listen(options: ChannelOptions): ReturnType<typeof listenOnce> };
  /** Beside what the launcher reports itself. */
  readonly facts: readonly string[];
  readonly memoryBytes: () => Promise<number | undefined>;
  /** After the child has ended. */
  readonly clear: () => Promise<void>;
}
export interface LaunchOptions {
  readonly clock: Clock;
  readonly spawn: typeof spawnDuplex;
  readonly files: Files;
  /** Tells clusters of one machine apart. */
  readonly clusterId: string;
  /** Absent: this host has no container engine. */
  readonly containers?: ContainerEngine;
  /** Of the wait for an engine that does not answer now. */
  readonly signal?: AbortSignal;
  /** Tells two versions of a plugin apart that run at once. */
  readonly slot: 0 | 1;
  /** It runs one command of the plugin under the rights of a person: as a user of its own, that the plugin itself is not. */
  readonly command?: boolean;
  /** It is being built: only says what it registers. With process numbers of its own, so that what it started ends with it. */
  readonly recording?: boolean;
}
const sandboxProgram = join(import.meta.dir, '../base/sandbox.ts');
export const socketName = 'api.sock';
const hooksSocketName = 'hooks.sock';
/** Of a `process` with a user of its own, to whom the home's folders are closed. */
const processPlace = '/tmp/pintle';
const openFilesMax = 512;
const processesMax = 64;

/** A user of its own for each plugin of each cluster, far above those of people and containers. */
const userIdOf = (clusterId: string, name: string): number =>
  700_000_000 + (createHash('sha256').update(`${clusterId}/${name}`).digest().readUInt32BE() % 100_000_000);

/** Starts a bundle's program. Throws SANDBOX_IMPOSSIBLE when this host cannot give the level. */
export async function launchPlugin(
  bundle: Bundle,
  isolation: Isolation,
  places: Places,
  options: LaunchOptions,
): Promise<Launched> {
  const { files } = options;
  for (const folder of Object.values(places)) await files.mkdir(folder, { recursive: true, mode: 0o700 });
  if (isolation === 'container') return launchContainer(bundle, places, options);
  return launchLocked(bundle, isolation, places, options);
}

function entryOf({ manifest: { name, entry } }: Bundle): string {
  if (entry === undefined)
    throw new PintleError(
      'SANDBOX_IMPOSSIBLE',
      `${name} is no program for Bun`,
      'it runs with isolation container only',
    );
  return entry;
}
/** Approved, as all that it needs. */
const usesNetwork = ({ needs }: Partial<Pick<PluginManifest, 'needs'>>): boolean =>
  needs?.[networkNeed]?.includes('outbound') ?? false;
/** Of its processes, groups and containers on this machine. */
function ownNames({ manifest }: Bundle, { clusterId, slot, command }: LaunchOptions) {
  const part = command ? '-command' : slot === 0 ? '' : `-${slot}`;
  const user = `${manifest.name}${command ? '/command' : ''}`;
  return { group: `pintle-${clusterId}-${manifest.name}${part}`, uid: userIdOf(clusterId, user) };
}

async function launchContainer(bundle: Bundle, places: Places, options: LaunchOptions): Promise<Launched> {
  const { containers, clusterId, files, clock, signal } = options;
  if (!containers) throw noEngine();
  await engineAnswers(containers, clock, signal);
  const { manifest } = bundle;
  const isRoot = ownUserId() === 0;
  const { group, uid: ofPlugin } = ownNames(bundle, options);
  const uid = isRoot ? ofPlugin : ownUserId();
  if (isRoot) for (const folder of [places.state, places.api]) await files.chown(folder, uid, uid);
  const { container } = manifest;
  const wanted: ContainerRun = {
    name: options.command ? `${group}-${createHash('sha256').update(places.api).digest('hex').slice(0, 8)}` : group, // commands may run at once
    host: clusterId,
    ...(container ? { image: container.image } : {}),
    ...(container ? { command: container.command } : { command: ['/bin/bun', `/plugin/${entryOf(bundle)}`] }),
    mounts: [
      { from: bundle.folder, to: '/plugin', readOnly: true },
      { from: places.state, to: '/state', readOnly: false },
      { from: places.api, to: '/api', readOnly: false },
    ],
    uid,
    memoryBytes: manifest.limits.memoryMiB * 1024 * 1024,
    processesMax,
    openFilesMax,
    network: usesNetwork(manifest) ? 'host' : 'none',
  };
  const hooks = hasHooks(manifest.provides) && {
    socket: `/api/${hooksSocketName}`,
    listen: (given: ChannelOptions) => listenOnce(join(places.api, hooksSocketName), given),
  };
  const child = await containers.run(wanted, signal);
  return {
    child,
    apiSocket: `/api/${socketName}`,
    ...(hooks ? { hooks } : {}),
    facts: child.facts,
    memoryBytes: () => child.memoryBytes(),
    clear: () => child.remove(),
  };
}
export const noEngine = (): PintleError =>
  new PintleError(
    'SANDBOX_IMPOSSIBLE',
    'this host has no container engine, which isolation container needs',
    'run the cluster with a container engine, or use isolation sandbox',
  );
const engineWaitMsMax = 60_000;
/** One that is started anew must not count as a failure of its plugins. */
async function engineAnswers(engine: ContainerEngine, clock: Clock, signal?: AbortSignal): Promise<void> {
  const endMs = clock.monotonicMs() + engineWaitMsMax;
  while (!(await engine.answers())) {
    if (signal?.aborted || clock.monotonicMs() > endMs)
      throw new PintleError(
        'SANDBOX_IMPOSSIBLE',
        `the container engine has not answered for ${engineWaitMsMax / 1000} s`,
        'look at the engine: ./pintle doctor',
      );
    await clock.sleep(500, signal ?? new AbortController().signal);
  }
}

/** By the launcher of our own, which makes the process what its level says before it is the plugin's program. */
async function launchLocked(
  bundle: Bundle,
  level: 'sandbox' | 'process',
  places: Places,
  options: LaunchOptions,
): Promise<Launched> {
  const { manifest } = bundle;
  const channel = hasHooks(manifest.provides);
  const isRoot = ownUserId() === 0;
  const { group, uid: ofPlugin } = ownNames(bundle, options);
  const uid = isRoot ? ofPlugin : undefined;
  const namespaces = namespacesOf(level, isRoot, options.recording, usesNetwork(manifest));
  if (uid !== undefined) for (const folder of [places.state, places.api]) await options.files.chown(folder, uid, uid);
  // What a life left whose host was killed: its own end comes with its host's, that of what it started does not. Commands may run at once.
  if (isRoot && !options.command) await removeCgroup(options.files, options.clock, group);
  const cgroup = isRoot
    ? await prepareCgroup(options.files, group, {
        memoryBytes: manifest.limits.memoryMiB * 1024 * 1024,
        processesMax,
      })
    : undefined;
  const within = level === 'sandbox' ? '' : isRoot ? processPlace : undefined;
  const run: SandboxRun = {
    level,
    ...(within ? { place: within } : {}),
    root: places.root,
    bundle: bundle.folder,
    state: places.state,
    api: places.api,
    program: ownProgram(),
    arguments: [
      `${within === undefined ? bundle.folder : `${within}/plugin`}/${entryOf(bundle)}`,
      ...(options.recording ? ['--record'] : []),
    ],
    ...(uid === undefined ? {} : { uid }),
    cgroups: cgroup?.joins ?? [],
    openFilesMax,
    processesMax: isRoot ? processesMax : 0,
    channel,
    network: usesNetwork(manifest),
  };
  const child = options.spawn([...namespaces, ownProgram(), sandboxProgram, JSON.stringify(run)], {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
    onlyThisEnv: true,
    channel,
  });
  return {
    child,
    announces: true,
    apiSocket: `${within === undefined ? places.api : `${within}/api`}/${socketName}`,
    facts: cgroup?.facts ?? ['no memory limit: that needs root'],
    memoryBytes: async () => cgroup?.memoryBytes(),
    clear: async () => void (cgroup && (await removeCgroup(options.files, options.clock, group))),
  };
}

/** The words in front of the launcher: a `process` of a host that is not root has no namespaces. */
function namespacesOf(level: 'sandbox' | 'process', isRoot: boolean, recording = false, network = false): string[] {
  if (level === 'process' && !isRoot) return [];
  const unshare = programPath('unshare');
  if (!unshare)
    throw new PintleError(
      'SANDBOX_IMPOSSIBLE',
      `this host has no program unshare, which isolation ${level} needs`,
      'install util-linux',
    );
  const user = isRoot ? [] : ['-U', '-r'];
  const ends = recording ? ['-p', '-f', '--kill-child'] : [];
  const net = level === 'process' || network ? [] : ['-n'];
  return [unshare, ...user, ...ends, '-m', ...net, '--propagation', 'slave', '--'];
}
