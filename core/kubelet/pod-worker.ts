import { isReason, type Pod, type PodStatus, podKind } from '#api';
import { durationText } from '#base';
import { containersOf, fieldPathOf, podText } from './names.ts';
import { type Action, type Observed, planPod } from './plan.ts';
import { graceMinMs, PodKiller } from './pod-killer.ts';
import { PodMemory, withGhosts } from './pod-memory.ts';
import { PodReport } from './pod-report.ts';
import { PodSight } from './pod-sight.ts';
import { crashKey, crashText, PodStarter } from './pod-starter.ts';
import { graceMsOf, PodSteps } from './pod-steps.ts';
import { PodTrace } from './pod-trace.ts';
import { Probes } from './probes/probes.ts';
import { unsupportedFields } from './supported.ts';
import { PodVolumes } from './volumes/volumes.ts';
import type { WorkerContext } from './worker-context.ts';

const roundsMax = 50; // steps of one wake; more would be a plan that does not come to rest
const errorRetryMinMs = 500;
const errorRetryMaxMs = 30_000;
const graceDefaultSeconds = 30;
const evictionGraceMs = 1_000;

/** Brings one pod to what its spec says, one step after the other, and writes its status. Owns everything of that pod. */
export class PodWorker {
  readonly volumes: PodVolumes;
  readonly #memory: PodMemory;
  readonly #trace: PodTrace;
  readonly #probes: Probes;
  #isStopping = false;
  readonly #killer: PodKiller;
  readonly #steps: PodSteps;
  readonly #sight: PodSight;
  readonly #report: PodReport;
  #starting = new AbortController();
  #timer = new AbortController();
  #dirty = false;
  #observe = false;
  #running: Promise<void> | undefined;
  #errors = 0;
  #gone = false;
  #fenceMs: number | undefined;

