import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  type Clock,
  type DuplexChild,
  type Files,
  ownProgram,
  ownUserId,
  PintleError,
  programPath,
  type spawnDuplex,
} from '#base';
import type { Bundle } from './bundle.ts';
import { prepareCgroup, removeCgroup } from './cgroup.ts';
import type { Isolation } from './manifest.ts';
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
  /** Tells two versions of a plugin apart that run at once. */
  readonly slot: 0 | 1;
  /** It runs one command of the plugin under the rights of a person: as a user of its own, that the plugin itself is not. */
  readonly command?: boolean;
  /** It is being built: only says what it registers. With process numbers of its own, so that what it started ends with it. */
  readonly recording?: boolean;
}
const sandboxProgram = join(import.meta.dir, '../base/sandbox.ts');
export const socketName = 'api.sock';
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
  const channel = hasHooks(bundle.manifest.provides);
  if (isolation === 'process') {
    const entry = join(bundle.folder, bundle.manifest.entry);
    const env = { HOME: places.state, TMPDIR: places.state, PATH: '/usr/bin:/bin' };
    const child = options.spawn([ownProgram(), entry], { cwd: places.state, env, onlyThisEnv: true, channel });
    return {
      child,
      apiSocket: join(places.api, socketName),
      facts: ['own process', 'clean environment'],
      memoryBytes: async () => undefined,
      clear: async () => {},
    };
  }
  return launchSandbox(bundle, places, options);
}

async function launchSandbox(bundle: Bundle, places: Places, options: LaunchOptions): Promise<Launched> {
  const unshare = programPath('unshare');
  if (!unshare)
    throw new PintleError(
      'SANDBOX_IMPOSSIBLE',
      'this host has no program unshare, which the sandbox needs',
      'install util-linux',
    );
  const { manifest } = bundle;
  const channel = hasHooks(manifest.provides);
  const isRoot = ownUserId() === 0;
  const suffix = options.command ? '/command' : '';
  const uid = isRoot ? userIdOf(options.clusterId, `${manifest.name}${suffix}`) : undefined;
  if (uid !== undefined) for (const folder of [places.state, places.api]) await options.files.chown(folder, uid, uid);
  const part = options.command ? '-command' : options.slot === 0 ? '' : `-${options.slot}`;
  const group = `pintle-${options.clusterId}-${manifest.name}${part}`;
  const cgroup = isRoot
    ? await prepareCgroup(options.files, group, {
        memoryBytes: manifest.limits.memoryMiB * 1024 * 1024,
        processesMax,
      })
    : undefined;
  const run = {
    root: places.root,
    bundle: bundle.folder,
    state: places.state,
    api: places.api,
    program: ownProgram(),
    arguments: [`/plugin/${manifest.entry}`, ...(options.recording ? ['--record'] : [])],
    ...(uid === undefined ? {} : { uid }),
    cgroups: cgroup?.joins ?? [],
    openFilesMax,
    processesMax: isRoot ? processesMax : 0,
    channel,
  };
  const user = [...(isRoot ? [] : ['-U', '-r']), ...(options.recording ? ['-p', '-f', '--kill-child'] : [])];
  const child = options.spawn(
    [unshare, ...user, '-m', '-n', '--propagation', 'private', '--', ownProgram(), sandboxProgram, JSON.stringify(run)],
    { cwd: '/', env: { PATH: '/usr/bin:/bin' }, onlyThisEnv: true, channel },
  );
  return {
    child,
    apiSocket: `/api/${socketName}`,
    facts: cgroup?.facts ?? ['no memory limit: that needs root'],
    memoryBytes: async () => cgroup?.memoryBytes(),
    clear: async () => void (cgroup && (await removeCgroup(options.files, options.clock, group))),
  };
}
