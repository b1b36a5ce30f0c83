import { type Binding, isReason, keyText, nodeKind, type Pod, pathOf, podKind } from '#api';
import { type Clock, type Log, type MetricsPage, messageOf, type Random, Scope, type Tracer } from '#base';
import type { Client, InformerFactory } from '#client';
import type { EventRecorder, RetryOn, SchedulerPlugin, SchedulingAdviser } from '#sdk';
import { type Advised, adviceFor, asksFor } from './advice.ts';
import { watchCluster } from './cluster-view.ts';
import { candidates, type Outcome, schedule } from './cycle.ts';
import { SchedulerMetrics } from './metrics.ts';
import { PodWriter } from './pod-status.ts';
import type { Candidate } from './preemption.ts';
import { SchedulingQueue } from './queue.ts';
import { rules as coreRules } from './rules/index.ts';
import { byNode, Snapshot } from './snapshot.ts';
import { SchedulingTrace } from './trace.ts';
import { priorityOf } from './trial.ts';

export interface SchedulerOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly rules?: readonly SchedulerPlugin[];
  /** Rules that run elsewhere, as they are now. */
  readonly advisers?: () => readonly SchedulingAdviser[];
  /** Pods that name another scheduler are left alone. Default `default-scheduler`. */
  readonly schedulerName?: string;
  /** Of the process; absent: nothing is counted. */
  readonly page?: MetricsPage;
  /** Absent: nobody asked for traces. */
  readonly tracer?: Tracer;
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
  readonly #cluster: ReturnType<typeof watchCluster>;
  readonly #writer: PodWriter;
  readonly #metrics: SchedulerMetrics | undefined;
  readonly #trace: SchedulingTrace | undefined;
  /** Pods whose victims are being taken away: they are not tried meanwhile. True: something changed since. */
  readonly #preempting = new Map<string, boolean>();

  constructor(private readonly options: SchedulerOptions) {
    this.#queue = new SchedulingQueue(options.clock);
    this.#rules = options.rules ?? coreRules;
    this.#name = options.schedulerName ?? 'default-scheduler';
    const { informers, client, events, clock, log } = options;
    this.#writer = new PodWriter({ client, events, clock, log, schedulerName: this.#name });
    this.#cluster = this.#scope.use(watchCluster(informers, (what) => this.#queue.changed(what)));
    this.#snapshot = new Snapshot(informers.informer(nodeKind).cache, informers.informer(podKind).cache);
    this.#trace = options.tracer && new SchedulingTrace(options.tracer, clock);
    this.#metrics = options.page && new SchedulerMetrics(options.page, this.#name, () => this.#queue.sizes());
  }

  async start(): Promise<void> {
    const pods = this.options.informers.informer(podKind);
    const nodes = this.options.informers.informer(nodeKind);
    pods.addIndex(byNode, (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []));
    this.#scope.use(
      pods.onChange((change) => {
        if (change.type === 'updated') {
          if (isStatusOnly(change.previous, change.object)) return this.#onStatus(change.previous, change.object);
          this.#snapshot.touch(change.previous.spec?.nodeName);
        }
        this.#onPod(change.object, change.type === 'deleted');
      }),
    );
    this.#scope.use(
      nodes.onChange((change) => {
        this.#snapshot.touch(change.object.metadata.name);
        this.#queue.changed('node');
      }),
    );
    await Promise.all([pods.synced, nodes.synced, this.#cluster.synced]);
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
      this.#trace?.left(pod.metadata.uid!);
      this.#snapshot.forget(pod.metadata.uid!);
      this.#snapshot.nominate(pod, undefined);
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
    this.#snapshot.nominate(
      pod,
      wanted ? (pod.status?.nominatedNodeName ?? this.#snapshot.nominationOf(pod)) : undefined,
    );
    if (wanted) this.#trace?.waits(pod);
    if (wanted && !this.#snapshot.isAssumed(pod.metadata.uid!)) this.#queue.add(key, pod.spec?.priority ?? 0);
    else if (!wanted) this.#queue.remove(key);
  }

  /** Conditions are our own words: a pod that waits is not tried again for them. */
  #onStatus(previous: Readonly<Pod>, pod: Readonly<Pod>): void {
    const [before, now] = [previous.status?.nominatedNodeName, pod.status?.nominatedNodeName];
    if (before === now) return;
    this.#snapshot.nominate(pod, now);
    if (!now) this.#queue.changed('pod-deleted'); // room that was kept is free
  }

  async #run(): Promise<void> {
    const { signal } = this.#scope;
    for (;;) {
      const key = await this.#queue.next(signal);
      if (key === undefined) break;
      const pod = this.#cached(key);
      if (!pod || pod.spec?.nodeName) this.#queue.remove(key);
      else if (this.#preempting.has(key)) {
        this.#preempting.set(key, true);
        this.#queue.refuse(key, ['pod-deleted']);
      } else await this.#decideAdvised(key, pod);
      if (this.#binding.size >= bindingsAtOnceMax) await Promise.race(this.#binding);
    }
    await Promise.all(this.#binding);
  }

  #cached(key: string): Readonly<Pod> | undefined {
    const [namespace, name] = key.split('/') as [string, string];
    return this.options.informers.informer(podKind).cache.get({ namespace, name });
  }

  /** Others are asked about the nodes that the rules here leave; the cluster may change meanwhile, so it is looked at again. */
  async #decideAdvised(key: string, pod: Readonly<Pod>): Promise<void> {
    const advisers = asksFor(pod) ? (this.options.advisers?.() ?? []) : [];
    if (advisers.length === 0) return this.#decide(key, pod);
    const nodes = candidates(pod, this.#view(), this.#rules).map(({ node }) => node);
    if (nodes.length === 0) return this.#decide(key, pod);
    const advised = await adviceFor(pod, nodes, advisers, this.options.log);
    const current = this.#cached(key);
    if (!current || current.spec?.nodeName) return this.#queue.remove(key);
    if (current.metadata.uid === pod.metadata.uid) this.#decide(key, current, advised);
    else this.#queue.add(key, priorityOf(current)); // another pod of that name: its own turn comes
  }
  #view() {
    return {
      nodes: this.#snapshot.infos(),
      cluster: this.#cluster.view,
      nominatedOn: (node: string) => this.#snapshot.nominatedOn(node),
    };
  }
  #decide(key: string, pod: Readonly<Pod>, advised?: Advised): void {
    const rules = advised ? [...this.#rules, ...advised.rules] : this.#rules;
    const beganMs = this.options.clock.monotonicMs();
    const fromMs = this.options.clock.now();
    const outcome = schedule(pod, this.#view(), rules, () => this.options.random.next());
    this.#metrics?.decided(outcome, (this.options.clock.monotonicMs() - beganMs) / 1000);
    this.#trace?.decided(pod, fromMs, outcome);
    if (outcome.type === 'none') return this.#refuse(key, pod, outcome, rules);
    this.#queue.remove(key);
    this.#snapshot.nominate(pod, undefined);
    this.#snapshot.assume(pod, outcome.node);
    this.#track(this.#bind(key, pod, outcome.node, advised?.permits));
  }

  #refuse(
    key: string,
    pod: Readonly<Pod>,
    outcome: Outcome & { type: 'none' },
    rules: readonly SchedulerPlugin[],
  ): void {
    const { message, refusedBy, preemption, isHopeless } = outcome;
    const helpful = new Set<RetryOn>(['node']);
    for (const rule of rules)
      if (refusedBy.includes(rule.name)) for (const what of rule.retryOn ?? []) helpful.add(what);
    this.#queue.refuse(key, [...helpful]);
    // Nobody tells when a plugin would say otherwise: its refusals are tried again with back-off.
    if (rules.slice(this.#rules.length).some((rule) => refusedBy.includes(rule.name))) this.#queue.backOff(key);
    this.options.events.event(pod, 'Warning', 'FailedScheduling', message);
    if (preemption || isHopeless) this.#snapshot.nominate(pod, preemption?.node);
    this.#track(this.#writer.unschedulable(pod, message, preemption?.node ?? (isHopeless ? null : undefined)));
    if (preemption) this.#track(this.#preempt(key, pod, preemption));
  }

  async #preempt(key: string, pod: Readonly<Pod>, candidate: Candidate): Promise<void> {
    this.#preempting.set(key, false);
    // Room that was kept for lesser pods on this node may be gone: they look elsewhere.
    const lesser = this.#snapshot.nominatedOn(candidate.node).filter((one) => priorityOf(one) < priorityOf(pod));
    for (const other of lesser) this.#snapshot.nominate(other, undefined);
    await Promise.all(lesser.map((other) => this.#writer.clearNomination(other)));
    const isDone = await this.#writer.evict(pod, candidate);
    const isAwaited = this.#preempting.get(key);
    this.#preempting.delete(key);
    const current = this.#cached(key);
    if ((isAwaited || !isDone) && current && !current.spec?.nodeName) this.#queue.add(key, priorityOf(pod));
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#binding.delete(tracked));
    this.#binding.add(tracked);
  }

  async #bind(
    key: string,
    pod: Readonly<Pod>,
    node: string,
    permits: readonly SchedulingAdviser[] = [],
  ): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    const refusal = await refusalOfAny(permits, pod, node);
    if (refusal !== undefined) {
      this.#snapshot.forget(uid!);
      this.options.events.event(pod, 'Warning', 'FailedScheduling', refusal);
      return this.#tryLater(key);
    }
    const binding: Binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    try {
      const bind = () =>
        this.options.client.request<void>('POST', pathOf(podKind, namespace, name, 'binding'), binding);
      await (this.#trace ? this.#trace.bound(pod, node, bind) : bind());
      this.options.events.event(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
      this.#metrics?.bound();
    } catch (error) {
      this.#snapshot.forget(uid!);
      if (isReason(error, 'NotFound') || this.#scope.signal.aborted) return;
      this.#metrics?.failed();
      this.options.log.warn('binding failed', { pod: key, node, error: messageOf(error) });
      this.#tryLater(key);
    }
  }
  #tryLater(key: string): void {
    const current = this.#cached(key);
    if (!current || current.spec?.nodeName) return;
    this.#queue.add(key, current.spec?.priority ?? 0);
    this.#queue.backOff(key);
  }
}

/** The first that does not permit it; one that gives no answer permits unless it is required. */
async function refusalOfAny(
  permits: readonly SchedulingAdviser[],
  pod: Readonly<Pod>,
  node: string,
): Promise<string | undefined> {
  for (const adviser of permits) {
    const answer = await adviser
      .permit(pod, node)
      .catch((error: unknown) => (adviser.required ? messageOf(error) : true));
    if (answer !== true) return `plugin ${adviser.name} does not permit node ${node}: ${String(answer).slice(0, 256)}`;
  }
  return undefined;
}

/** Nothing changed that a decision looks at. */
const isStatusOnly = (previous: Readonly<Pod>, pod: Readonly<Pod>): boolean =>
  pod.metadata.generation !== undefined &&
  previous.metadata.generation === pod.metadata.generation &&
  previous.metadata.deletionTimestamp === pod.metadata.deletionTimestamp &&
  previous.spec?.nodeName === pod.spec?.nodeName &&
  previous.status?.phase === pod.status?.phase &&
  Bun.deepEquals(previous.metadata.labels, pod.metadata.labels);
