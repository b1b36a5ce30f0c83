import {
  isReason,
  type KubeObject,
  namespaceKind,
  pathOf,
  podKind,
  type ReplicationController,
  replicationControllerKind,
  serviceKind,
} from '#api';
import type { Client } from '#client';
import { createClient } from '../client/http.ts';
import type { Violation } from './invariants/checker.ts';
import { SimProcess } from './process.ts';
import type { Fault, Scenario, Step } from './scenario.ts';
import { type World, type WorldOptions, world } from './world.ts';

export interface Outcome {
  readonly violations: readonly Violation[];
  readonly traceHash: string;
  /** Simulated time in all. */
  readonly virtualMs: number;
  readonly commits: number; // without what the image brought
  /** The last lines of what happened. */
  readonly trace: readonly string[];
}
export type RunOptions = Omit<WorldOptions, 'seed' | 'nodes' | 'events'> & {
  /** Sees the world before it ends. */
  readonly onEnd?: (world: World) => void;
};
/** After the last fault everything must be as asked within this time: a node that was silent, an eviction, a back-off of 40 s. */
const settleMsMax = 90_000;
/** Each end of a container doubles its back-off. */
const settleMsPerExit = 60_000;
const stepRetryMs = 400;

/** Plays a scenario: a safety phase in which faults fall, then a liveness phase without any. */
export async function runScenario(scenario: Scenario, options: RunOptions = {}): Promise<Outcome> {
  await using w = await world({
    ...options,
    seed: scenario.seed,
    nodes: scenario.nodes,
    events: scenario.events ?? true,
  });
  const ends: number[] = [0];
  for (const fault of scenario.faults) {
    ends.push(fault.atMs + ('forMs' in fault ? fault.forMs : 0));
    w.timeline.after(fault.atMs, () => strike(w, fault));
  }
  const user = userOf(w);
  let left = scenario.steps.length;
  for (const step of scenario.steps) {
    ends.push(step.atMs);
    w.timeline.after(step.atMs, () => void insist(w, () => perform(user, step)).then(() => left--));
  }
  const untilMs = w.timeline.nowMs + Math.max(...ends) + 1_000;
  while (w.violations.length === 0 && (w.timeline.nowMs < untilMs || left > 0)) {
    await w.advance(Math.min(500, Math.max(100, untilMs - w.timeline.nowMs)));
    if (w.timeline.nowMs > untilMs + settleMsMax)
      w.observer.report('I13', `${left} steps of the person never came through`);
  }
  if (w.violations.length === 0) {
    calm(w, scenario);
    const exits = scenario.faults.filter(({ type }) => type === 'containerExit' || type === 'sandboxCrash').length;
    await w.settle(settleMsMax + exits * settleMsPerExit);
  }
  if (w.violations.length === 0) {
    await w.checkStore();
    w.observer.end();
  }
  options.onEnd?.(w);
  return {
    violations: [...w.violations],
    traceHash: w.traceHash,
    virtualMs: Math.round(w.timeline.nowMs),
    commits: w.history.commits.length - (options.image?.length ?? 0),
    trace: [...w.observer.trace],
  };
}

/** A fault of a kind that ends is over; a crash that waits for writes that never came does not come any more. */
function calm(w: World, { faults }: Scenario): void {
  for (const fault of faults) if (fault.type === 'crashAfterWrites') w.observer.forgetListeners();
}

