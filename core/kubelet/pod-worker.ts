import { isReason, type Pod, type PodStatus, podKind } from '#api';
import { messageOf } from '#base';
import { durationText } from './backoff.ts';
import { containersOf, fieldPathOf, podText } from './names.ts';
import { type Action, latestOf, type Observed, planPod } from './plan.ts';
import { graceMinMs, PodKiller } from './pod-killer.ts';
import { PodMemory, statusOf, withGhosts } from './pod-memory.ts';
import { crashKey, crashText, PodStarter } from './pod-starter.ts';
import { Probes } from './probes/probes.ts';
import { podStatus } from './status.ts';
import { StatusWriter } from './status-writer.ts';
import { unsupportedFields } from './supported.ts';
import { terminationMessage } from './termination-message.ts';
import { PodVolumes } from './volumes/volumes.ts';
import type { WorkerContext } from './worker-context.ts';

const roundsMax = 50; // steps of one wake; more would be a plan that does not come to rest
const errorRetryMinMs = 500;
const errorRetryMaxMs = 30_000;
const graceDefaultSeconds = 30;

/** Brings one pod to what its spec says, one step after the other, and writes its status. Owns everything of that pod. */
export class PodWorker {
  observed: Observed;
  readonly #memory = new PodMemory();
  readonly #probes: Probes;
  readonly #killer: PodKiller;
  readonly #starter: PodStarter;
  readonly #volumes: PodVolumes;
  #writer: StatusWriter | undefined;
  #last: PodStatus | undefined;
  #starting = new AbortController();
  #timer = new AbortController();
  #dirty = false;
  #observe: boolean;
  #volumesDirty = false;
  #running: Promise<void> | undefined;
  #errors = 0;
  #gone = false;

