import type { JsonObject } from '../contract.ts';
import { isObject } from './merge.ts';

/**
 * Sets share what they have in common: change only what you have made, and never leave an empty child.
 * Which fields somebody owns: the tree of metadata.managedFields' fieldsV1. Keys are `f:NAME`, `k:{"KEY":VALUE}` and `v:VALUE`.
 * `own` says that the place itself is owned, not only what is below it.
 */
export class FieldSet {
  own = false;
  /** Most places have nothing below them, and there are dozens in an object: they share one empty map. */
  #children: Map<string, FieldSet> | undefined;

  get children(): ReadonlyMap<string, FieldSet> {
    return this.#children ?? nothing;
  }
  set(key: string, child: FieldSet): void {
    this.#children ??= new Map();
    this.#children.set(key, child);
  }
  delete(key: string): void {
    this.#children?.delete(key);
  }

  static fromJson(json: unknown): FieldSet {
    if (!isObject(json)) return new FieldSet();
    let set: FieldSet | undefined;
    for (const key in json) {
      set ??= new FieldSet();
      if (key === '.') set.own = true;
      else {
        const child = FieldSet.fromJson(json[key]);
        if (!child.isEmpty) set.set(key, child);
      }
    }
    return set ?? leaf;
  }
  toJson(root = true): JsonObject {
    if (!this.#children) return whole;
    const result: JsonObject = {};
    if (this.own && this.children.size > 0 && !root) result['.'] = {};
    for (const key of inOrder([...this.children.keys()])) result[key] = this.children.get(key)!.toJson(false);
    return result;
  }
  get isEmpty(): boolean {
    return !this.own && (this.#children === undefined || this.#children.size === 0);
  }
  child(key: string): FieldSet {
    let child = this.children.get(key);
    if (!child) this.set(key, (child = new FieldSet()));
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
  /** A set of its own with the same children. */
  copy(): FieldSet {
    const copy = new FieldSet();
    copy.own = this.own;
    if (this.#children) copy.#children = new Map(this.#children);
    return copy;
  }
  /** The set itself when the other adds nothing. */
  union(other: FieldSet): FieldSet {
    if (other.isEmpty || other === this) return this;
    if (this.isEmpty) return other;
    let result: FieldSet = this;
    const mine = () => (result === this ? (result = this.copy()) : result);
    if (other.own && !this.own) mine().own = true;
    for (const [key, child] of other.children) {
      const old = this.children.get(key);
      const both = old?.union(child) ?? child;
      if (both !== old) mine().set(key, both);
    }
    return result;
  }
  intersect(other: FieldSet): FieldSet {
    const result = new FieldSet();
    result.own = this.own && other.own;
    for (const [key, child] of this.children) {
      const both = other.children.get(key)?.intersect(child);
      if (both && !both.isEmpty) result.set(key, both);
    }
    return result;
  }
  /** The set itself when it has nothing of the other. */
  without(other: FieldSet): FieldSet {
    let result: FieldSet = this;
    const mine = () => (result === this ? (result = this.copy()) : result);
    if (this.own && other.own) mine().own = false;
    for (const [key, gone] of other.children) {
      const child = this.children.get(key);
      if (!child) continue;
      const left = child === leaf && gone.own ? none : child.without(gone);
      if (left === child) continue;
      if (left.isEmpty) mine().delete(key);
      else mine().set(key, left);
    }
    return result;
  }
  equals(other: FieldSet): boolean {
    if (this.own !== other.own || this.children.size !== other.children.size) return false;
    for (const [key, child] of this.children) if (!other.children.get(key)?.equals(child)) return false;
    return true;
  }
}

const whole: JsonObject = Object.freeze({});
const none = new FieldSet();
Object.freeze(none);
/** A place with nothing below it: most of what is read is that. */
export const leaf = new FieldSet();
leaf.own = true;
Object.freeze(leaf);
const nothing: ReadonlyMap<string, FieldSet> = new Map();

const inOrder = (keys: string[]): string[] =>
  keys.every((key, index) => index === 0 || keys[index - 1]! < key) ? keys : keys.sort();

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
