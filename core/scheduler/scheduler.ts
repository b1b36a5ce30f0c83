import { type Binding, isReason, keyText, nodeKind, type ObjectKey, type Pod, pathOf, podKind } from '#api';
import { type Clock, type Log, messageOf, type Random, Scope, timeText } from '#base';
import type { Client, InformerFactory } from '#client';
import type { EventRecorder, RetryOn, SchedulerPlugin } from '#sdk';
import { schedule } from './cycle.ts';
import { SchedulingQueue } from './queue.ts';
import { rules as coreRules } from './rules/index.ts';
import { byNode, Snapshot } from './snapshot.ts';

export interface SchedulerOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly rules?: readonly SchedulerPlugin[];
  /** Pods that name another scheduler are left alone. Default `default-scheduler`. */
  readonly schedulerName?: string;
}
const bindingsAtOnceMax = 32;

/** Gives each pending pod a node: one decision at a time, bindings in parallel. Resolves when its caches are filled. */
export async function startScheduler(options: SchedulerOptions): Promise<AsyncDisposable> {
  const loop = new SchedulerLoop(options);
  await loop.start();
  return loop;
}

class SchedulerLoop implements AsyncDisposable {
  readonly #scope = new Scope();
  readonly #queue: SchedulingQueue;
  readonly #snapshot: Snapshot;
  readonly #rules: readonly SchedulerPlugin[];
  readonly #name: string;
  readonly #binding = new Set<Promise<void>>();

  constructor(private readonly options: SchedulerOptions) {
    this.#queue = new SchedulingQueue(options.clock);
    this.#rules = options.rules ?? coreRules;
    this.#name = options.schedulerName ?? 'default-scheduler';
    const { informers } = options;
    this.#snapshot = new Snapshot(informers.informer(nodeKind).cache, informers.informer(podKind).cache);
  }

  async start(): Promise<void> {
    const pods = this.options.informers.informer(podKind);
    const nodes = this.options.informers.informer(nodeKind);
    pods.addIndex(byNode, (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []));
    this.#scope.use(
      pods.onChange((change) => {
        if (change.type === 'updated') this.#snapshot.touch(change.previous.spec?.nodeName);
        this.#onPod(change.object, change.type === 'deleted');
      }),
    );
    this.#scope.use(
      nodes.onChange((change) => {
        this.#snapshot.touch(change.object.metadata.name);
        this.#queue.changed('node');
      }),
    );
    await Promise.all([pods.synced, nodes.synced]);
    for (const pod of pods.cache.list()) this.#onPod(pod, false);
    const running = this.#run();
    this.#scope.defer(() => running);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  #onPod(pod: Readonly<Pod>, deleted: boolean): void {
    const key = keyText({ namespace: pod.metadata.namespace, name: pod.metadata.name! });
    const finished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (pod.spec?.nodeName || deleted) {
      this.#snapshot.forget(pod.metadata.uid!);
      this.#snapshot.touch(pod.spec?.nodeName);
      this.#queue.remove(key);
      this.#queue.changed(deleted || finished ? 'pod-deleted' : 'pod');
      return;
    }
    const wanted =
      pod.spec?.schedulerName === this.#name &&
      !finished &&
      !pod.metadata.deletionTimestamp &&
      !pod.spec?.schedulingGates?.length;
    if (wanted && !this.#snapshot.isAssumed(pod.metadata.uid!)) this.#queue.add(key, pod.spec?.priority ?? 0);
    else if (!wanted) this.#queue.remove(key);
  }

  async #run(): Promise<void> {
    const { signal } = this.#scope;
    for (;;) {
      const key = await this.#queue.next(signal);
      if (key === undefined) break;
      const pod = this.#cached(key);
      if (!pod || pod.spec?.nodeName) this.#queue.remove(key);
      else this.#decide(key, pod);
      if (this.#binding.size >= bindingsAtOnceMax) await Promise.race(this.#binding);
    }
    await Promise.all(this.#binding);
  }

  #cached(key: string): Readonly<Pod> | undefined {
    const [namespace, name] = key.split('/') as [string, string];
    return this.options.informers.informer(podKind).cache.get({ namespace, name });
  }

  #decide(key: string, pod: Readonly<Pod>): void {
    const outcome = schedule(pod, this.#snapshot.infos(), this.#rules, () => this.options.random.next());
    if (outcome.type === 'none') {
      const helpful = new Set<RetryOn>(['node']);
      for (const rule of this.#rules)
        if (outcome.refusedBy.includes(rule.name)) for (const what of rule.retryOn ?? []) helpful.add(what);
      this.#queue.refuse(key, [...helpful]);
      this.options.events.event(pod, 'Warning', 'FailedScheduling', outcome.message);
      this.#track(this.#markUnschedulable(pod, outcome.message));
      return;
    }
    this.#queue.remove(key);
    this.#snapshot.assume(pod, outcome.node);
    this.#track(this.#bind(key, pod, outcome.node));
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#binding.delete(tracked));
    this.#binding.add(tracked);
  }

  async #bind(key: string, pod: Readonly<Pod>, node: string): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    const binding: Binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    try {
      await this.options.client.request('POST', pathOf(podKind, namespace, name, 'binding'), binding);
      this.options.events.event(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
    } catch (error) {
      this.#snapshot.forget(uid!);
      if (isReason(error, 'NotFound') || this.#scope.signal.aborted) return;
      this.options.log.warn('binding failed', { pod: key, node, error: messageOf(error) });
      const current = this.#cached(key);
      if (!current || current.spec?.nodeName) return;
      this.#queue.add(key, pod.spec?.priority ?? 0);
      this.#queue.backOff(key);
    }
  }

  async #markUnschedulable(pod: Readonly<Pod>, message: string): Promise<void> {
    const former = pod.status?.conditions?.find((one) => one.type === 'PodScheduled');
    if (former?.status === 'False' && former.reason === 'Unschedulable' && former.message === message) return;
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      observedGeneration: pod.metadata.generation,
      lastTransitionTime: former?.status === 'False' ? former.lastTransitionTime : timeText(this.options.clock.now()),
    };
    const key: ObjectKey = { namespace: pod.metadata.namespace, name: pod.metadata.name! };
    try {
      await this.options.client.patch(
        podKind,
        key,
        { type: 'strategic', body: { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } } },
        { subresource: 'status' },
      );
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Conflict') && !this.#scope.signal.aborted)
        this.options.log.warn('the reason could not be written to the pod', { error: messageOf(error) });
    }
  }
}