function strike(w: World, fault: Fault): void {
  const { timeline, network } = w;
  w.observer.note(`fault ${JSON.stringify(fault)}`);
  const down = (target: Parameters<World['crash']>[0], forMs: number) => {
    w.crash(target);
    timeline.after(forMs, () => {
      if (!w.isUp(target)) w.restart(target);
    });
  };
  switch (fault.type) {
    case 'crash':
      down(fault.target, fault.forMs);
      break;
    case 'crashAfterWrites':
      w.afterWrites(fault.target, fault.writes, () => down(fault.target, fault.forMs));
      break;
    case 'cutOff':
      network.cutOff(fault.target);
      timeline.after(fault.forMs, () => network.heal(fault.target));
      break;
    case 'cutWatches':
      network.cutWatches(fault.target);
      break;
    case 'weather':
      w.setWeather(fault.target, fault.weather);
      timeline.after(fault.forMs, () => w.setWeather(fault.target, undefined));
      break;
    case 'storeCut':
      w.disk.cutWatches();
      break;
    case 'compact':
      void w.disk.compact(fault.keepVersions);
      break;
    case 'stall':
      w.disk.stallUntilMs = timeline.nowMs + fault.forMs;
      break;
    case 'clock':
      w.skewClock(fault.target, fault.byMs);
      timeline.after(fault.forMs, () => w.skewClock(fault.target, 0));
      break;
    default:
      void strikeEngine(w, fault);
  }
}
async function strikeEngine(w: World, fault: Extract<Fault, { node: string }>): Promise<void> {
  const engine = w.engine(fault.node);
  if (fault.type === 'engineAway') {
    const back = engine.goAway();
    w.timeline.after(fault.forMs, back);
    return;
  }
  const observation = await engine.observe().catch(() => undefined);
  const running = (observation?.containers ?? []).filter(({ state }) => state === 'running');
  const victim = running[fault.pick % Math.max(1, running.length)];
  if (!victim) return;
  if (fault.type === 'containerExit') engine.exit(victim.podUid, victim.name, fault.code);
  else engine.crashSandbox(victim.podUid);
}

/** A person at a keyboard: tries again until it is done. */
function userOf(w: World): Client {
  const process = new SimProcess('user', 0, w.timeline, { next: () => 0.5 }, w.quietLog);
  return createClient({
    fetch: w.network.fetchOf(process),
    baseUrl: 'http://localhost',
    token: 'user',
    userAgent: 'user',
  });
}
async function insist(w: World, act: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await act();
      return;
    } catch (error) {
      if (isReason(error, 'NotFound', 'AlreadyExists', 'Invalid', 'Forbidden')) return; // in vain: what it is about is not there, or is going
      if (!isReason(error, 'ServiceUnavailable', 'TooManyRequests', 'InternalError', 'Timeout', 'Conflict'))
        throw error;
      await w.timeline.sleep(stepRetryMs);
    }
  }
}

async function perform(user: Client, step: Step): Promise<void> {
  const { namespace = 'default' } = step;
  switch (step.type) {
    case 'namespace':
      await user.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      return;
    case 'deleteNamespace':
      return user.delete(namespaceKind, { name: namespace });
    case 'controller':
      await user.create(replicationControllerKind, controllerOf(step));
      return;
    case 'scale': {
      const at = { namespace, name: step.name };
      await user.patch(replicationControllerKind, at, { type: 'merge', body: { spec: { replicas: step.replicas } } });
      return;
    }
    case 'deleteController':
      return user.delete(replicationControllerKind, { namespace, name: step.name }, { propagationPolicy: step.policy });
    case 'service': {
      const metadata = { namespace, name: step.name };
      const spec = { selector: { app: step.name }, ports: [{ port: 80, targetPort: 8080 }] };
      await user.create(serviceKind, { apiVersion: 'v1', kind: 'Service', metadata, spec });
      return;
    }
    case 'deleteService':
      return user.delete(serviceKind, { namespace, name: step.name });
    case 'deletePod': {
      const names = (await user.list(podKind, { namespace })).items.map(({ metadata }) => metadata.name!).sort();
      const name = names[step.pick % Math.max(1, names.length)];
      if (name)
        await user.request('DELETE', pathOf(podKind, namespace, name), { gracePeriodSeconds: step.graceSeconds });
    }
  }
}
const controllerOf = (step: Extract<Step, { type: 'controller' }>): ReplicationController & KubeObject => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { namespace: step.namespace ?? 'default', name: step.name },
  spec: {
    replicas: step.replicas,
    selector: { app: step.name },
    template: {
      metadata: { labels: { app: step.name } },
      spec: {
        automountServiceAccountToken: step.withToken ?? false,
        terminationGracePeriodSeconds: 2,
        containers: [
          { name: 'main', image: 'demo:1', resources: { requests: { cpu: `${step.cpuMilli}m`, memory: '64Mi' } } },
        ],
      },
    },
  },
});