  /** `observed`: what the engine holds of this pod; undefined when it is known to hold nothing. */
  constructor(
    readonly uid: string,
    public pod: Readonly<Pod> | undefined,
    private readonly context: WorkerContext,
    observed: Observed | undefined,
  ) {
    const memory = new PodMemory(observed ?? { containers: [] });
    const volumes = new PodVolumes(context.volumes, uid);
    const trace = new PodTrace(uid, context, pod);
    const starter = new PodStarter(context, volumes, trace);
    this.#trace = trace;
    this.#memory = memory;
    this.volumes = volumes;
    this.#killer = new PodKiller(context);
    this.#probes = new Probes({
      runtime: context.runtime,
      clock: context.clock,
      random: context.random,
      agent: context.agent,
      onChange: () => this.#probed(),
      onEvent: (name, reason, message) => {
        const container = this.pod && containersOf(this.pod).find(({ spec }) => spec.name === name);
        if (this.pod && container) context.events.event(this.pod, 'Warning', reason, message, fieldPathOf(container));
      },
    });
    this.#steps = new PodSteps(uid, context, { memory, trace }, starter, this.#killer, volumes);
    this.#sight = new PodSight(uid, context, memory, this.#probes, starter, volumes.folder);
    this.#report = new PodReport(context, { memory, trace }, this.#probes);
  }

  get observed(): Observed {
    return this.#memory.observed;
  }
  /** The status as decided last, or the API's. */
  get status(): PodStatus {
    return this.#report.last ?? this.pod?.status ?? {};
  }
  get podIps(): readonly string[] {
    return this.#memory.ips;
  }
  set podIps(ips: readonly string[]) {
    this.#memory.ips = ips;
  }
  /** It will run nothing any more. */
  get hasEnded(): boolean {
    return this.#gone || this.#memory.end !== undefined;
  }

  /** The API's newest; undefined when it is gone there. */
  update(pod: Readonly<Pod> | undefined): void {
    const before = this.pod;
    if (pod && before && changedMeta(before, pod)) this.#steps.volumesDirty = true;
    if (pod) this.pod = pod;
    this.#gone ||= !pod;
    if (this.#gone) this.#report.giveUp();
    if (this.#gone || pod?.metadata.deletionTimestamp) {
      this.#starting.abort();
      this.#killer.hurry(
        this.#gone ? graceMinMs : (pod?.metadata.deletionGracePeriodSeconds ?? graceDefaultSeconds) * 1000,
      );
    }
    // Our own status coming back changes nothing that the plan looks at.
    if (!pod || !before || changedWork(before, pod)) this.wake();
  }
  /**
   * The node controller says for a silent node that its pods are not ready. Once the node is heard again our word counts;
   * not at once, but at the pace of the node's own status: two that contradict each other must not do so as fast as they can.
   */
  reassert(): void {
    if (this.#report.isOverwritten(this.pod?.status)) this.wake();
  }

  /** Look again. `engine`: the containers may have changed. */
  wake(engine = false): void {
    this.#dirty = true;
    this.#observe ||= engine;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#dirty && !this.context.signal.aborted) this.wake();
    });
  }
  refreshVolumes(): void {
    this.#steps.volumesDirty = true;
    this.wake();
  }
  /** Also while it stops, which may take its whole grace: one that is not ready any more gets no connections. */
  #probed(): void {
    if (this.#isStopping && this.pod && !this.#gone) this.#report.write(this.pod, false);
    this.wake();
  }
  /** The node cannot bear it any more: the pod fails at once, whatever its own grace. */
  evict(message: string): void {
    if (!this.pod || this.hasEnded) return;
    this.context.events.event(this.pod, 'Warning', 'Evicted', message);
    this.#memory.end = { phase: 'Failed', reason: 'Evicted', message, graceMs: evictionGraceMs };
    this.#killer.hurry(evictionGraceMs);
    this.wake();
  }
  /** Cut off from the cluster: what runs is stopped within so long, and nothing is started until it is over (undefined). */
  fence(stopMs: number | undefined): void {
    if (this.#fenceMs === stopMs) return;
    this.#fenceMs = stopMs;
    this.wake(true);
  }
  /** Stops to work; containers run on. */
  async close(): Promise<void> {
    this.#starting.abort();
    this.#timer.abort();
    this.#probes[Symbol.dispose]();
    await this.#running?.catch(() => {});
  }

  async #run(): Promise<void> {
    const { signal, clock, log } = this.context;
    while (this.#dirty && !signal.aborted) {
      this.#dirty = false;
      try {
        if (await this.#sync()) return;
        this.#errors = 0;
      } catch (error) {
        if (signal.aborted) return;
        const aborted = this.#starting.signal.aborted;
        if (!aborted) log.warn('pod not in sync', { pod: this.pod?.metadata.name ?? this.uid, error });
        this.#observe = true;
        const waitMs =
          aborted && this.#errors === 0 ? 0 : Math.min(errorRetryMinMs * 2 ** this.#errors, errorRetryMaxMs);
        this.#errors = Math.min(this.#errors + 1, 10);
        this.#wakeAt(clock.now() + waitMs);
      }
    }
  }

  #wakeAt(atMs: number): void {
    if (!Number.isFinite(atMs)) return;
    this.#timer.abort();
    const timer = new AbortController();
    this.#timer = timer;
    const { clock } = this.context;
    void clock.sleep(Math.max(0, atMs - clock.now()), timer.signal).then(() => {
      if (!timer.signal.aborted) this.wake();
    });
  }

  /** True: nothing of the pod is left. */
  async #sync(): Promise<boolean> {
    const pod = this.pod;
    if (this.#gone || !pod) return this.#end(undefined, graceMinMs);
    if (this.#observe) await this.#look();
    if (pod.metadata.deletionTimestamp) {
      await this.#end(pod, (pod.metadata.deletionGracePeriodSeconds ?? graceDefaultSeconds) * 1000);
      return this.#gone;
    }
    await this.#keepUp(pod);
    return false;
  }

  #look(): Promise<void> {
    this.#observe = false;
    return this.#sight.look();
  }

  async #keepUp(pod: Readonly<Pod>): Promise<void> {
    const { clock, crashes } = this.context;
    const memory = this.#memory;
    await this.#sight.take(pod, this.status);
    if (this.#refuse(pod)) return;
    const ended = pod.status?.phase;
    if (!memory.end && (ended === 'Succeeded' || ended === 'Failed')) memory.end = { phase: ended };
    for (let round = 0; round < roundsMax; round++) {
      if (this.#fenceMs !== undefined && !memory.end) return void (await this.#steps.stopAll(pod, this.#fenceMs));
      const deadlineMs = this.#checkDeadline(pod);
      if (memory.end) return this.#finish(pod);
      await this.#steps.refreshVolumes(pod);
      const view = memory.forPlan(pod, this.status, { clock, crashes, probes: this.#probes });
      const plan = planPod(pod, withGhosts(pod, memory.observed, this.status), view);
      const waits = this.#noteWaits(pod, plan);
      this.#report.write(pod, false);
      const steps = plan.filter(({ type }) => type !== 'wait');
      if (steps.length === 0 || this.#starting.signal.aborted)
        return this.#wakeAt(Math.min(waits, deadlineMs, clock.now() + memory.renewAtMs - clock.monotonicMs()));
      for (const step of steps) {
        await this.#steps.perform(pod, step, this.#starting.signal);
        if (this.#starting.signal.aborted || changedWork(pod, this.pod ?? pod)) break; // decided on an older spec: decide again
      }
      if (this.#starting.signal.aborted) return;
      pod = this.pod ?? pod;
      await this.#look();
      await this.#sight.take(pod, this.status);
    }
    this.#wakeAt(clock.now() + errorRetryMaxMs);
  }

  /** True: the pod asks for what this node cannot give, and nothing of it runs. */
  #refuse(pod: Readonly<Pod>): boolean {
    const { events, podNetwork, seLinux } = this.context;
    const memory = this.#memory;
    if (memory.observed.containers.length > 0) return false;
    const bad = unsupportedFields(pod, {
      hostPorts: podNetwork !== undefined,
      seLinux,
      giveAway: this.context.volumes.isRoot,
      runtimeClasses: this.context.runtimeClasses,
    });
    if (bad.length === 0) return false;
    const message = `This node does not support ${bad.join(', ')}; remove ${bad.length > 1 ? 'these fields' : 'this field'} from the pod`;
    if (!memory.stopped) events.event(pod, 'Warning', 'UnsupportedField', message);
    memory.stopped = { reason: 'UnsupportedField', message };
    for (const { spec } of containersOf(pod)) memory.waiting.set(spec.name, memory.stopped);
    this.#report.write(pod, false);
    return true;
  }

  /** When the pod has been active for too long, it ends here; resolves to that moment. */
  #checkDeadline(pod: Readonly<Pod>): number {
    const seconds = pod.spec?.activeDeadlineSeconds;
    const start = this.status.startTime;
    if (seconds === undefined) return Number.POSITIVE_INFINITY;
    const { clock, events } = this.context;
    const atMs = (start ? Date.parse(start) : clock.now()) + seconds * 1000;
    if (atMs > clock.now() || this.#memory.end) return atMs;
    const reason = 'DeadlineExceeded';
    const message = 'Pod was active on the node longer than the specified deadline';
    events.event(pod, 'Normal', reason, message);
    this.#memory.end = { phase: 'Failed', reason, message };
    return atMs;
  }

  /** Waits become waiting states; resolves to the earliest end. */
  #noteWaits(pod: Readonly<Pod>, plan: readonly Action[]): number {
    const { crashes, events } = this.context;
    const memory = this.#memory;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const step of plan) {
      if (step.type !== 'wait') continue;
      earliestMs = Math.min(earliestMs, step.untilMs);
      if (!step.crashed) continue;
      const message = crashText(pod, step.container, durationText(crashes.delayMs(crashKey(pod, step.container))));
      memory.waiting.set(step.container, { reason: 'CrashLoopBackOff', message });
      if (memory.told.get(step.container) === step.untilMs) continue;
      memory.told.set(step.container, step.untilMs);
      const container = containersOf(pod).find(({ spec }) => spec.name === step.container)!;
      const text = `Back-off restarting failed container ${step.container} in pod ${podText(pod)}`;
      events.event(pod, 'Warning', 'BackOff', text, fieldPathOf(container));
    }
    return earliestMs;
  }

  /** The pod has ended by itself or was ended: what still runs is stopped, and all but the logs given back. */
  async #finish(pod: Readonly<Pod>): Promise<void> {
    const memory = this.#memory;
    if (await this.#steps.stopAll(pod, memory.end?.graceMs ?? graceMsOf(pod))) {
      await this.#look();
      await this.#sight.take(pod, this.status);
    }
    memory.waiting.clear();
    this.#report.write(pod, true);
    if (memory.released) return;
    await this.#steps.release();
    this.#report.write(pod, true); // its sandbox is gone
  }

  /** Deleted, or gone already: stop, say so, remove everything, and let the API forget it. */
  async #end(pod: Readonly<Pod> | undefined, graceMs: number): Promise<boolean> {
    this.#trace.gone();
    await this.#look();
    if (pod) await this.#sight.take(pod, this.status);
    if (pod) this.#report.write(pod, false);
    this.#isStopping = true;
    if (await this.#steps.stopAll(this.pod, graceMs)) await this.#look();
    this.#isStopping = false;
    if (pod && !this.#gone) {
      await this.#sight.take(pod, this.status);
      this.#memory.waiting.clear();
      this.#report.write(pod, true);
      await this.#report.flushed();
    }
    this.#probes[Symbol.dispose]();
    await this.#steps.removeSandbox();
    await this.volumes.remove();
    if (pod && !this.#gone) await this.#forget(pod);
    this.#gone = true;
    this.#timer.abort();
    this.#dirty = false;
    this.context.onGone(this.uid);
    return true;
  }

  async #forget(pod: Readonly<Pod>): Promise<void> {
    const key = { namespace: pod.metadata.namespace, name: pod.metadata.name! };
    try {
      await this.context.client.delete(podKind, key, { gracePeriodSeconds: 0, preconditions: { uid: this.uid } });
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }
}

const changedMeta = (a: Readonly<Pod>, b: Readonly<Pod>): boolean =>
  JSON.stringify([a.metadata.labels, a.metadata.annotations]) !==
  JSON.stringify([b.metadata.labels, b.metadata.annotations]);
const workOf = (pod: Readonly<Pod>) => [
  pod.metadata.generation,
  pod.metadata.deletionTimestamp,
  pod.metadata.deletionGracePeriodSeconds,
  pod.metadata.labels,
  pod.metadata.annotations,
  pod.spec,
  pod.status?.phase,
  pod.spec?.readinessGates?.length ? pod.status?.conditions : undefined,
];
const changedWork = (a: Readonly<Pod>, b: Readonly<Pod>): boolean =>
  JSON.stringify(workOf(a)) !== JSON.stringify(workOf(b));
