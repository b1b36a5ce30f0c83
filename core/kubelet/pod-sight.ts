import type { Pod, PodStatus } from '#api';
import { containersOf } from './names.ts';
import { latestOf, type Observed } from './plan.ts';
import { type PodMemory, statusOf } from './pod-memory.ts';
import type { PodStarter } from './pod-starter.ts';
import type { Probes, ProbeTarget } from './probes/probes.ts';
import { terminationMessage } from './termination-message.ts';
import type { WorkerContext } from './worker-context.ts';

/** Looks at one pod in the engine, and reads what follows from it: probes, addresses, termination messages. */
export class PodSight {
  constructor(
    private readonly uid: string,
    private readonly context: WorkerContext,
    private readonly memory: PodMemory,
    private readonly probes: Probes,
    private readonly starter: PodStarter,
    private readonly podFolder: string,
  ) {}

  async look(): Promise<void> {
    const all = await this.context.runtime.observe(this.uid);
    const sandbox = all.sandboxes.filter(({ podUid }) => podUid === this.uid).sort((a, b) => b.attempt - a.attempt)[0];
    this.memory.observed = { sandbox, containers: all.containers.filter(({ podUid }) => podUid === this.uid) };
  }

  /** `status`: as known last, for what the probes said before this kubelet started. */
  async take(pod: Readonly<Pod>, status: Readonly<PodStatus>): Promise<void> {
    const { memory } = this;
    const { sandbox, containers } = memory.observed;
    if (sandbox) memory.sandboxAttempt = sandbox.attempt;
    if (sandbox?.ready && memory.ips.length === 0) memory.ips = await this.starter.addresses(pod, sandbox);
    memory.nameOf.clear();
    for (const { id, name } of containers) memory.nameOf.set(id, name);
    for (const state of containers) {
      if (state.state !== 'exited' || memory.messages.has(state.id)) continue;
      const policy = containersOf(pod).find(({ spec }) => spec.name === state.name)?.spec.terminationMessagePolicy;
      const { runtime, volumes } = this.context;
      memory.messages.set(state.id, await terminationMessage(state, policy, this.podFolder, runtime, volumes.files));
    }
    const targets = this.#probed(pod, memory.observed, status);
    this.probes.sync(targets, Boolean(pod.metadata.deletionTimestamp || memory.end));
  }

  #probed(pod: Readonly<Pod>, { containers }: Observed, status: Readonly<PodStatus>): ProbeTarget[] {
    const prefix = `${this.context.runtime.name}://`;
    return containersOf(pod).flatMap(({ role, spec }) => {
      const state = latestOf(spec.name, containers);
      if (state?.state !== 'running' || role === 'init' || role === 'ephemeral') return [];
      const old = statusOf(status, spec.name);
      const before =
        old?.containerID === prefix + state.id ? { ready: old.ready, started: old.started ?? false } : undefined;
      const startedAtMs = state.startedAtMs ?? state.createdAtMs;
      return [{ containerId: state.id, container: spec, podIp: this.memory.ips[0] ?? '', startedAtMs, before }];
    });
  }
}
