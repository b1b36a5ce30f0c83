import { randomUUID } from 'node:crypto';
import { type KubeObject, StatusError } from '#api';
import { CallError, type Log, messageOf } from '#base';
import {
  type AnyKind,
  type HookCalls,
  type KindRegistry,
  type RefusalFacts,
  type RestAnswer,
  type RestEvent,
  type RestKindFacts,
  type RestWatchCall,
  restName,
  type ServedKind,
  type StrategyKit,
} from '#sdk';
import type { AskPlugin } from './door.ts';
import { restSchema } from './rest-schema.ts';

interface Options {
  readonly kinds: KindRegistry;
  readonly kit: StrategyKit;
  readonly ask: AskPlugin;
  readonly log: Log;
}
const retryAfterSeconds = 1;
const messageMax = 2_048;
const keyOf = ({ group, version, plural }: { group: string; version: string; plural: string }): string =>
  `${group}/${version}/${plural}`;

/** Kinds that plugins answer themselves, served while their plugin says so. A group's version has one owner. */
export class PluginApis {
  readonly #owners = new Map<string, string>();
  readonly #served = new Map<string, { readonly kind: AnyKind; readonly facts: RestKindFacts }>();
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
    for (const [key, { kind }] of this.#served)
      if (this.#owners.get(key) === plugin && !wanted.has(key)) {
        await kinds.remove(kind);
        this.#served.delete(key);
        this.#owners.delete(key);
      }
    for (const facts of apis) {
      const key = keyOf(facts);
      if (Bun.deepEquals(this.#served.get(key)?.facts, facts) && this.#owners.get(key) === plugin) continue;
      if (this.#isTaken(plugin, facts)) {
        log.warn('an API of a plugin is not served: its group belongs to somebody else', { plugin, api: key });
        continue;
      }
      const served = this.#kindOf(plugin, facts);
      this.#owners.set(key, plugin);
      this.#served.set(key, { kind: served.kind, facts });
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
    const { kit } = this.options;
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
      type: [...group.split('.').reverse(), version, name].join('.'),
    } as AnyKind;
    const api = restName(facts);
    const schema = restSchema(facts);
    return {
      kind,
      schema,
      strategy: { ...kit.strategy<KubeObject>({ kind }), validate: (object) => schema.mistakes(object) },
      rest: (verb, call, object) => this.#ask(plugin, { kind: api, verb, call, ...(object ? { object } : {}) }),
      ...(verbs.includes('watch')
        ? { restWatch: (call: RestWatchCall, signal: AbortSignal) => this.#watch(plugin, api, call, signal) }
        : {}),
    };
  }
  async #ask(plugin: string, asked: HookCalls['rest']['asked']): Promise<RestAnswer> {
    const answer = await this.options.ask(plugin, `rest ${asked.kind}`, 'rest', asked).catch((error: unknown) => {
      throw asStatus(plugin, error);
    });
    if (answer?.refused) throw refused(answer.refused);
    return answer ?? {};
  }

  async #watch(
    plugin: string,
    api: string,
    call: RestWatchCall,
    signal: AbortSignal,
  ): Promise<AsyncIterable<readonly RestEvent[]>> {
    const watch = randomUUID();
    await this.#ask(plugin, { kind: api, verb: 'watch', call, watch });
    const end = () => void this.#ask(plugin, { kind: api, verb: 'unwatch', call, watch }).catch(() => {}); // its lease ends it otherwise
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    const { ask } = this.options;
    return (async function* batches() {
      while (!signal.aborted) {
        const batch = await ask(plugin, `rest ${api}`, 'watch', { watch }).catch((error: unknown) => {
          throw asStatus(plugin, error);
        });
        if (!Array.isArray(batch?.events))
          throw asStatus(plugin, new CallError('remote', 'it answered with no events'));
        if (batch.events.length > 0) yield batch.events;
        if (batch.refused) throw refused(batch.refused);
        if (batch.over) return;
      }
    })();
  }
}

/** In the plugin's words, within what a Status may say. Pure. */
function refused({ code, reason, message }: RefusalFacts): StatusError {
  const isCode = Number.isInteger(code) && code >= 400 && code <= 599;
  const isReason = typeof reason === 'string' && /^[A-Za-z]{0,64}$/.test(reason);
  const text = String(message).slice(0, messageMax);
  return isCode && isReason ? new StatusError(code, reason, text) : new StatusError(500, 'InternalError', text);
}
/** What it said itself is its error; no answer is 503, and to be tried again. */
function asStatus(plugin: string, error: unknown): StatusError {
  const message = messageOf(error).slice(0, messageMax);
  if (error instanceof CallError && error.failure === 'remote')
    return new StatusError(500, 'InternalError', `plugin ${JSON.stringify(plugin)}: ${message}`);
  return new StatusError(503, 'ServiceUnavailable', `plugin ${JSON.stringify(plugin)} does not answer: ${message}`, {
    retryAfterSeconds,
  });
}
