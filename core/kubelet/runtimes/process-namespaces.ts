import { lstatSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Exec, programPath } from '#base';
import type { TreeView } from './root-plan.ts';

/** The programs that start and enter namespaces; with a user namespace where this process is not root. */
export interface Namespaces {
  readonly withUser: boolean;
  readonly unshare: string;
  readonly nsenter: string;
  readonly chroot: string;
  readonly env: string;
}

/** What starts a program in a mount namespace of its own, in which it may mount. */
export const unshareArgv = (spaces: Namespaces): string[] => [
  spaces.unshare,
  ...(spaces.withUser ? ['--user', '--map-current-user', '--keep-caps'] : []),
  '--mount',
  '--uts',
  '--',
];
/** What starts a program beside another one, in its namespaces and its root. */
export const enterArgv = (spaces: Namespaces, pid: number): string[] => [
  spaces.nsenter,
  `--target=${pid}`,
  ...(spaces.withUser ? ['--user', '--preserve-credentials'] : []),
  '--mount',
  '--uts',
  '--root',
  '--',
];

/** Tries it for real below `folder`; undefined where the kernel, a policy or a missing tool stands in the way. */
export async function probeNamespaces(exec: Exec, folder: string, userId: number): Promise<Namespaces | undefined> {
  const [unshare, nsenter, chroot, env, mount] = ['unshare', 'nsenter', 'chroot', 'env', 'mount'].map(programPath);
  if (!unshare || !nsenter || !chroot || !env || !mount) return undefined;
  const spaces: Namespaces = { withUser: userId !== 0, unshare, nsenter, chroot, env };
  const probe = join(folder, 'probe');
  mkdirSync(probe, { recursive: true, mode: 0o700 });
  const { code } = await exec.run([...unshareArgv(spaces), mount, '-t', 'tmpfs', 'probe', probe], { timeoutMs: 5_000 });
  return code === 0 ? spaces : undefined;
}

/** This host's own tree. */
export const hostTree: TreeView = {
  kind(path) {
    const state = lstatSync(path, { throwIfNoEntry: false });
    return state && (state.isSymbolicLink() ? 'link' : state.isDirectory() ? 'folder' : 'file');
  },
  list: (folder) => readdirSync(folder),
  target: (link) => readlinkSync(link),
};
