import { isReason, type KubeObject, keyOf, type Node, nodeKind, type Pod, podKind } from '#api';
import { type Clock, type Log, messageOf, type Random, Scope, timeText } from '#base';
import type { Change, Client, InformerFactory } from '#client';
import type { EventRecorder, SchedulerPlugin } from '#sdk';
import { schedule } from './cycle.ts';
import { SchedulingQueue } from './queue.ts';
import { coreRules } from './rules/index.ts';
import { Snapshot } from './snapshot.ts';

export interface SchedulerOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Default: the core rules. */
  readonly rules?: readonly SchedulerPlugin[];
  /** Default `default-scheduler`. */
  readonly schedulerName?: string;
}
type PodObject = Readonly<Pod & KubeObject>;
const bindingsMax = 32; // in flight at a time

/** Returns once it follows the API; pods are placed when the caches are filled. */
export async function startScheduler(options: SchedulerOptions): Promise<AsyncDisposable> {
  const scope = new Scope();
  const scheduler = new Scheduler(options, scope);
  const running = scheduler.run();
  scope.defer(() => scheduler.stop(running));
  return scope;
}

class Scheduler {
  readonly #snapshot = new Snapshot();
  readonly #queue: SchedulingQueue;
  readonly #rules: readonly SchedulerPlugin[];
  readonly #binding = new Set<Promise<void>>();
  #wake = () => {};

