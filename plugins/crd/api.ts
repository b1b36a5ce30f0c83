import {
  type AnyKind,
  type ApiPart,
  type ApiPartContext,
  apiServiceKind,
  isReason,
  type KubeObject,
  messageOf,
  randomUuid,
  type ServedKind,
  type Strategy,
} from '#sdk';
import { syncServices } from './api-services.ts';
import { conversionOf } from './conversion.ts';
import { servedKinds } from './custom-kind.ts';
import { cleanupFinalizer, type Definition, definitionKind, isTrue, setCondition } from './kind.ts';
import { acceptNames, type Neighbour, neighbourOf } from './names.ts';
import { definitionStrategy } from './strategy.ts';

const attemptsMax = 5;
/** A definition takes thirteen times its JSON when it is decoded, and nobody reads it twice. */
const decodedBytesMax = 256 * 1024;
const retryMs = 500;
const retryMsMax = 30_000;

/** CustomResourceDefinitions: serves the kind itself, and every kind that it defines. */
const part: ApiPart = {
  name: 'crd',
  async start(context) {
    const definitions = new Definitions(context);
    await definitions.start();
  },
};
export default part;

interface Live {
  /** What it was made from: made anew only when this changes. */
  readonly signature: number | bigint;
  readonly kinds: readonly ServedKind[];
}

/** Level-driven: whatever happened, the state of one definition is brought to what its object says. One at a time. */
class Definitions {
  readonly #live = new Map<string, Live>();
  readonly #known = new Map<string, Neighbour>();
  readonly #ending = new Set<string>();
  readonly #waiting = new Set<string>();
  readonly #failures = new Map<string, number>();
  #running = false;

  constructor(private readonly context: ApiPartContext) {}

  async start(): Promise<void> {
    const { context } = this;
    const strategy = definitionStrategy(() => this.#now()) as unknown as Strategy<KubeObject>;
    await context.kinds.add({ kind: definitionKind as AnyKind, strategy, plainMetadata: true, decodedBytesMax });
    const names = context.reader.list(definitionKind).map((definition) => {
      this.#known.set(definition.metadata.name!, neighbourOf(definition));
      return definition.metadata.name!;
    });
    for (const name of names) await this.#attempt(name);
    await this.#forgetServices();
    context.reader.onChange?.(definitionKind, (next, previous) => {
      const name = (next ?? previous)?.metadata.name;
      if (!name) return;
      if (next) this.#known.set(name, neighbourOf(next));
      else this.#known.delete(name);
      this.#enqueue(name);
    });
  }

  #now(): string {
    return `${new Date(this.context.clock.now()).toISOString().slice(0, 19)}Z`;
  }
  #enqueue(name: string): void {
    this.#waiting.add(name);
    if (!this.#running) void this.#run();
  }
  async #run(): Promise<void> {
    this.#running = true;
    for (
      let name = first(this.#waiting);
      name !== undefined && !this.context.scope.signal.aborted;
      name = first(this.#waiting)
    ) {
      this.#waiting.delete(name);
      await this.#attempt(name);
    }
    this.#running = false;
  }
  async #attempt(name: string): Promise<void> {
    try {
      await this.#sync(name);
      this.#failures.delete(name);
    } catch (error) {
      if (this.context.scope.signal.aborted || isReason(error, 'NotFound')) return;
      const failures = (this.#failures.get(name) ?? 0) + 1;
      this.#failures.set(name, failures);
      if (!isReason(error, 'Conflict'))
        this.context.log.warn('a definition could not be brought up', { name, error: messageOf(error) });
      this.#again(name, Math.min(retryMs * 2 ** (failures - 1), retryMsMax));
    }
  }
  #again(name: string, ms: number): void {
    void this.context.clock.sleep(ms, this.context.scope.signal).then(() => {
      if (!this.context.scope.signal.aborted) this.#enqueue(name);
    });
  }

