import { isReason, type Kind, type KubeObject, keyOf, keyText, namespaceKind, type OwnerReference } from '#api';
import { messageOf } from '#base';
import type { Change, Informer } from '#client';
import { type ControllerSpec, keyFrom, type ReconcileContext, WorkQueue } from '#sdk';
import { discoverKinds } from './discovery.ts';
import { isWaiting, type OwnerState, ownersOf, planDependent, planOwner, sameTies } from './plan-garbage.ts';

const rediscoverMs = 30_000;
const retryMs = 1_000;
const workers = 10;
const absentUidsMax = 4_096;
const byOwner = 'owner-uid';
type Held = Readonly<KubeObject>;
/** Events name no owners, and there are many of them. */
const ignored = new Set(['events.', 'events.events.k8s.io']);

/** Deletes what nobody owns any more, on every kind that the server serves, and ends foreground and orphaning deletions. */
export const garbageController: ControllerSpec<KubeObject> = {
  name: 'garbage-collector-controller',
  watches: namespaceKind as Kind<KubeObject>,
  workersMax: 1,
  // Its keys are of many kinds, so that it works on a queue of its own.
  reconciler: { reconcile: async () => {} },
  run: async (context) => new Collector(context).run(),
};

interface Followed {
  readonly kind: Kind<KubeObject>;
  readonly informer: Informer<KubeObject>;
  readonly handler: Disposable;
  synced: boolean;
}

class Collector {
  readonly #followed = new Map<string, Followed>();
  readonly #queue: WorkQueue;
  /** A uid never comes back: an owner verified to be gone, by kind, key and uid, needs no second question. Oldest out first. */
  readonly #absent = new Set<string>();

  constructor(private readonly context: ReconcileContext) {
    this.#queue = new WorkQueue(context.clock, context.signal);
  }

  async run(): Promise<void> {
    const { clock, signal } = this.context;
    const lanes = Array.from({ length: workers }, () => this.#work());
    while (!signal.aborted) await clock.sleep(await this.#discover(), signal);
    await Promise.all(lanes);
    for (const { handler } of this.#followed.values()) handler[Symbol.dispose]();
  }

  /** Follows the kinds served now. Returns after how many milliseconds to look again. */
  async #discover(): Promise<number> {
    const { client, log } = this.context;
    try {
      const { kinds, failures } = await discoverKinds(client);
      const served = new Set<string>();
      for (const kind of kinds) {
        const id = `${kind.plural}.${kind.group}`;
        if (ignored.has(id) || !['list', 'watch', 'delete'].every((verb) => kind.verbs.includes(verb))) continue;
        served.add(id);
        if (!this.#followed.has(id)) this.#follow(id, kind);
      }
      // A group that does not answer still has its objects; one that is gone from a whole answer has none.
      if (failures.length > 0) return retryMs;
      for (const [id, { handler }] of this.#followed)
        if (!served.has(id)) {
          handler[Symbol.dispose]();
          this.#followed.delete(id);
        }
      return rediscoverMs;
    } catch (error) {
      log.debug('discovery failed', { error: messageOf(error), retryInMs: retryMs });
      return retryMs;
    }
  }

  #follow(id: string, kind: Kind<KubeObject>): void {
    const informer = this.context.informers.informer(kind);
    informer.addIndex(byOwner, (object) => ownersOf(object).map(({ uid }) => uid));
    const followed: Followed = {
      kind,
      informer,
      synced: false,
      handler: informer.onChange((change) => this.#onChange(id, change)),
    };
    this.#followed.set(id, followed);
    void informer.synced.then(() => (followed.synced = true));
  }

  #onChange(id: string, change: Change<KubeObject>): void {
    const { object } = change;
    if (change.type === 'updated' && sameTies(change.object, change.previous)) return;
    if (change.type !== 'deleted') this.#add(id, object);
    // Another life under the same name: the one before is gone as well.
    const previous = change.type === 'updated' ? change.previous : object;
    if (change.type === 'deleted' || previous.metadata.uid !== object.metadata.uid)
      for (const dependent of this.#dependents(previous.metadata.uid)) this.#addObject(dependent);
    if (change.type !== 'added')
      for (const owner of [...ownersOf(previous), ...ownersOf(object)]) {
        const [ownerId, followed] = this.#kindOf(owner) ?? [];
        if (!ownerId || !followed) continue;
        const cached = followed.informer.cache.get(ownerKeyOf(object, owner, followed.kind));
        if (cached?.metadata.deletionTimestamp) this.#add(ownerId, cached);
      }
  }

  #add(id: string, object: Held): void {
    if (ownersOf(object).length > 0 || object.metadata.deletionTimestamp)
      this.#queue.add(`${id}|${keyText(keyOf(object))}`);
  }
  #addObject({ id, object }: { id: string; object: Held }): void {
    this.#add(id, object);
  }

  #dependents(uid: string | undefined): { id: string; object: Held }[] {
    if (!uid) return [];
    return [...this.#followed].flatMap(([id, { informer }]) =>
      informer.cache.byIndex(byOwner, uid).map((object) => ({ id, object })),
    );
  }
  #kindOf({ apiVersion, kind }: OwnerReference): [string, Followed] | undefined {
    const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
    return [...this.#followed].find(([, followed]) => followed.kind.kind === kind && followed.kind.group === group);
  }

  async #work(): Promise<void> {
    const { signal, log } = this.context;
    for (let text = await this.#queue.next(); text !== undefined; text = await this.#queue.next()) {
      try {
        const againMs = await this.#attempt(text);
        this.#queue.forget(text);
        if (againMs !== undefined) this.#queue.addAfter(text, againMs);
      } catch (error) {
        if (signal.aborted) return;
        const retryInMs = this.#queue.addRateLimited(text);
        log.debug('will retry', { key: text, error: messageOf(error), retryInMs });
      } finally {
        this.#queue.done(text);
      }
    }
  }

