import type { KubeObject } from '#api';
import { sameJson } from './values.ts';

type Loose = KubeObject & { spec?: unknown; status?: unknown };

const statusParts: ReadonlySet<string> = new Set(['status', 'approval']);
/** A write to the object keeps the status, a write to /status keeps all but the status (labels and annotations of it too). */
export function splitStatus<T extends KubeObject>(
  next: T,
  current: Readonly<T>,
  subresource: string | undefined,
): void {
  const target = next as Loose;
  const source = current as Loose;
  if (!subresource || !statusParts.has(subresource)) {
    set(target, 'status', source.status);
    return;
  }
  for (const key of Object.keys(target))
    if (!['apiVersion', 'kind', 'metadata', 'status'].includes(key))
      set(target, key, (source as unknown as Record<string, unknown>)[key]);
  set(target, 'spec', source.spec);
  // Upstream lets a status write change metadata too, but not what the collector stands on.
  target.metadata.ownerReferences = source.metadata.ownerReferences;
}
function set(target: object, key: string, value: unknown): void {
  if (value === undefined) delete (target as Record<string, unknown>)[key];
  else (target as Record<string, unknown>)[key] = value;
}

export const firstGeneration = (draft: KubeObject): void => {
  draft.metadata.generation = 1;
};
/** One more when the spec (or deletionTimestamp) changed; a client's own number is ignored. */
export function nextGeneration(next: KubeObject, current: Readonly<KubeObject>): void {
  const changed = !sameJson((next as Loose).spec, (current as Loose).spec);
  next.metadata.generation = changed ? (current.metadata.generation ?? 0) + 1 : current.metadata.generation;
  if (next.metadata.generation === undefined) delete next.metadata.generation;
}
