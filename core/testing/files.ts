import { dirname } from 'node:path';
import type { Files } from '#base';

export type Item =
  | { readonly type: 'folder'; readonly items: Map<string, Item>; mode: number }
  | { readonly type: 'file'; bytes: Buffer; mode: number }
  | { readonly type: 'link'; readonly target: string };
/** A node's disk in memory; it outlives the processes that use it. */
export type Disk = Extract<Item, { type: 'folder' }>;

const folder = (): Disk => ({ type: 'folder', items: new Map(), mode: 0o755 });
const fail = (code: string, path: string) => Object.assign(new Error(`${code}: ${path}`), { code });
const partsOf = (path: string) => path.split('/').filter((part) => part !== '' && part !== '.');
const linksMax = 40;

export const newDisk = (): Disk => {
  const root = folder();
  root.items.set('etc', folder());
  return root;
};

/**
 * As much of node:fs/promises as the kubelet uses. Every call is done at once, after `pause`: that is where a crash can
 * fall between two of them.
 */
export function memoryFiles(disk: Disk, pause: () => Promise<void>): Files {
  const tree = new Tree(disk);
  const verbs = { ...foldersOf(tree), ...filesOf(tree), ...statesOf(tree) };
  return Object.fromEntries(
    Object.entries(verbs).map(([name, verb]) => [
      name,
      async (...words: never[]) => {
        await pause();
        return (verb as (...all: never[]) => unknown)(...words);
      },
    ]),
  ) as unknown as Files;
}

class Tree {
  constructor(readonly root: Disk) {}

  /** The real path and what is there. */
  find(path: string, follow = true): { item: Item | undefined; real: string } {
    let parts = partsOf(path);
    let links = 0;
    for (let trail: string[] = [], at: Item = this.root; ; ) {
      const part = parts.shift();
      if (part === undefined) return { item: at, real: `/${trail.join('/')}` };
      const next: Item | undefined = at.type === 'folder' ? at.items.get(part) : undefined;
      if (part === '..') parts = [...trail.slice(0, -1), ...parts];
      else if (next?.type === 'link' && (follow || parts.length > 0)) {
        if (++links > linksMax) throw fail('ELOOP', path);
        parts = [...(next.target.startsWith('/') ? [] : trail), ...partsOf(next.target), ...parts];
      } else {
        trail.push(part);
        if (!next) return { item: undefined, real: `/${[...trail, ...parts].join('/')}` };
        at = next;
        continue;
      }
      [trail, at] = [[], this.root];
    }
  }
  must(path: string, follow = true): Item {
    const { item } = this.find(path, follow);
    if (!item) throw fail('ENOENT', path);
    return item;
  }
  mustFile(path: string): Extract<Item, { type: 'file' }> {
    const item = this.must(path);
    if (item.type !== 'file') throw fail('EISDIR', path);
    return item;
  }
  /** The folder that has the entry, which need not exist. */
  home(path: string): { items: Map<string, Item>; name: string } {
    const parent = this.must(dirname(path));
    if (parent.type !== 'folder') throw fail('ENOTDIR', path);
    return { items: parent.items, name: partsOf(path).at(-1) ?? '' };
  }
  put(path: string, item: Item): void {
    const { items, name } = this.home(path);
    if (items.has(name)) throw fail('EEXIST', path);
    items.set(name, item);
  }
  makeAll(path: string): void {
    let at = this.root;
    for (const part of partsOf(this.find(path).real)) {
      const next = at.items.get(part) ?? folder();
      if (next.type !== 'folder') throw fail('EEXIST', path);
      at.items.set(part, next);
      at = next;
    }
  }
}

const stateOf = (item: Item) => ({
  mode: item.type === 'link' ? 0o777 : item.mode,
  dev: 1,
  isFile: () => item.type === 'file',
  isDirectory: () => item.type === 'folder',
  isSymbolicLink: () => item.type === 'link',
  isSocket: () => false,
  isCharacterDevice: () => false,
  isBlockDevice: () => false,
});

const statesOf = (tree: Tree) => ({
  chmod(path: string, mode: number) {
    const item = tree.must(path);
    if (item.type !== 'link') item.mode = mode;
  },
  chown: (path: string) => void tree.must(path),
  lstat: (path: string) => stateOf(tree.must(path, false)),
  stat: (path: string) => stateOf(tree.must(path)),
  statfs: () => ({ blocks: 25_000_000, bsize: 4096 }),
  readlink(path: string) {
    const item = tree.must(path, false);
    if (item.type !== 'link') throw fail('EINVAL', path);
    return item.target;
  },
  realpath(path: string) {
    const { item, real } = tree.find(path);
    if (!item) throw fail('ENOENT', path);
    return real;
  },
});

const foldersOf = (tree: Tree) => ({
  mkdir: (path: string, options?: { recursive?: boolean }) =>
    options?.recursive ? tree.makeAll(path) : tree.put(path, folder()),
  readdir(path: string, options?: { recursive?: boolean; withFileTypes?: boolean }) {
    const list = (item: Item, prefix: string): { name: string; item: Item }[] =>
      item.type !== 'folder'
        ? []
        : [...item.items].flatMap(([name, inner]) => [
            { name: prefix + name, item: inner },
            ...(options?.recursive ? list(inner, `${prefix}${name}/`) : []),
          ]);
    const found = list(tree.must(path), '');
    return found.map(({ name, item }) => (options?.withFileTypes ? { name, ...stateOf(item) } : name));
  },
  rename(from: string, to: string) {
    const source = tree.home(from);
    const item = tree.must(from, false);
    const target = tree.home(to);
    source.items.delete(source.name);
    target.items.set(target.name, item);
  },
  rm(path: string, options?: { force?: boolean }) {
    if (tree.find(path, false).item) {
      const { items, name } = tree.home(path);
      items.delete(name);
    } else if (!options?.force) throw fail('ENOENT', path);
  },
  symlink: (target: string, path: string) => tree.put(path, { type: 'link', target }),
});

const filesOf = (tree: Tree) => ({
  open(path: string) {
    const item = tree.must(path);
    const bytes = item.type === 'file' ? item.bytes : Buffer.alloc(0);
    return {
      read: async (buffer: Buffer, offset: number, length: number, from: number) => ({
        buffer,
        bytesRead: bytes.copy(buffer, offset, from, from + length),
      }),
      close: async () => {},
    };
  },
  readFile(path: string, encoding?: string) {
    const { bytes } = tree.mustFile(path);
    return encoding ? bytes.toString('utf8') : bytes;
  },
  writeFile(path: string, data: string | Uint8Array, options?: { flag?: string }) {
    const bytes = Buffer.from(data as Uint8Array);
    const { items, name } = tree.home(path);
    const before = items.get(name);
    if (before?.type === 'file' && options?.flag === 'a') before.bytes = Buffer.concat([before.bytes, bytes]);
    else items.set(name, { type: 'file', bytes, mode: 0o644 });
  },
});
