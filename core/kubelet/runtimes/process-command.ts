import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { ContainerSpec } from '#sdk';
import type { FoundImage } from './process-images.ts';

/** Files that every pod is given; without mounts a program sees the host's instead, which is no loss worth a refusal. */
const spareMounts = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev/termination-log'];
const isSpare = (path: string) =>
  spareMounts.includes(path) || path.startsWith('/var/run/secrets/kubernetes.io/serviceaccount');

/** What a plain child process cannot be given. Empty: it can be run as asked. */
export function refusals(spec: ContainerSpec, ownUserId: number): string[] {
  const { security, resources } = spec;
  const found: string[] = [];
  for (const mount of spec.mounts) if (!isSpare(mount.containerPath)) found.push(`a volume at ${mount.containerPath}`);
  if (spec.devices?.length) found.push('devices');
  if (spec.tty) found.push('a terminal for its main process');
  if (security.privileged) found.push('privileged mode');
  if (security.readOnlyRoot) found.push('a read-only root file system');
  if (security.noNewPrivileges && ownUserId === 0) found.push('allowPrivilegeEscalation: false while running as root');
  if (security.runAsUser !== undefined && security.runAsUser !== ownUserId)
    found.push(`the user ${security.runAsUser}`);
  if (security.capabilitiesAdd.length) found.push('added capabilities');
  if (security.capabilitiesDrop.length && ownUserId === 0) found.push('dropped capabilities while running as root');
  if (resources.memoryLimitBytes !== undefined) found.push('a memory limit');
  if (resources.cpuQuotaUs !== undefined) found.push('a CPU limit');
  return found;
}

export interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}
/** A text says why it cannot be started, in the words that engines use. */
export function commandOf(
  spec: Pick<ContainerSpec, 'command' | 'args' | 'env' | 'workingDir'>,
  image: FoundImage,
  given: { readonly env: Readonly<Record<string, string>>; readonly workFolder: string },
): Command | string {
  const words = [
    ...(spec.command?.length ? spec.command : image.entrypoint),
    ...(spec.args?.length ? spec.args : spec.command?.length ? [] : image.command),
  ].map((word) => word.replaceAll('{root}', image.root));
  if (words.length === 0) return 'no command specified';
  const inTree = ['bin', 'usr/bin', 'usr/local/bin', 'sbin', 'usr/sbin'].map((folder) => join(image.root, folder));
  const path = [...inTree, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  const env = { ...image.env, ...given.env, ...Object.fromEntries(spec.env), PATH: path.join(':') };
  const program = findProgram(words[0]!, image.root, path);
  if (!program) {
    const name = words[0]!;
    return name.includes('/')
      ? `exec: "${name}": stat ${name}: no such file or directory`
      : `exec: "${name}": executable file not found in $PATH`;
  }
  const wanted = spec.workingDir ?? image.workingDir;
  const cwd = wanted === undefined ? given.workFolder : [join(image.root, wanted), wanted].find(isFolder);
  if (cwd === undefined) return `chdir to cwd ("${wanted}"): no such file or directory`;
  return { argv: [program, ...words.slice(1)], env, cwd };
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** In the image's tree first, then on the host. */
function findProgram(name: string, root: string, path: readonly string[]): string | undefined {
  const candidates = name.includes('/')
    ? [join(root, name), ...(isAbsolute(name) ? [name] : [])]
    : path.map((folder) => join(folder, name));
  return candidates.find((candidate) => existsSync(candidate) && !isFolder(candidate));
}