  constructor(
    private readonly options: SchedulerOptions,
    private readonly scope: Scope,
  ) {
    this.#rules = options.rules ?? coreRules;
    this.#queue = new SchedulingQueue(this.#rules);
    scope.use(options.informers.informer(nodeKind).onChange((change) => this.#onNode(change)));
    scope.use(options.informers.informer(podKind).onChange((change) => this.#onPod(change)));
  }

  async run(): Promise<void> {
    const { informers, clock, random } = this.options;
    const { signal } = this.scope;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([
      stopped,
      Promise.all([informers.informer(nodeKind).synced, informers.informer(podKind).synced]),
    ]);
    while (!signal.aborted) {
      if (this.#binding.size >= bindingsMax) {
        await Promise.race([stopped, ...this.#binding]);
        continue;
      }
      const pod = this.#queue.take(clock.monotonicMs());
      if (!pod) {
        await this.#rest(stopped);
        continue;
      }
      const decision = schedule(pod, this.#snapshot.nodes(), this.#rules, random.next());
      if (decision.node === undefined) {
        this.#queue.refuse(pod.metadata.uid!, decision.rules, clock.monotonicMs());
        this.#track(this.#refuse(pod as PodObject, decision.message));
      } else {
        this.#snapshot.assume(pod, decision.node);
        this.#track(this.#bind(pod as PodObject, decision.node));
      }
    }
  }
  async stop(running: Promise<void>): Promise<void> {
    await running;
    await Promise.allSettled(this.#binding);
  }

  /** Until something changes or a back-off ends. */
  async #rest(stopped: Promise<void>): Promise<void> {
    const { clock } = this.options;
    const woken = new AbortController();
    const change = new Promise<void>((resolve) => (this.#wake = resolve));
    const next = this.#queue.nextMs();
    const waits = [stopped, change];
    if (next !== undefined) waits.push(clock.sleep(Math.max(1, next - clock.monotonicMs()), woken.signal));
    await Promise.race(waits);
    woken.abort();
  }
  #track(work: Promise<void>): void {
    const settled: Promise<void> = work
      .catch((error) => this.options.log.error('placing failed', { error: messageOf(error) }))
      .finally(() => this.#binding.delete(settled));
    this.#binding.add(settled);
  }

  #onNode(change: Change<Node & KubeObject>): void {
    const { object } = change;
    if (change.type === 'deleted') {
      this.#snapshot.removeNode(object.metadata.name!);
      return;
    }
    this.#snapshot.setNode(object);
    // A heartbeat changes nothing for anybody who waits.
    if (change.type === 'updated' && placementText(change.previous) === placementText(object)) return;
    this.#queue.changed('node');
    this.#wake();
  }
  #onPod(change: Change<Pod & KubeObject>): void {
    const { object: pod } = change;
    const uid = pod.metadata.uid!;
    const nowMs = this.options.clock.monotonicMs();
    if (change.type === 'updated' && change.previous.metadata.uid !== uid) this.#forget(change.previous);
    const isFinished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (change.type === 'deleted' || isFinished) this.#forget(pod);
    else if (pod.spec?.nodeName) {
      this.#queue.delete(uid);
      this.#snapshot.setPod(pod);
      if (this.#queue.changed('pod')) this.#wake();
    } else if (this.#isMine(pod)) {
      const previous = change.type === 'updated' ? change.previous : undefined;
      const isChanged =
        JSON.stringify([previous?.spec, previous?.metadata.labels]) !== JSON.stringify([pod.spec, pod.metadata.labels]);
      if (!this.#snapshot.isAssumed(uid)) this.#queue.set(pod, isChanged, nowMs);
      this.#wake();
    } else this.#queue.delete(uid);
  }
  #forget(pod: Readonly<Pod>): void {
    this.#queue.delete(pod.metadata.uid!);
    this.#snapshot.removePod(pod.metadata.uid!);
    this.#queue.changed('pod-deleted');
    this.#wake();
  }
  #isMine(pod: Readonly<Pod>): boolean {
    return (
      (pod.spec?.schedulerName || 'default-scheduler') === (this.options.schedulerName ?? 'default-scheduler') &&
      !pod.metadata.deletionTimestamp &&
      !pod.spec?.schedulingGates?.length
    );
  }

  async #bind(pod: PodObject, node: string): Promise<void> {
    const { client, events, clock, log } = this.options;
    const { name, namespace, uid } = pod.metadata;
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    try {
      await client.request(
        'POST',
        `/api/v1/namespaces/${encodeURIComponent(namespace!)}/pods/${encodeURIComponent(name!)}/binding`,
        binding,
      );
      this.#queue.delete(uid!);
      events.event(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
    } catch (error) {
      // It may have been bound all the same (the answer was lost): the server knows.
      const live = await client.get(podKind, keyOf(pod)).catch((failure) => failure as unknown);
      if (isReason(live, 'NotFound')) return this.#forget(pod);
      const now = (live as Pod).spec ? (live as PodObject) : undefined;
      if (now && now.metadata.uid !== uid) return this.#forget(pod);
      if (now?.spec?.nodeName) {
        this.#queue.delete(uid!);
        this.#snapshot.setPod(now);
        return;
      }
      log.warn('binding failed', { pod: `${namespace}/${name}`, node, error: messageOf(error) });
      this.#snapshot.removePod(uid!);
      this.#queue.retry(uid!, clock.monotonicMs());
      this.#queue.changed('pod-deleted');
      this.#wake();
      events.event(pod, 'Warning', 'FailedScheduling', `binding rejected: ${messageOf(error)}`);
    }
  }

  async #refuse(pod: PodObject, message: string): Promise<void> {
    const { client, events, clock, log } = this.options;
    events.event(pod, 'Warning', 'FailedScheduling', message);
    const conditions = pod.status?.conditions ?? [];
    const before = conditions.find((condition) => condition.type === 'PodScheduled');
    if (before?.status === 'False' && before.reason === 'Unschedulable' && before.message === message) return;
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : timeText(clock.now()),
    };
    const others = conditions.filter(({ type }) => type !== 'PodScheduled');
    const body = { metadata: { uid: pod.metadata.uid }, status: { conditions: [...others, condition] } };
    try {
      await client.patch(podKind, keyOf(pod), { type: 'merge', body }, { subresource: 'status' });
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Conflict'))
        log.warn('status of an unschedulable pod not written', { error: messageOf(error) });
    }
  }
}

/** What of a node matters to placing. */
const placementText = ({ metadata, spec, status }: Readonly<Node>): string =>
  JSON.stringify([metadata.labels, spec?.taints, spec?.unschedulable, status?.allocatable]);
