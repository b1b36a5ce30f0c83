import type { ContainerState, SandboxState } from '#sdk';
import type { InspectedContainer } from './docker-engine.ts';
import { labels } from './docker-specs.ts';

/** One row of the engine's list. */
export interface ListedContainer {
  readonly Id: string;
  /** They begin with a slash. */
  readonly Names: readonly string[];
  readonly ImageID: string;
  readonly Image: string;
  /** Seconds. */
  readonly Created: number;
  readonly State: string;
  readonly Labels: Readonly<Record<string, string>>;
}
/** The row that a list would show. */
export const rowOf = (details: InspectedContainer): ListedContainer => ({
  Id: details.Id,
  Names: [details.Name],
  ImageID: details.Image,
  Image: details.Config.Image,
  Created: Math.floor(Date.parse(details.Created) / 1000),
  State: details.State.Status,
  Labels: details.Config.Labels,
});

export const stateOf = (text: string): ContainerState['state'] =>
  text === 'running' || text === 'paused' || text === 'restarting'
    ? 'running'
    : text === 'created'
      ? 'created'
      : 'exited';

/** The engine writes year 1 for "never". */
const timeOf = (text: string): number | undefined => {
  const ms = Date.parse(text);
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
};

export function sandboxState(row: ListedContainer, inspected: InspectedContainer | undefined): SandboxState {
  const ready = row.State === 'running' && inspected !== undefined && inspected.State.Pid > 0;
  return {
    id: row.Id,
    podUid: row.Labels[labels.podUid] ?? '',
    podName: row.Labels[labels.podName] ?? '',
    podNamespace: row.Labels[labels.podNamespace] ?? '',
    attempt: Number(row.Labels[labels.attempt] ?? 0),
    ready,
    createdAtMs: (inspected && timeOf(inspected.Created)) ?? row.Created * 1000,
    ...(ready && row.Labels[labels.network] !== 'host' ? { netnsPath: `/proc/${inspected.State.Pid}/ns/net` } : {}),
  };
}

export function containerState(row: ListedContainer, inspected: InspectedContainer | undefined): ContainerState {
  const details = inspected?.State;
  const failedStart = row.State === 'created' && details !== undefined && details.Error !== '';
  const state = failedStart ? 'exited' : stateOf(row.State);
  const createdAtMs = (inspected && timeOf(inspected.Created)) ?? row.Created * 1000;
  const startedAtMs = details && timeOf(details.StartedAt);
  return {
    id: row.Id,
    podUid: row.Labels[labels.podUid] ?? '',
    podName: row.Labels[labels.podName] ?? '',
    podNamespace: row.Labels[labels.podNamespace] ?? '',
    name: row.Labels[labels.container] ?? '',
    attempt: Number(row.Labels[labels.attempt] ?? 0),
    state,
    image: row.Labels[labels.image] ?? row.Image,
    imageId: row.ImageID,
    specHash: row.Labels[labels.specHash] ?? '',
    annotations: annotationsOf(row.Labels[labels.annotations]),
    createdAtMs,
    ...(startedAtMs !== undefined ? { startedAtMs } : {}),
    ...(state === 'exited'
      ? {
          finishedAtMs: Math.max((details && timeOf(details.FinishedAt)) ?? createdAtMs, startedAtMs ?? 0), // the engine takes both times apart, a short program's come out swapped
          exitCode: failedStart ? 128 : (details?.ExitCode ?? 255), // 128: what CRI engines report when a start failed
          oomKilled: details?.OOMKilled ?? false,
        }
      : {}),
    ...(details?.Error ? { error: details.Error } : {}),
  };
}

function annotationsOf(text: string | undefined): Readonly<Record<string, string>> {
  try {
    return text ? (JSON.parse(text) as Record<string, string>) : {};
  } catch {
    return {}; // somebody else's label
  }
}