  /** `observed`: what the engine holds of this pod; undefined when it is known to hold nothing. */
  constructor(
    readonly uid: string,
    public pod: Readonly<Pod> | undefined,
    private readonly context: WorkerContext,
    observed: Observed | undefined,
  ) {
    this.observed = observed ?? { containers: [] };
    this.#observe = false;
    this.#volumes = new PodVolumes(context.volumes, uid);
    this.#starter = new PodStarter(context, this.#volumes);
    this.#killer = new PodKiller(context);
    this.#probes = new Probes({
      runtime: context.runtime,
      clock: context.clock,
      random: context.random,
      agent: context.agent,
      onChange: () => this.wake(),
      onEvent: (name, reason, message) => {
        const container = this.pod && containersOf(this.pod).find(({ spec }) => spec.name === name);
        if (this.pod && container) context.events.event(this.pod, 'Warning', reason, message, fieldPathOf(container));
      },
    });
  }

  /** The status as decided last, or the API's. */
  get status(): PodStatus {
    return this.#last ?? this.pod?.status ?? {};
  }
  get podIps(): readonly string[] {
    return this.#memory.ips;
  }
  set podIps(ips: readonly string[]) {
    this.#memory.ips = ips;
  }

  /** The API's newest; undefined when it is gone there. */
  update(pod: Readonly<Pod> | undefined): void {
    const before = this.pod;
    if (pod && before && changedMeta(before, pod)) this.#volumesDirty = true;
    if (pod) this.pod = pod;
    this.#gone ||= !pod;
    if (this.#gone || pod?.metadata.deletionTimestamp) {
      this.#starting.abort();
      this.#killer.hurry(
        this.#gone ? graceMinMs : (pod?.metadata.deletionGracePeriodSeconds ?? graceDefaultSeconds) * 1000,
      );
    }
    // Our own status coming back changes nothing that the plan looks at.
    if (!pod || !before || changedWork(before, pod)) this.wake();
    else this.reassert();
  }
  /** The node controller says for a silent node that its pods are not ready: once it is heard again, our word counts. */
  reassert(): void {
    if (this.context.isNodeReady() && this.#writer?.isOverwritten(this.pod?.status)) this.wake();
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
    this.#volumesDirty = true;
    this.wake();
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
    this.#writer ??= new StatusWriter(pod, this.context);
    if (this.#observe) await this.#look();
    if (pod.metadata.deletionTimestamp) {
      await this.#end(pod, (pod.metadata.deletionGracePeriodSeconds ?? graceDefaultSeconds) * 1000);
      return this.#gone;
    }
    await this.#keepUp(pod);
    return false;
  }

  async #look(): Promise<void> {
    this.#observe = false;
    const { runtime } = this.context;
    const all = await runtime.observe(this.uid);
    const sandbox = all.sandboxes.filter(({ podUid }) => podUid === this.uid).sort((a, b) => b.attempt - a.attempt)[0];
    this.observed = { sandbox, containers: all.containers.filter(({ podUid }) => podUid === this.uid) };
  }

  /** Reads what follows from the observation: probes, addresses, termination messages. */
  async #take(pod: Readonly<Pod>): Promise<void> {
    const { sandbox, containers } = this.observed;
    const memory = this.#memory;
    if (sandbox) memory.sandboxAttempt = sandbox.attempt;
    if (sandbox?.ready && memory.ips.length === 0) memory.ips = await this.#starter.addresses(pod, sandbox);
    memory.nameOf.clear();
    for (const { id, name } of containers) memory.nameOf.set(id, name);
    for (const state of containers) {
      if (state.state !== 'exited' || memory.messages.has(state.id)) continue;
      const policy = containersOf(pod).find(({ spec }) => spec.name === state.name)?.spec.terminationMessagePolicy;
      memory.messages.set(
        state.id,
        await terminationMessage(state, policy, this.#volumes.folder, this.context.runtime, this.context.volumes.files),
      );
    }
    const prefix = `${this.context.runtime.name}://`;
    const targets = containersOf(pod).flatMap(({ role, spec }) => {
      const state = latestOf(spec.name, containers);
      if (state?.state !== 'running' || role === 'init' || role === 'ephemeral') return [];
      const old = statusOf(this.status, spec.name);
      const before =
        old?.containerID === prefix + state.id ? { ready: old.ready, started: old.started ?? false } : undefined;
      const startedAtMs = state.startedAtMs ?? state.createdAtMs;
      return [{ containerId: state.id, container: spec, podIp: memory.ips[0] ?? '', startedAtMs, before }];
    });
    this.#probes.sync(targets, Boolean(pod.metadata.deletionTimestamp || memory.end));
  }

  async #keepUp(pod: Readonly<Pod>): Promise<void> {
    const { events, clock, crashes } = this.context;
    const memory = this.#memory;
    await this.#take(pod);
    const { podNetwork, seLinux } = this.context;
    const bad = unsupportedFields(pod, { hostPorts: podNetwork !== undefined, seLinux });
    if (bad.length && this.observed.containers.length === 0) {
      const message = `This node does not support ${bad.join(', ')}; remove ${bad.length > 1 ? 'these fields' : 'this field'} from the pod`;
      if (!memory.stopped) events.event(pod, 'Warning', 'UnsupportedField', message);
      memory.stopped = { reason: 'UnsupportedField', message };
      for (const { spec } of containersOf(pod)) memory.waiting.set(spec.name, memory.stopped);
      this.#writeStatus(pod, false);
      return;
    }
    const ended = pod.status?.phase;
    if (!memory.end && (ended === 'Succeeded' || ended === 'Failed')) memory.end = { phase: ended };
    const deadlineMs = this.#checkDeadline(pod);
    for (let round = 0; round < roundsMax; round++) {
      if (memory.end) return this.#finish(pod);
      await this.#refreshVolumes(pod);
      const view = memory.forPlan(pod, this.status, { clock, crashes, probes: this.#probes });
      const plan = planPod(pod, withGhosts(pod, this.observed, this.status), view);
      const waits = this.#noteWaits(pod, plan);
      this.#writeStatus(pod, false);
      const steps = plan.filter(({ type }) => type !== 'wait');
      if (steps.length === 0 || this.#starting.signal.aborted)
        return this.#wakeAt(Math.min(waits, deadlineMs, memory.renewAtMs));
      for (const step of steps) {
        await this.#perform(pod, step);
        if (this.#starting.signal.aborted || changedWork(pod, this.pod ?? pod)) break; // decided on an older spec: decide again
      }
      if (this.#starting.signal.aborted) return;
      pod = this.pod ?? pod;
      await this.#look();
      await this.#take(pod);
    }
    this.#wakeAt(clock.now() + errorRetryMaxMs);
  }

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

  async #refreshVolumes(pod: Readonly<Pod>): Promise<void> {
    const memory = this.#memory;
    if (!memory.volumePaths) {
      if (this.observed.containers.some(({ state }) => state === 'running')) await this.#prepareVolumes(pod); // adopted
      return;
    }
    if (!this.#volumesDirty && memory.renewAtMs > this.context.clock.now()) return;
    this.#volumesDirty = false;
    try {
      memory.renewAtMs = (await this.#volumes.prepare(pod, this.#starter.facts(memory.ips), true)).renewAtMs;
    } catch (error) {
      this.context.log.warn('volumes of a running pod not refreshed', { pod: pod.metadata.name, error });
      memory.renewAtMs = this.context.clock.now() + errorRetryMaxMs;
    }
  }

  async #prepareVolumes(pod: Readonly<Pod>): Promise<void> {
    try {
      const { paths, renewAtMs } = await this.#volumes.prepare(pod, this.#starter.facts(this.#memory.ips));
      this.#memory.volumePaths = paths;
      this.#memory.renewAtMs = renewAtMs;
    } catch (error) {
      this.context.events.event(pod, 'Warning', 'FailedMount', messageOf(error));
      throw error;
    }
  }

  async #perform(pod: Readonly<Pod>, step: Action): Promise<void> {
    const { runtime } = this.context;
    switch (step.type) {
      case 'createSandbox':
        return this.#createSandbox(pod, Math.max(step.attempt, this.#memory.sandboxAttempt));
      case 'replaceSandbox':
        return this.#replaceSandbox(pod);
      case 'start':
        return this.#start(pod, step);
      case 'stop': {
        const graceMs = (step.graceSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? graceDefaultSeconds) * 1000;
        return this.#killer.stop(pod, step.container, step.id, this.#memory.ips[0] ?? '', graceMs, step.message);
      }
      case 'remove':
        return runtime.remove(step.id);
      case 'finish':
        this.#memory.end = { phase: step.phase };
    }
  }

  async #createSandbox(pod: Readonly<Pod>, attempt: number): Promise<void> {
    const first = containersOf(pod).filter(({ role }) => role !== 'ephemeral');
    this.#starter.prefetch(pod, first, this.#starting.signal);
    const volumes = this.#memory.volumePaths ? Promise.resolve() : this.#prepareVolumes(pod);
    volumes.catch(() => {}); // seen below, after the sandbox
    try {
      const { sandbox, ips } = await this.#starter.sandbox(pod, attempt);
      this.#memory.ips = ips;
      this.observed = { ...this.observed, sandbox };
    } catch (error) {
      this.context.events.event(
        pod,
        'Warning',
        'FailedCreatePodSandBox',
        `Failed to create pod sandbox: ${messageOf(error)}`,
      );
      throw error;
    }
    await volumes;
  }

  async #replaceSandbox(pod: Readonly<Pod>): Promise<void> {
    const { events } = this.context;
    events.event(pod, 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
    const running = this.observed.containers.filter(({ state }) => state === 'running');
    await this.#killer.stopAll(pod, containersOf(pod), running, this.#memory.ips[0] ?? '', graceMinMs);
    await this.#removeSandbox();
    this.#memory.sandboxAttempt++;
  }

  async #removeSandbox(): Promise<void> {
    const { runtime, podNetwork } = this.context;
    await podNetwork?.detach({ uid: this.uid, netnsPath: this.observed.sandbox?.netnsPath });
    await runtime.removeSandbox(this.uid);
    this.#memory.ips = [];
  }

  async #start(pod: Readonly<Pod>, step: Extract<Action, { type: 'start' }>): Promise<void> {
    const memory = this.#memory;
    const name = step.container.spec.name;
    if (!memory.volumePaths) await this.#prepareVolumes(pod);
    const place = { sandbox: this.observed.sandbox!, ips: memory.ips, volumePaths: memory.volumePaths! };
    const result = await this.#starter.start(pod, step, place, this.#starting.signal);
    if (result.ok === false) {
      memory.waiting.set(name, { reason: result.reason, message: result.message });
      memory.retryAtMs.set(name, result.retryAtMs);
      return;
    }
    memory.waiting.delete(name);
    memory.retryAtMs.delete(name);
    if (result.ok === true) return;
    const graceMs = (pod.spec?.terminationGracePeriodSeconds ?? graceDefaultSeconds) * 1000;
    await this.#killer.stop(pod, step.container, result.id, memory.ips[0] ?? '', graceMs, 'FailedPostStartHook');
  }

  /** The pod has ended by itself: what still runs is stopped and the address given back; containers stay for their logs. */
  async #finish(pod: Readonly<Pod>): Promise<void> {
    const running = this.observed.containers.filter(({ state }) => state === 'running');
    const graceMs = (pod.spec?.terminationGracePeriodSeconds ?? graceDefaultSeconds) * 1000;
    if (running.length) {
      await this.#killer.stopAll(pod, containersOf(pod), running, this.#memory.ips[0] ?? '', graceMs);
      await this.#look();
      await this.#take(pod);
    }
    if (this.observed.sandbox?.netnsPath)
      await this.context.podNetwork?.detach({ uid: this.uid, netnsPath: this.observed.sandbox.netnsPath });
    this.#memory.waiting.clear();
    this.#writeStatus(pod, true);
  }

  /** Deleted, or gone already: stop, say so, remove everything, and let the API forget it. */
  async #end(pod: Readonly<Pod> | undefined, graceMs: number): Promise<boolean> {
    const all = this.pod ? containersOf(this.pod) : [];
    await this.#look();
    if (pod) await this.#take(pod);
    const running = this.observed.containers.filter(({ state }) => state === 'running');
    if (pod) this.#writeStatus(pod, false);
    await this.#killer.stopAll(this.pod, all, running, this.#memory.ips[0] ?? '', graceMs);
    if (running.length) await this.#look();
    if (pod && !this.#gone) {
      await this.#take(pod);
      this.#memory.waiting.clear();
      this.#writeStatus(pod, true);
      await this.#writer?.flushed();
    }
    this.#probes[Symbol.dispose]();
    await this.#removeSandbox();
    await this.#volumes.remove();
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

  #writeStatus(pod: Readonly<Pod>, ending: boolean): void {
    const { clock, runtime, nodeIps } = this.context;
    const memory = this.#memory;
    const known = this.status;
    const status = podStatus(
      pod,
      this.observed,
      { ...known, conditions: mergedConditions(pod, known) },
      {
        nowMs: clock.now(),
        hostIps: nodeIps,
        podIps: memory.ips,
        runtimeName: runtime.name,
        isReady: (id, container) => this.#probes.isReady(id, container),
        isStarted: (id, container) => this.#probes.isStarted(id, container),
        waiting: (name) => memory.waiting.get(name),
        terminationMessage: (id) => memory.messages.get(id),
        end: memory.end,
        stopped: memory.stopped,
        ending,
      },
    );
    this.#last = status;
    this.#writer?.write(status);
  }
}

/** Ours as written last, everybody else's as the API has them. */
function mergedConditions(pod: Readonly<Pod>, written: PodStatus) {
  const own = written.conditions ?? [];
  const gates = new Set(pod.spec?.readinessGates?.map(({ conditionType }) => conditionType));
  return [
    ...own.filter(({ type }) => !gates.has(type)),
    ...(pod.status?.conditions ?? []).filter(({ type }) => gates.has(type)),
  ];
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
