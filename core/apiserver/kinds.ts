import { apiVersionOf } from '#api';
import type { AnyKind, KindRegistry, ServedKind } from './contract.ts';
import type { WatchCache } from './watch-cache.ts';

const resourceKey = (group: string, version: string, plural: string) => `${group}/${version}/${plural}`;

/** The kinds that are served now, by group, version and plural. Others may come and go at run time. */
export class Kinds implements KindRegistry {
  readonly #served = new Map<string, ServedKind>();
  #all: readonly ServedKind[] | undefined;
  /** Rises with every change; discovery documents are made anew then. */
  generation = 0;

  constructor(
    private readonly cache: WatchCache,
    builtin: readonly ServedKind[],
  ) {
    for (const served of builtin) this.#served.set(keyOfKind(served.kind), served);
  }
  find(group: string, version: string, plural: string): ServedKind | undefined {
    return this.#served.get(resourceKey(group, version, plural));
  }
  /** The same list until a kind comes or goes. */
  all(): readonly ServedKind[] {
    this.#all ??= [...this.#served.values()];
    return this.#all;
  }
  hasVersion(group: string, version: string): boolean {
    return this.all().some(({ kind }) => kind.group === group && kind.version === version);
  }
  byKind(apiVersion: string, kindName: string): ServedKind | undefined {
    return this.all().find(({ kind }) => kind.kind === kindName && apiVersionOf(kind) === apiVersion);
  }
  async add(served: ServedKind): Promise<void> {
    if (!served.kind.virtual) await this.cache.add(served);
    this.#served.set(keyOfKind(served.kind), served);
    this.#all = undefined;
    this.generation++;
  }
  async remove(kind: AnyKind): Promise<void> {
    if (!this.#served.delete(keyOfKind(kind))) return;
    this.cache.remove(kind);
    this.#all = undefined;
    this.generation++;
  }
}

const keyOfKind = (kind: AnyKind): string => resourceKey(kind.group, kind.version, kind.plural);
