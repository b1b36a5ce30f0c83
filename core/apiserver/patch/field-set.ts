import type { JsonObject } from '../contract.ts';
import { isObject } from './merge.ts';

/**
 * Which fields somebody owns: the tree of metadata.managedFields' fieldsV1. Keys are `f:NAME`, `k:{"KEY":VALUE}` and `v:VALUE`.
 * `own` says that the place itself is owned, not only what is below it.
 */
export class FieldSet {
  own = false;
  readonly children = new Map<string, FieldSet>();

  static fromJson(json: unknown): FieldSet {
    const set = new FieldSet();
    if (!isObject(json)) return set;
    const keys = Object.keys(json);
    set.own = keys.length === 0 || keys.includes('.');
    for (const key of keys) if (key !== '.') set.children.set(key, FieldSet.fromJson(json[key]));
    return set;
  }
  toJson(root = true): JsonObject {
    const result: JsonObject = {};
    if (this.own && this.children.size > 0 && !root) result['.'] = {};
    for (const key of [...this.children.keys()].sort()) result[key] = this.children.get(key)!.toJson(false);
    return result;
  }
  get isEmpty(): boolean {
    return !this.own && [...this.children.values()].every((child) => child.isEmpty);
  }
  child(key: string): FieldSet {
    let child = this.children.get(key);
    if (!child) this.children.set(key, (child = new FieldSet()));
    return child;
  }
  /** Every owned place, as its keys. */
  *paths(prefix: readonly string[] = []): Generator<readonly string[]> {
    if (this.own) yield prefix;
    for (const [key, child] of this.children) yield* child.paths([...prefix, key]);
  }
  at(path: readonly string[]): FieldSet | undefined {
    let set: FieldSet | undefined = this;
    for (const key of path) set = set?.children.get(key);
    return set;
  }
  union(other: FieldSet): FieldSet {
    return combine(this, other, (left, right) => left || right, { left: true, right: true });
  }
  intersect(other: FieldSet): FieldSet {
    return combine(this, other, (left, right) => left && right, { left: false, right: false });
  }
  without(other: FieldSet): FieldSet {
    return combine(this, other, (left, right) => left && !right, { left: true, right: false });
  }
  equals(other: FieldSet): boolean {
    return JSON.stringify(this.toJson()) === JSON.stringify(other.toJson()) && this.own === other.own;
  }
}

/** `alone`: whether what only one side has stays. It is shared, not copied: nobody changes a set below its top. */
function combine(
  left: FieldSet,
  right: FieldSet,
  keep: (l: boolean, r: boolean) => boolean,
  alone: { readonly left: boolean; readonly right: boolean },
): FieldSet {
  const result = new FieldSet();
  result.own = keep(left.own, right.own);
  for (const [key, inner] of left.children) {
    const other = right.children.get(key);
    const child = other ? combine(inner, other, keep, alone) : alone.left ? inner : undefined;
    if (child && !child.isEmpty) result.children.set(key, child);
  }
  if (alone.right)
    for (const [key, inner] of right.children)
      if (!left.children.has(key) && !inner.isEmpty) result.children.set(key, inner);
  return result;
}

/** `.spec.containers[name="x"].image`, as conflicts name it. */
export function pathText(path: readonly string[]): string {
  return path
    .map((key) => {
      const rest = key.slice(2);
      if (key.startsWith('f:')) return `.${rest}`;
      if (key.startsWith('v:')) return `[=${rest}]`;
      const keys = Object.entries(JSON.parse(rest) as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1));
      return `[${keys.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}
