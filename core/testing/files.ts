import { dirname } from 'node:path';
import type { Files } from '#base';

type Item =
  | { readonly type: 'folder'; readonly items: Map<string, Item>; mode: number }
  | { readonly type: 'file'; bytes: Buffer; mode: number }
  | { readonly type: 'link'; readonly target: string };
type Folder = Extract<Item, { type: 'folder' }>;

const folder = (): Folder => ({ type: 'folder', items: new Map(), mode: 0o755 });
const fail = (code: string, path: string) => Object.assign(new Error(`${code}: ${path}`), { code });
const linksMax = 40;

/**
 * A node's disk in memory, as much of node:fs/promises as the kubelet uses. Every call is done when it returns, after
 * `pause`: that is where a crash can fall between two of them.
 */
export function memoryFiles(root: Folder = newDisk(), pause: () => Promise<void> = async () => {}): Files {
  const partsOf = (path: string) => path.split('/').filter((part) => part !== '' && part !== '.');
  /** The real path and what is there. */
  function find(path: string, follow = true): { item: Item | undefined; real: string } {
    let parts = partsOf(path);
    let links = 0;
    for (let trail: string[] = [], at: Item = root; ; ) {
      const part = parts.shift();
      if (part === undefined) return { item: at, real: `/${trail.join('/')}` };
      if (part === '..') {
        trail = trail.slice(0, -1);
        parts = [...trail, ...parts];
        [trail, at] = [[], root];
        continue;
      }
      const next: Item | undefined = at.type === 'folder' ? at.items.get(part) : undefined;
      if (next?.type === 'link' && (follow || parts.length > 0)) {
        if (++links > linksMax) throw fail('ELOOP', path);
        parts = next.target.startsWith('/')
          ? [...partsOf(next.target), ...parts]
          : [...trail, ...partsOf(next.target), ...parts];
        [trail, at] = [[], root];
        continue;
      }
      trail.push(part);
      if (!next) return { item: undefined, real: `/${[...trail, ...parts].join('/')}` };
      at = next;
    }
  }
  const must = (path: string, follow = true): Item => {
    const { item } = find(path, follow);
    if (!item) throw fail('ENOENT', path);
    return item;
  };
  function home(path: string): { items: Map<string, Item>; name: string } {
    const parent = must(dirname(path));
    if (parent.type !== 'folder') throw fail('ENOTDIR', path);
    return { items: parent.items, name: partsOf(path).at(-1) ?? '' };
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
  function makeAll(path: string): void {
    let at: Folder = root;
    for (const part of partsOf(find(path).real)) {
      const next = at.items.get(part) ?? folder();
      if (next.type !== 'folder') throw fail('EEXIST', path);
      at.items.set(part, next);
      at = next;
    }
  }
  const verbs = {
    chmod(path: string, mode: number) {
      const item = must(path);
      if (item.type !== 'link') item.mode = mode;
    },
    chown: (path: string) => void must(path),
    lstat: (path: string) => stateOf(must(path, false)),
    stat: (path: string) => stateOf(must(path)),
    statfs: () => ({ blocks: 25_000_000, bsize: 4096 }),
    mkdir(path: string, options?: { recursive?: boolean }) {
      if (options?.recursive) return makeAll(path);
      const { items, name } = home(path);
      if (items.has(name)) throw fail('EEXIST', path);
      items.set(name, folder());
    },
    open(path: string) {
      const item = must(path);
      const bytes = item.type === 'file' ? item.bytes : Buffer.alloc(0);
      return {
        read: async (buffer: Buffer, offset: number, length: number, from: number) => ({
          buffer,
          bytesRead: bytes.copy(buffer, offset, from, from + length),
        }),
        close: async () => {},
      };
    },
    readdir(path: string, options?: { recursive?: boolean; withFileTypes?: boolean }) {
      const list = (item: Item, prefix: string): { name: string; item: Item }[] =>
        item.type !== 'folder'
          ? []
          : [...item.items].flatMap(([name, inner]) => [
              { name: prefix + name, item: inner },
              ...(options?.recursive ? list(inner, `${prefix}${name}/`) : []),
            ]);
      const found = list(must(path), '');
      return options?.withFileTypes
        ? found.map(({ name, item }) => ({ name, ...stateOf(item) }))
        : found.map(({ name }) => name);
    },
    readFile(path: string, encoding?: string) {
      const item = must(path);
      if (item.type !== 'file') throw fail('EISDIR', path);
      return encoding ? item.bytes.toString('utf8') : item.bytes;
    },
    readlink(path: string) {
      const item = must(path, false);
      if (item.type !== 'link') throw fail('EINVAL', path);
      return item.target;
    },
    realpath(path: string) {
      const { item, real } = find(path);
      if (!item) throw fail('ENOENT', path);
      return real;
    },
    rename(from: string, to: string) {
      const source = home(from);
      const item = must(from, false);
      const target = home(to);
      source.items.delete(source.name);
      target.items.set(target.name, item);
    },
    rm(path: string, options?: { force?: boolean }) {
      if (!find(path, false).item) {
        if (options?.force) return;
        throw fail('ENOENT', path);
      }
      const { items, name } = home(path);
      items.delete(name);
    },
    symlink(target: string, path: string) {
      const { items, name } = home(path);
      if (items.has(name)) throw fail('EEXIST', path);
      items.set(name, { type: 'link', target });
    },
    writeFile(path: string, data: string | Uint8Array, options?: { flag?: string }) {
      const bytes = Buffer.from(data as Uint8Array);
      const { items, name } = home(path);
      const before = items.get(name);
      if (before?.type === 'file' && options?.flag === 'a') before.bytes = Buffer.concat([before.bytes, bytes]);
      else items.set(name, { type: 'file', bytes, mode: 0o644 });
    },
  };
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

/** An empty disk; it outlives the processes that use it. */
export const newDisk = (): Folder => {
  const root = folder();
  root.items.set('etc', folder());
  return root;
};
export type Disk = Folder;
