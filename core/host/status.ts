import type { InstanceState } from './instance.ts';
import type { HookStatus, PluginCondition, PluginPhase, PluginStatus } from './kind.ts';

export type Step = 'Verified' | 'Approved' | 'Resolved' | 'Loaded';
export const steps: readonly Step[] = ['Verified', 'Approved', 'Resolved', 'Loaded'];

/** A step of the installation that did not succeed, in words for people. `lasting`: only a change of the object helps. */
export class StepError extends Error {
  constructor(
    readonly step: Step,
    readonly reason: string,
    message: string,
    readonly lasting = true,
  ) {
    super(message);
  }
}

export interface Seen {
  readonly generation: number;
  readonly paused: boolean;
  readonly failure?: StepError;
  readonly instance?: InstanceState;
  /** It has been ready for the health window. */
  readonly healthy: boolean;
  readonly active?: { readonly version: string; readonly digest: string };
  readonly lastGood?: PluginStatus['lastGood'];
  readonly previous?: PluginStatus['previous'];
  readonly probation?: PluginStatus['probation'];
  /** The version that was asked for failed, and lastGood runs instead. */
  readonly rolledBack?: string;
  /** What it provides and nodes do not use, because another plugin provides it already. */
  readonly unused?: readonly string[];
  readonly hooks?: readonly HookStatus[];
  /** Registered facts, of the manifest that runs. */
  readonly registered?: Pick<PluginStatus, 'apis' | 'panels' | 'commands'>;
}

/** The status that says what was seen; times of conditions that did not change stay. Pure. */
export function statusOf(seen: Seen, former: PluginStatus | undefined, now: string): PluginStatus {
  const { failure, instance } = seen;
  const conditions: PluginCondition[] = [];
  const say = (type: PluginCondition['type'], isTrue: boolean, reason: string, message = ''): void => {
    const status = isTrue ? 'True' : 'False';
    const before = former?.conditions?.find((one) => one.type === type);
    conditions.push({
      type,
      status,
      reason,
      message,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime : now,
    });
  };
  const failedAt = failure ? steps.indexOf(failure.step) : steps.length;
  steps.forEach((step, index) => {
    if (index < failedAt && !seen.paused) say(step, true, 'Succeeded');
    else if (index === failedAt && failure) say(step, false, failure.reason, failure.message);
  });
  if (seen.rolledBack)
    conditions.splice(
      conditions.findIndex(({ type }) => type === 'Loaded'),
      1,
    );
  if (seen.rolledBack) say('Loaded', false, 'RolledBack', seen.rolledBack);
  const late = instance?.late;
  if (seen.unused && seen.unused.length > 0) say('Degraded', true, 'NotUsed', seen.unused.join('; '));
  else if (late && late.objects.length > 0)
    say(
      'Degraded',
      true,
      'ReconcileDeadline',
      `reconciles did not return within 60 s and are tried again: ${late.objects.join(', ')}`,
    );
  if (instance) {
    const runs = instance.phase === 'Active';
    say(
      'Healthy',
      runs && seen.healthy,
      runs ? (seen.healthy ? 'Heartbeats' : 'Watching') : instance.phase,
      instance.message,
    );
    if (instance.phase === 'Quarantined') say('Quarantined', true, 'GaveUp', instance.message);
  }
  return {
    phase: phaseOf(seen),
    conditions,
    observedGeneration: seen.generation,
    restarts: instance?.restarts ?? 0,
    activeVersion: instance && seen.active ? seen.active.version : undefined,
    lastGood: seen.lastGood,
    previous: seen.previous,
    probation: seen.probation,
    memoryBytes: instance?.memoryBytes,
    sandbox: instance?.sandbox ?? [],
    hooks: seen.hooks ?? [],
    // One that was given up still owns its groups: they answer 503.
    apis: seen.hooks || instance?.phase === 'Quarantined' ? (seen.registered?.apis ?? []) : [],
    panels: seen.registered?.panels ?? [],
    commands: seen.registered?.commands ?? [],
  };
}

function phaseOf({ paused, failure, instance }: Seen): PluginPhase {
  if (paused) return 'Paused';
  if (!instance) return failure ? 'Failed' : 'Pending';
  switch (instance.phase) {
    case 'Active':
    case 'Quarantined':
    case 'Backoff':
    case 'Starting':
      return instance.phase;
    case 'Unresponsive':
      return 'Backoff';
    case 'Stopped':
      return 'Draining';
  }
}

/** As a merge patch: what is no more is taken away. Pure. */
export const withNulls = (status: PluginStatus): Record<string, unknown> => ({
  ...status,
  activeVersion: status.activeVersion ?? null,
  memoryBytes: status.memoryBytes ?? null,
  previous: status.previous ?? null,
  placement: status.placement ?? null,
  probation: status.probation ?? null,
  rollback: status.rollback ?? null,
});
