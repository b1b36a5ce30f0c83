import type { Clock } from '#base';
import type { PluginObject, PluginSpec, PluginStatus } from './kind.ts';
import type { Upgrade } from './probation.ts';
import type { StepError } from './status.ts';
import type { Version } from './version.ts';

export type Known = NonNullable<PluginStatus['lastGood']>;
/** What the host knows of one plugin. */
export interface Entry {
  running?: Version;
  /** The newer version, while it is looked at beside the running one. */
  next?: Version;
  /** Versions that end. */
  draining: Promise<void>;
  failure?: StepError;
  failedFingerprint?: string;
  rolledBack?: string;
  lastGood?: Known;
  /** Was good before lastGood; what `rollback` and probation go back to. */
  previous?: Known;
  upgrade?: Upgrade;
  /** Hooks that were attached by a former life of this host: they hold until this one knows better. */
  formerHooks?: PluginStatus['hooks'];
  /** What became of a crash will be written soon. */
  telling?: boolean;
  written?: string;
  writing: Promise<void>;
}

/** What the object remembers of a former life of this host. */
export function recall(entry: Entry, { status, metadata }: Readonly<PluginObject>, clock: Clock): void {
  entry.formerHooks ??= status?.hooks ?? [];
  if (entry.written !== undefined || !status) return;
  entry.lastGood ??= status.lastGood;
  entry.previous ??= status.previous;
  const loaded = status.conditions?.find(({ type }) => type === 'Loaded');
  if (loaded?.reason === 'RolledBack' && status.observedGeneration === metadata.generation)
    entry.rolledBack ??= loaded.message;
  if (status.probation && !entry.upgrade) {
    const leftMs = Date.parse(status.probation.until) - clock.now();
    entry.upgrade = { fallback: status.probation.fallback, untilMs: clock.monotonicMs() + Math.max(0, leftMs) };
  }
}

/** What the object asks for runs, or has failed. */
export function hasReached({ spec }: Readonly<PluginObject>, { running, failedFingerprint, failure }: Entry): boolean {
  const fingerprint = fingerprintOf(spec!);
  return spec?.paused || running?.fingerprint === fingerprint || failedFingerprint === fingerprint || !!failure;
}

export const knownOf = ({ version, digest, approvedNeeds }: PluginSpec): Known => ({ version, digest, approvedNeeds });
export const fingerprintOf = ({
  digest,
  config,
  approvedNeeds,
  isolation,
  hookPriority,
  failClosed,
}: PluginSpec): string => JSON.stringify([digest, config, approvedNeeds, isolation, hookPriority, failClosed]);
