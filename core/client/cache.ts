import { compareVersions, type KubeObject, keyOf, keyText, type ObjectKey } from '#api';
import type { Cache, Change } from './informer.ts';

interface Index<T> {
  readonly values: (object: Readonly<T>) => readonly string[];
  readonly byValue: Map<string, Map<string, T>>;
}

/**
 * A collection in memory, fed by a list, a watch and our own writes, in any order of arrival. It never goes back:
 * - `progress` is the version up to which the watch has told everything; an own write at or below it is old news.
 * - an own write ahead of it stands until the watch has passed its version.
 * - an own deletion leaves a tombstone (the uid), so that a late event of that life cannot bring the object back.
 */
export class ObjectCache<T extends KubeObject> implements Cache<T> {
  readonly #objects = new Map<string, T>();
  readonly #namespaces = new Map<string, Map<string, T>>();
  readonly #indexes = new Map<string, Index<T>>();
  /** Key → uid of a life that we ended and whose DELETED event is still to come. */
  readonly #tombstones = new Map<string, string>();
  #tombstonesBeforeList: ReadonlyMap<string, string> = new Map();
  #progress = '';
  readonly #changed: (change: Change<T>) => void;

  constructor(changed: (change: Change<T>) => void) {
    this.#changed = changed;
  }

  get(key: ObjectKey): Readonly<T> | undefined {
    return this.#objects.get(keyText(key));
  }
  list(namespace?: string): Readonly<T>[] {
    return [...((namespace ? this.#namespaces.get(namespace) : this.#objects)?.values() ?? [])];
  }
  byIndex(name: string, value: string): Readonly<T>[] {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`no index ${name}`);
    return [...(index.byValue.get(value)?.values() ?? [])];
  }
  addIndex(name: string, values: (object: Readonly<T>) => readonly string[]): void {
    if (this.#indexes.has(name)) return;
    const index: Index<T> = { values, byValue: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) fill(index, key, object);
  }

  /** Call when a list request starts: tombstones of now are settled by its answer. */
  listStarts(): void {
    this.#tombstonesBeforeList = new Map(this.#tombstones);
  }
  /** The answer of a full list. Own writes that are newer than it stay. */
  replace(items: readonly T[], version: string): void {
    for (const [key, uid] of this.#tombstonesBeforeList)
      if (this.#tombstones.get(key) === uid) this.#tombstones.delete(key);
    const listed = new Set<string>();
    for (const item of items) {
      const key = keyText(keyOf(item));
      listed.add(key);
      this.#offer(key, item);
    }
    for (const [key, object] of [...this.#objects])
      if (!listed.has(key) && compareVersions(versionOf(object), version) <= 0) this.#remove(key);
    this.progressTo(version);
  }
  /** One event of the watch, in order. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void {
    const key = keyText(keyOf(object));
    if (type !== 'DELETED') this.#offer(key, object);
    else {
      if (this.#tombstones.get(key) === object.metadata.uid) this.#tombstones.delete(key);
      const current = this.#objects.get(key);
      const isSameLife = current?.metadata.uid === object.metadata.uid;
      // A newer life that we made ourselves outlives the deletion of the one before.
      if (current && (isSameLife || compareVersions(versionOf(current), versionOf(object)) <= 0))
        this.#remove(key, object);
    }
    this.progressTo(versionOf(object));
  }
  progressTo(version: string): void {
    if (version && compareVersions(version, this.#progress) > 0) this.#progress = version;
  }
  /** The answer of a write of our own. */
  observe(object: T, isDeleted: boolean): void {
    const key = keyText(keyOf(object));
    if (isDeleted) {
      const current = this.#objects.get(key);
      if (current?.metadata.uid !== object.metadata.uid) return;
      if (object.metadata.uid) this.#tombstones.set(key, object.metadata.uid);
      this.#remove(key);
    } else if (compareVersions(versionOf(object), this.#progress) > 0) this.#offer(key, object);
  }

  #offer(key: string, object: T): void {
    const current = this.#objects.get(key);
    if (current && compareVersions(versionOf(object), versionOf(current)) <= 0) return;
    const buried = this.#tombstones.get(key);
    if (buried !== undefined) {
      if (buried === object.metadata.uid) return;
      this.#tombstones.delete(key);
    }
    this.#unlink(key, current);
    this.#objects.set(key, object);
    const namespace = object.metadata.namespace;
    if (namespace) bucket(this.#namespaces, namespace).set(key, object);
    for (const index of this.#indexes.values()) fill(index, key, object);
    this.#changed(current ? { type: 'updated', object, previous: current } : { type: 'added', object });
  }
  #remove(key: string, last?: T): void {
    const current = this.#objects.get(key);
    if (!current) return;
    this.#objects.delete(key);
    this.#unlink(key, current);
    this.#changed({ type: 'deleted', object: last ?? current });
  }
  #unlink(key: string, object: T | undefined): void {
    if (!object) return;
    drop(this.#namespaces, object.metadata.namespace ?? '', key);
    for (const index of this.#indexes.values())
      for (const value of index.values(object)) drop(index.byValue, value, key);
  }
}

const versionOf = (object: KubeObject): string => object.metadata.resourceVersion ?? '';
function bucket<T>(buckets: Map<string, Map<string, T>>, name: string): Map<string, T> {
  let found = buckets.get(name);
  if (!found) buckets.set(name, (found = new Map()));
  return found;
}
function drop<T>(buckets: Map<string, Map<string, T>>, name: string, key: string): void {
  const found = buckets.get(name);
  found?.delete(key);
  if (found?.size === 0) buckets.delete(name);
}
function fill<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.values(object)) bucket(index.byValue, value).set(key, object);
}
