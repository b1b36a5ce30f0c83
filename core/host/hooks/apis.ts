import { type KubeObject, StatusError } from '#api';
import { CallError, type Log, messageOf } from '#base';
import { type AnyKind, type KindRegistry, type RestKindFacts, restName, type ServedKind, type StrategyKit } from '#sdk';
import type { AskPlugin } from './door.ts';

interface Options {
  readonly kinds: KindRegistry;
  readonly kit: StrategyKit;
  readonly ask: AskPlugin;
  readonly log: Log;
}
const retryAfterSeconds = 1;
const keyOf = ({ group, version, plural }: { group: string; version: string; plural: string }): string =>
  `${group}/${version}/${plural}`;

/** Kinds that plugins answer themselves, served while their plugin says so. A group's version has one owner. */
export class PluginApis {
  readonly #owners = new Map<string, string>();
  readonly #served = new Map<string, AnyKind>();
  #work: Promise<void> = Promise.resolve();
  constructor(private readonly options: Options) {}

  set(plugin: string, apis: readonly RestKindFacts[]): void {
    this.#work = this.#work
      .then(() => this.#apply(plugin, apis))
      .catch((error: unknown) =>
        this.options.log.error('an API of a plugin could not be served', { plugin, error: messageOf(error) }),
      );
  }
  settled(): Promise<void> {
    return this.#work;
  }

  async #apply(plugin: string, apis: readonly RestKindFacts[]): Promise<void> {
    const { kinds, log } = this.options;
    const wanted = new Set(apis.map(keyOf));
    for (const [key, kind] of this.#served)
      if (this.#owners.get(key) === plugin && !wanted.has(key)) {
        await kinds.remove(kind);
        this.#served.delete(key);
        this.#owners.delete(key);
      }
    for (const facts of apis) {
      const key = keyOf(facts);
      if (this.#owners.get(key) === plugin) continue;
      if (this.#isTaken(plugin, facts)) {
        log.warn('an API of a plugin is not served: its group belongs to somebody else', { plugin, api: key });
        continue;
      }
      const served = this.#kindOf(plugin, facts);
      this.#owners.set(key, plugin);
      this.#served.set(key, served.kind);
      await kinds.add(served);
    }
  }
  /** By another plugin, or by stored kinds. */
  #isTaken(plugin: string, { group, version }: RestKindFacts): boolean {
    return this.options.kinds
      .all()
      .some(({ kind }) => kind.group === group && kind.version === version && this.#owners.get(keyOf(kind)) !== plugin);
  }

  #kindOf(plugin: string, facts: RestKindFacts): ServedKind {
    const { kit, ask } = this.options;
    const { group, version, kind: name, plural, namespaced, verbs } = facts;
    const kind = {
      group,
      version,
      kind: name,
      plural,
      singular: name.toLowerCase(),
      namespaced,
      verbs,
      virtual: true,
      type: `${group}/${version}.${name}`,
    } as AnyKind;
    const api = restName(facts);
    return {
      kind,
      strategy: kit.strategy<KubeObject>({ kind }),
      async rest(verb, call, object) {
        try {
          return await ask(plugin, `rest ${api}`, 'rest', { kind: api, verb, call, ...(object ? { object } : {}) });
        } catch (error) {
          throw asStatus(plugin, error);
        }
      },
    };
  }
}

/** What it said itself is its error; no answer is 503, and to be tried again. */
function asStatus(plugin: string, error: unknown): StatusError {
  const message = messageOf(error).slice(0, 2_048);
  if (error instanceof CallError && error.failure === 'remote')
    return new StatusError(500, 'InternalError', `plugin ${JSON.stringify(plugin)}: ${message}`);
  return new StatusError(503, 'ServiceUnavailable', `plugin ${JSON.stringify(plugin)} does not answer: ${message}`, {
    retryAfterSeconds,
  });
}
