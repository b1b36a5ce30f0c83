import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join, posix } from 'node:path';
import type { ContainerSpec } from '#sdk';
import type { FoundImage } from './process-images.ts';

const tokenFolder = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Files that every pod is given; a program that has no root of its own sees the host's instead, which is no loss worth a refusal. */
const spareMounts = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev/termination-log'];
const isSpare = (path: string) => spareMounts.includes(path) || path.startsWith(tokenFolder);

/** What such a program goes without although its pod says otherwise: the token that every pod is given. */
export const leftOut = (spec: ContainerSpec, able: Ability): string[] =>
  able.ownRoot || !spec.mounts.some(({ containerPath }) => containerPath.startsWith(tokenFolder))
    ? []
    : [`the service account's token at ${tokenFolder} (this machine gives no mount namespace)`];

/** What this process may do. */
export interface Ability {
  readonly userId: number;
  /** Its own group first. */
  readonly groupIds: readonly number[];
  /** Each container can have a root of its own. */
  readonly ownRoot: boolean;
  /** Users, groups, capabilities and no_new_privs can be set. */
  readonly setpriv: boolean;
}

/** What a plain child process cannot be given. Empty: it can be run as asked. */
export function refusals(spec: ContainerSpec, able: Ability): string[] {
  const { security, resources } = spec;
  const found: string[] = [];
  const asRoot = able.userId === 0 && able.setpriv;
  if (!able.ownRoot) {
    for (const mount of spec.mounts)
      if (!isSpare(mount.containerPath))
        found.push(`a volume at ${mount.containerPath} (this machine gives no mount namespace)`);
    if (security.readOnlyRoot) found.push('a read-only root file system');
  }
  if (spec.devices?.length) found.push('devices');
  if (security.privileged && able.userId !== 0) found.push('privileged mode');
  if (security.noNewPrivileges && !able.setpriv) found.push('allowPrivilegeEscalation: false');
  if (!asRoot) {
    if (security.runAsUser !== undefined && security.runAsUser !== able.userId)
      found.push(`the user ${security.runAsUser}`);
    const groups = [...(security.runAsGroup === undefined ? [] : [security.runAsGroup])];
    for (const group of groups) if (group !== able.groupIds[0]) found.push(`the group ${group}`);
    for (const group of security.supplementalGroups ?? [])
      if (!able.groupIds.includes(group)) found.push(`the group ${group}`);
    if (security.capabilitiesAdd.length) found.push('added capabilities');
    if (security.capabilitiesDrop.length && able.userId === 0) found.push('dropped capabilities while running as root');
  }
  if (resources.memoryLimitBytes !== undefined) found.push('a memory limit');
  if (resources.cpuQuotaUs !== undefined) found.push('a CPU limit');
  return found;
}

/** Options of setpriv(1) that make the program what the pod asks for and nothing more. Empty: nothing to change. */
export function credentialOptions(security: ContainerSpec['security'], userId: number): string[] {
  const options = ['--inh-caps=-all', '--ambient-caps=-all'];
  if (security.noNewPrivileges) options.push('--no-new-privs');
  if (userId !== 0) return options; // the kernel drops capabilities at exec, and the user is the pod's already
  const name = (capability: string) => capability.toLowerCase().replace(/^cap_/, '');
  const dropped = security.capabilitiesDrop.map(name);
  if (dropped.length > 0)
    options.push(
      `--bounding-set=${[...dropped.map((each) => `-${each}`), ...security.capabilitiesAdd.map((each) => `+${name(each)}`)].join(',')}`,
    );
  const { runAsUser, runAsGroup, supplementalGroups } = security;
  if (runAsUser !== undefined) options.push(`--reuid=${runAsUser}`);
  options.push(`--regid=${runAsGroup ?? 0}`);
  options.push(supplementalGroups?.length ? `--groups=${supplementalGroups.join(',')}` : '--clear-groups');
  return options;
}

export interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}
/** How the program sees its files. */
export interface Sight {
  /** Its image's tree and its own folder, as the program names them. */
  readonly imageRoot: string;
  readonly workFolder: string;
  /** The same file as this process names it. */
  toHost(path: string): string;
}
export const hostSight = (image: FoundImage, workFolder: string): Sight => ({
  imageRoot: image.root,
  workFolder,
  toHost: (path) => path,
});
/** Of a container with a root of its own: its image and its folder have short names in it. */
export function ownSight(image: FoundImage, workFolder: string, mounts: ContainerSpec['mounts']): Sight {
  const all = [
    ...mounts,
    { containerPath: imagePlace, hostPath: image.root },
    { containerPath: workPlace, hostPath: workFolder },
  ].sort((left, right) => right.containerPath.length - left.containerPath.length);
  return {
    imageRoot: imagePlace,
    workFolder: workPlace,
    toHost(path) {
      const normal = posix.normalize(path);
      const mount = all.find((each) => normal === each.containerPath || normal.startsWith(`${each.containerPath}/`));
      return mount ? join(mount.hostPath, normal.slice(mount.containerPath.length)) : normal;
    },
  };
}
export const imagePlace = '/.pintle/image';
export const workPlace = '/.pintle/work';

/** A text says why it cannot be started, in the words that engines use. */
export function commandOf(
  spec: Pick<ContainerSpec, 'command' | 'args' | 'env' | 'workingDir'>,
  image: FoundImage,
  given: { readonly env: Readonly<Record<string, string>>; readonly sight: Sight },
): Command | string {
  const { sight } = given;
  const root = sight.imageRoot;
  const words = [
    ...(spec.command?.length ? spec.command : image.entrypoint),
    ...(spec.args?.length ? spec.args : spec.command?.length ? [] : image.command),
  ].map((word) => word.replaceAll('{root}', root));
  if (words.length === 0) return 'no command specified';
  const inTree = ['bin', 'usr/bin', 'usr/local/bin', 'sbin', 'usr/sbin'].map((folder) => join(root, folder));
  const places = [...inTree, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  const env: Record<string, string> = {
    ...image.env,
    ...given.env,
    PATH: places.join(':'),
    ...Object.fromEntries(spec.env),
  };
  const path = env['PATH']!.split(':').filter(isAbsolute);
  const wanted = spec.workingDir ?? image.workingDir;
  const cwd =
    wanted === undefined
      ? sight.workFolder
      : [join(root, wanted), wanted].find((folder) => isFolder(sight.toHost(folder)));
  if (cwd === undefined) return `chdir to cwd ("${wanted}"): no such file or directory`;
  const program = findProgram(words[0]!, { root, path, cwd }, sight);
  if (!program) {
    const name = words[0]!;
    return name.includes('/')
      ? `exec: "${name}": stat ${name}: no such file or directory`
      : `exec: "${name}": executable file not found in $PATH`;
  }
  return { argv: [program, ...words.slice(1)], env, cwd };
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** In the image's tree first, then on the host and in the volumes. */
function findProgram(
  name: string,
  place: { readonly root: string; readonly path: readonly string[]; readonly cwd: string },
  sight: Sight,
): string | undefined {
  const candidates = name.includes('/')
    ? [join(place.root, name), isAbsolute(name) ? name : join(place.cwd, name)]
    : place.path.map((folder) => join(folder, name));
  return candidates.find((candidate) => {
    const there = sight.toHost(candidate);
    return existsSync(there) && !isFolder(there);
  });
}