  async #sync(name: string): Promise<void> {
    const definition = this.context.reader.get(definitionKind, '', name);
    if (!definition) {
      await this.#withdraw(name);
      return;
    }
    if (definition.metadata.deletionTimestamp) this.#ending.add(name);
    await this.#acceptNames(definition);
    const accepted = this.context.reader.get(definitionKind, '', name) ?? definition;
    if (isTrue(accepted, 'NamesAccepted') || isTrue(accepted, 'Established')) await this.#serve(accepted);
    if (!isTrue(accepted, 'Established') && isTrue(accepted, 'NamesAccepted')) await this.#establish(name);
    if (accepted.metadata.deletionTimestamp) await this.#finalize(accepted);
  }

  async #withdraw(name: string): Promise<void> {
    this.#ending.delete(name);
    const live = this.#live.get(name);
    if (!live) return;
    for (const { kind } of live.kinds) await this.context.kinds.remove(kind);
    this.#live.delete(name);
    const group = live.kinds[0]?.kind.group;
    if (!group) return;
    this.#reconsider(group, name);
    await this.#services(group);
  }
  /** The group's versions are listed beside the built-in ones. */
  #services(group: string): Promise<void> {
    const kinds = [...this.#live.values()].flatMap((live) => live.kinds.map(({ kind }) => kind));
    const versions = kinds.filter((kind) => kind.group === group).map(({ version }) => version);
    return syncServices(this.context, group, new Set(versions));
  }
  /** Of groups that went while nobody looked. */
  async #forgetServices(): Promise<void> {
    const groups = new Set(this.context.reader.list(apiServiceKind).map(({ spec }) => spec?.group ?? ''));
    const live = new Set([...this.#live.values()].map(({ kinds }) => kinds[0]?.kind.group));
    for (const group of groups) if (group && !live.has(group)) await this.#services(group);
  }
  /** Names became free, or taken: it concerns those that wait for one. */
  #reconsider(group: string, but: string): void {
    for (const other of this.#known.values())
      if (other.group === group && other.name !== but && !other.isAccepted) this.#enqueue(other.name);
  }

  async #acceptNames(definition: Readonly<Definition>): Promise<void> {
    const { names, condition } = acceptNames(definition, this.#known.values());
    const isDone = (object: Readonly<Definition>): boolean => {
      const former = object.status?.conditions?.find(({ type }) => type === condition.type);
      return (
        former?.status === condition.status &&
        former.reason === condition.reason &&
        former.message === condition.message &&
        Bun.deepEquals(object.status?.acceptedNames, names, false)
      );
    };
    if (isDone(definition)) return;
    await this.#status(definition.metadata.name!, (draft) => {
      draft.status!.acceptedNames = names;
      setCondition(draft, condition, this.#now());
      if (isTrue(draft, 'Established')) return true;
      const waits = condition.status === 'True';
      setCondition(
        draft,
        {
          type: 'Established',
          status: 'False',
          reason: waits ? 'Installing' : 'NotAccepted',
          message: waits ? 'the initial names have been accepted' : 'not all names are accepted',
        },
        this.#now(),
      );
      return true;
    });
    this.#reconsider(definition.spec.group, definition.metadata.name!);
  }

  #conversion(definition: Readonly<Definition>) {
    return conversionOf(definition, this.context.callWebhook, () => randomUuid(this.context.random));
  }

  /** Made here and not in an async function: a closure of one keeps all that the function knows, here the whole definition. */
  #isEnding(name: string): () => boolean {
    return () => this.#ending.has(name);
  }
  /** Before it is called established: whoever waits for that finds it served. */
  async #serve(definition: Readonly<Definition>): Promise<void> {
    const { kinds } = this.context;
    const name = definition.metadata.name!;
    const { spec, metadata, status } = definition;
    const signature = Bun.hash(JSON.stringify([metadata.uid, metadata.generation, status?.acceptedNames, spec]));
    const former = this.#live.get(name);
    if (former?.signature === signature) return;
    const next = servedKinds(definition, this.#isEnding(name), this.#conversion(definition));
    for (const served of next) await kinds.add(served);
    for (const { kind } of former?.kinds ?? [])
      if (!next.some((other) => other.kind.version === kind.version && other.kind.plural === kind.plural))
        await kinds.remove(kind);
    this.#live.set(name, { signature, kinds: next });
    await this.#services(spec.group);
  }
  #establish(name: string): Promise<void> {
    const condition = {
      type: 'Established',
      status: 'True',
      reason: 'InitialNamesAccepted',
      message: 'the initial names have been accepted',
    };
    return this.#status(name, (draft) => setCondition(draft, condition, this.#now()));
  }
  /** Again when somebody else was faster; `change` false: there is nothing to do. */
  async #status(name: string, change: (draft: Definition) => boolean): Promise<void> {
    const { client, reader } = this.context;
    for (let attempt = 1; ; attempt++) {
      const current = reader.get(definitionKind, '', name);
      if (!current) return;
      const draft = structuredClone(current) as Definition;
      draft.status ??= {};
      if (!change(draft)) return;
      try {
        await client.update(definitionKind, draft, { subresource: 'status' });
        return;
      } catch (error) {
        if (!isReason(error, 'Conflict') || attempt >= attemptsMax) throw error;
      }
    }
  }

  /** Deletes what it defined, waits until the last is gone, then lets it go. */
  async #finalize(definition: Readonly<Definition>): Promise<void> {
    const { client, reader } = this.context;
    const name = definition.metadata.name!;
    if (!definition.metadata.finalizers?.includes(cleanupFinalizer)) return;
    const terminating = (status: string, reason: string, message: string) =>
      this.#status(name, (draft) => setCondition(draft, { type: 'Terminating', status, reason, message }, this.#now()));
    const kind = this.#live.get(name)?.kinds[0]?.kind;
    if (kind) {
      const left = reader.list<KubeObject>(kind);
      if (left.length > 0) {
        await terminating('True', 'InstanceDeletionInProgress', 'CustomResource deletion is in progress');
        for (const { metadata } of left)
          if (!metadata.deletionTimestamp)
            await gone(client.delete(kind, { namespace: metadata.namespace, name: metadata.name! }));
        if (reader.list<KubeObject>(kind).length > 0) {
          this.#again(name, retryMs);
          return;
        }
      }
      await terminating('False', 'InstanceDeletionCompleted', 'removed all instances');
    } else await terminating('False', 'NeverEstablished', 'resource was never established');
    const last = reader.get(definitionKind, '', name);
    if (!last) return;
    const finalizers = last.metadata.finalizers?.filter((finalizer) => finalizer !== cleanupFinalizer);
    await client.update(definitionKind, { ...last, metadata: { ...last.metadata, finalizers } });
  }
}

const first = (names: Set<string>): string | undefined => names.values().next().value;
async function gone(deletion: Promise<unknown>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isReason(error, 'NotFound')) throw error;
  }
}
