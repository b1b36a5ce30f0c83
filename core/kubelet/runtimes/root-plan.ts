import { join, posix } from 'node:path';
import type { RootStep } from '#base';

/** The host's tree, as far as planning needs it. Links are not followed. */
export interface TreeView {
  kind(path: string): 'folder' | 'file' | 'link' | undefined;
  /** Throws when it may not be read. */
  list(folder: string): readonly string[];
  target(link: string): string;
}
export interface RootMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly readOnly: boolean;
}
const linksMax = 40; // as the kernel's own bound
const mirroredEntriesMax = 4_096; // of one folder: each is a mount of its own

/**
 * How a container's root is made without being root in earnest: a file system in memory onto which everything of the
 * host's root is bound. Where a mount point does not exist, its nearest folder is mirrored in the same way, because
 * nothing can be made in the host's own one. Pure. A text says what stands in the way.
 */
export function planRoot(mounts: readonly RootMount[], view: TreeView, readOnlyRoot = false): RootStep[] | string {
  try {
    return stepsOf(mounts, view, readOnlyRoot);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function stepsOf(mounts: readonly RootMount[], view: TreeView, readOnlyRoot: boolean): RootStep[] {
  const places = mounts
    .map((mount) => ({
      ...mount,
      path: resolvePath(mount.containerPath, view),
      kind: sourceKind(mount.hostPath, view),
    }))
    .sort((left, right) => left.path.split('/').length - right.path.split('/').length);
  const mirrored = new Set<string>(['/']);
  const points: RootStep[] = [];
  places.forEach((place, index) => {
    if (place.path === '/') throw new Error('a volume cannot be mounted at /');
    const outer = places.slice(0, index).findLast(({ path }) => place.path.startsWith(`${path}/`));
    const inOuter = outer && place.path.slice(outer.path.length + 1);
    if (inOuter !== undefined)
      points.push({ type: 'point', path: place.path, file: place.kind === 'file', within: outer!.path });
    else {
      const present = view.kind(place.path);
      if (present && present !== place.kind)
        throw new Error(`${place.containerPath} is a ${present} here, and the volume a ${place.kind}`);
      if (!present) {
        mirrored.add(nearestFolder(place.path, view));
        points.push({ type: 'point', path: place.path, file: place.kind === 'file' });
      }
    }
    points.push({ type: 'bind', from: place.hostPath, path: place.path });
  });
  const mirrors = [...mirrored].sort((left, right) => depth(left) - depth(right));
  return [
    ...mirrors.flatMap((folder) => mirrorSteps(folder, view)),
    ...points,
    ...(readOnlyRoot ? [{ type: 'access', path: '/', readOnly: true } as const] : []),
    ...places
      .filter(({ readOnly }) => readOnly !== readOnlyRoot)
      .map(({ path, readOnly }) => ({ type: 'access', path, readOnly }) as const),
  ];
}

const depth = (path: string) => (path === '/' ? 0 : path.split('/').length);

function mirrorSteps(folder: string, view: TreeView): RootStep[] {
  const names = view.list(folder);
  if (names.length > mirroredEntriesMax)
    throw new Error(
      `${folder} has ${names.length} entries, and a mount point can be made among ${mirroredEntriesMax} at most`,
    );
  const steps: RootStep[] = [{ type: 'memory', path: folder }];
  for (const name of names) {
    const path = join(folder, name);
    const kind = view.kind(path);
    if (kind === 'link') steps.push({ type: 'link', path, target: view.target(path) });
    else if (kind)
      steps.push({ type: 'point', path, file: kind === 'file' }, { type: 'bind', from: path, path, optional: true });
  }
  return steps;
}

function sourceKind(path: string, view: TreeView): 'folder' | 'file' {
  const kind = view.kind(path);
  if (kind === 'link') return sourceKind(resolvePath(path, view), view);
  if (!kind) throw new Error(`${path} does not exist`);
  return kind;
}

/** Follows the host's links in a path whose end may not exist. */
export function resolvePath(path: string, view: TreeView): string {
  let rest = posix.normalize(path).split('/').filter(Boolean);
  let at = '/';
  for (let links = 0; rest.length > 0; ) {
    const next = join(at, rest[0]!);
    rest = rest.slice(1);
    if (view.kind(next) !== 'link') {
      at = next;
      continue;
    }
    if (++links > linksMax) throw new Error(`${path}: too many levels of symbolic links`);
    const target = view.target(next);
    rest = [
      ...posix
        .normalize(target.startsWith('/') ? target : join(at, target))
        .split('/')
        .filter(Boolean),
      ...rest,
    ];
    at = '/';
  }
  return at;
}

function nearestFolder(path: string, view: TreeView): string {
  for (let at = posix.dirname(path); ; at = posix.dirname(at)) {
    const kind = at === '/' ? 'folder' : view.kind(at);
    if (kind === 'folder') return at;
    if (kind) throw new Error(`${at} is a file, so that nothing can be mounted at ${path}`);
  }
}