  async #attempt(text: string): Promise<number | undefined> {
    const bar = text.indexOf('|');
    const followed = this.#followed.get(text.slice(0, bar));
    const object = followed?.informer.cache.get(keyFrom(text.slice(bar + 1)));
    if (!followed || !object) return;
    // Dependents of a kind that is not listed yet would be overlooked.
    if (![...this.#followed.values()].every(({ synced }) => synced)) return retryMs;
    const dependents = this.#dependents(object.metadata.uid);
    if (object.metadata.deletionTimestamp) await this.#endOwner(followed.kind, object, dependents);
    else await this.#judge(followed.kind, object, dependents);
  }

  async #endOwner(kind: Kind<KubeObject>, owner: Held, dependents: readonly { id: string; object: Held }[]) {
    const plan = planOwner(
      owner,
      dependents.map(({ object }) => object),
    );
    if (!plan) return;
    if (plan.type === 'finish') {
      const finalizers = owner.metadata.finalizers?.filter((name) => name !== plan.finalizer);
      return this.#patch(kind, owner, { finalizers });
    }
    const wanted = new Set(plan.dependents);
    const concerned = dependents.filter(({ object }) => wanted.has(object));
    if (plan.type === 'await') {
      for (const dependent of concerned) this.#addObject(dependent);
      return;
    }
    for (const { id, object } of concerned) {
      const ownerReferences = ownersOf(object).filter(({ uid }) => uid !== owner.metadata.uid);
      await this.#patch(this.#followed.get(id)!.kind, object, { ownerReferences });
    }
    // The changes of the dependents bring the owner up again, to be finished when none is left.
    this.#queue.add(`${kind.plural}.${kind.group}|${keyText(keyOf(owner))}`);
  }

  async #judge(kind: Kind<KubeObject>, object: Held, dependents: readonly { id: string; object: Held }[]) {
    const states = new Map<string, OwnerState>();
    for (const owner of ownersOf(object)) states.set(owner.uid, await this.#ownerState(kind, object, owner));
    const plan = planDependent(
      object,
      states,
      dependents.map((dependent) => dependent.object),
    );
    if (plan.type === 'keep') return;
    if (plan.type === 'release') return this.#patch(kind, object, { ownerReferences: plan.ownerReferences });
    const { uid, resourceVersion } = object.metadata;
    if (plan.unblock) {
      const ownerReferences = ownersOf(object).map((owner) => ({ ...owner, blockOwnerDeletion: false }));
      await this.#patch(kind, object, { ownerReferences });
    }
    // The version too: an owner that was added meanwhile must save it. A conflict comes again.
    const preconditions = plan.unblock ? { uid } : { uid, resourceVersion };
    await orGone(this.context.client.delete(kind, keyOf(object), { propagationPolicy: plan.policy, preconditions }));
  }

  async #ownerState(dependentKind: Kind<KubeObject>, dependent: Held, owner: OwnerReference): Promise<OwnerState> {
    const [ownerId, followed] = this.#kindOf(owner) ?? [];
    if (!followed) throw new Error(`owner ${owner.apiVersion} ${owner.kind} ${owner.name} is of no served kind`);
    // Such a reference can name nobody; it is no proof that the owner is gone.
    if (followed.kind.namespaced && !dependentKind.namespaced) return 'solid';
    const key = ownerKeyOf(dependent, owner, followed.kind);
    const cached = followed.informer.cache.get(key);
    if (cached?.metadata.uid === owner.uid) return isWaiting(cached) ? 'waiting' : 'solid';
    // The whole reference: one with a wrong name proves nothing about a uid that lives under another.
    const reference = `${ownerId}|${keyText(key)}|${owner.uid}`;
    if (this.#absent.has(reference)) return 'absent';
    const live = await orGone(this.context.client.get(followed.kind, key));
    if (live?.metadata.uid === owner.uid) return isWaiting(live) ? 'waiting' : 'solid';
    if (this.#absent.size >= absentUidsMax) for (const oldest of this.#absent) if (this.#absent.delete(oldest)) break;
    this.#absent.add(reference);
    return 'absent';
  }

  async #patch(kind: Kind<KubeObject>, object: Held, metadata: Record<string, readonly unknown[] | undefined>) {
    const { uid, resourceVersion } = object.metadata;
    const body = { metadata: { uid, resourceVersion } as Record<string, unknown> };
    for (const [field, list] of Object.entries(metadata)) body.metadata[field] = list?.length ? list : null;
    await orGone(this.context.client.patch(kind, keyOf(object), { type: 'merge', body }));
  }
}

/** Undefined when the object is gone: that is as good as done. */
async function orGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

const ownerKeyOf = (dependent: Held, owner: OwnerReference, kind: Pick<Kind, 'namespaced'>) => ({
  namespace: kind.namespaced ? dependent.metadata.namespace : undefined,
  name: owner.name,
});
