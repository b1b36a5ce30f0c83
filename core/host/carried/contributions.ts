import { CallError, messageOf, PintleError } from '#base';
import type { NodeCalls, NodeMethod } from '#sdk';
import type { HookTarget } from '../hooks/board.ts';
import type { Isolation, NodePoint, PluginManifest } from '../manifest.ts';
import { nodePoints } from '../manifest.ts';
import { pointWord } from '../provides.ts';

/** The instance of one plugin on this node, which comes and goes while the plugin stays. */
export interface Contributor {
  readonly plugin: string;
  /** When the plugin was installed, in milliseconds since 1970: of two that provide the same, the first one is used. */
  readonly sinceMs: number;
  readonly manifest: Pick<PluginManifest, 'provides' | 'networks'>;
  readonly isolation: Isolation;
  /** On this host; what the plugin sees as its state. */
  readonly stateFolder: string;
  readonly target: HookTarget;
  /** Its host tries no more. */
  readonly isGivenUp: boolean;
}
/** Told when a plugin is gone for good, to take back what is in force for it. */
type Leaving = (contributor: Contributor) => Promise<void>;

/** What the plugins on this node contribute to it, by point and name, and the way to who answers. */
export class NodeContributions {
  readonly #contributors = new Map<string, Contributor>();
  readonly #reserved = new Map<NodePoint, Set<string>>();
  readonly #handlers = new Set<() => void>();
  readonly #leaving = new Set<Leaving>();

  /** Names of the platform's own, which no plugin can take. */
  reserve(point: NodePoint, names: readonly string[]): void {
    this.#reserved.set(point, new Set([...(this.#reserved.get(point) ?? []), ...names]));
  }
  /** In the place of an earlier instance or version of the same plugin. */
  attach(contributor: Contributor): void {
    if (!nodePoints.some((point) => contributor.manifest.provides[point]?.length)) return;
    this.#contributors.set(contributor.plugin, contributor);
    this.changed();
  }
  /** It runs here no more. `forGood`: what is in force for it is taken back before this resolves; else it stays. */
  async detach(plugin: string, forGood: boolean): Promise<void> {
    const contributor = this.#contributors.get(plugin);
    if (!contributor) return;
    this.#contributors.delete(plugin);
    this.changed();
    if (forGood) await Promise.all([...this.#leaving].map((leave) => leave(contributor)));
  }
  /** An instance came up or went down; of a plugin that contributes nothing nobody is told. */
  changed(plugin?: string): void {
    if (plugin !== undefined && !this.#contributors.has(plugin)) return;
    for (const handler of this.#handlers) handler();
  }
  onChange(handler: () => void): Disposable {
    this.#handlers.add(handler);
    return { [Symbol.dispose]: () => void this.#handlers.delete(handler) };
  }
  onLeaving(leave: Leaving): Disposable {
    this.#leaving.add(leave);
    return { [Symbol.dispose]: () => void this.#leaving.delete(leave) };
  }

  /** Those that are used: of each name the first that was installed. */
  names(point: NodePoint): string[] {
    const all = [...this.#contributors.values()].flatMap(({ manifest }) => manifest.provides[point] ?? []);
    return [...new Set(all)].filter((name) => !this.#reserved.get(point)?.has(name)).sort();
  }
  owner(point: NodePoint, name: string): Contributor | undefined {
    if (this.#reserved.get(point)?.has(name)) return undefined;
    return this.#inOrder().find(({ manifest }) => manifest.provides[point]?.includes(name));
  }
  /** Of a point that one of all fills, whatever its name. Those that were given up do not count. */
  sole(point: NodePoint): { readonly contributor: Contributor; readonly name: string } | undefined {
    const contributor = this.#inOrder().find((one) => !one.isGivenUp && one.manifest.provides[point]?.length);
    return contributor && { contributor, name: [...contributor.manifest.provides[point]!].sort()[0]! };
  }
  #inOrder(): Contributor[] {
    return [...this.#contributors.values()].sort((a, b) => a.sinceMs - b.sinceMs || (a.plugin < b.plugin ? -1 : 1));
  }
  /** What this plugin provides and is not used here, each with the reason. */
  unused(plugin: string): string[] {
    const provides = this.#contributors.get(plugin)?.manifest.provides;
    return nodePoints.flatMap((point) =>
      (provides?.[point] ?? []).flatMap((name) => {
        const word = `${pointWord(point)} ${name} is not used`;
        if (this.#reserved.get(point)?.has(name)) return [`${word}: the platform has one of that name`];
        const used = point === 'proxies' ? this.sole(point) : { contributor: this.owner(point, name), name };
        if (!used?.contributor || (used.contributor.plugin === plugin && used.name === name)) return [];
        return [`${word}: plugin ${used.contributor.plugin} provides ${used.name === name ? 'it' : used.name} already`];
      }),
    );
  }

  /** Rejects with PintleError: who asks decides what holds without an answer. */
  async ask<M extends NodeMethod>(
    point: NodePoint,
    name: string,
    method: M,
    asked: NodeCalls[M]['asked'],
    timeoutMs: number,
  ): Promise<NodeCalls[M]['answer']> {
    const owner = this.owner(point, name);
    const what = `${pointWord(point)} ${name}`;
    if (!owner)
      throw new PintleError(
        'NODE_PLUGIN_ABSENT',
        `no plugin on this node provides the ${what}`,
        'install one that does: ./pintle plugin list',
      );
    const { channel, isResponsive } = owner.target;
    const fail = (why: string) =>
      new PintleError(
        'NODE_PLUGIN_SILENT',
        `the ${what} of plugin ${owner.plugin} ${why}`,
        `./pintle plugin show ${owner.plugin}`,
      );
    if (!channel || !isResponsive) throw fail('does not run now');
    try {
      return (await channel.call(method, asked, timeoutMs)) as NodeCalls[M]['answer'];
    } catch (error) {
      if (error instanceof CallError && error.failure === 'remote') throw fail(`says: ${error.message}`);
      throw fail(`gave no answer: ${messageOf(error)}`);
    }
  }
}
