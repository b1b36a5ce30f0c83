import type { History, StoredObject } from '../disk.ts';

/** What a world holds, without what differs between two runs that did the same: key → the objects with it, as text. */
export type EndState = ReadonlyMap<string, readonly string[]>;

const passing = ['/registry/coordination.k8s.io/leases/', '/registry/core/events/', '/registry/events.k8s.io/'];
/** Given by chance, by time, or counted. */
const given = new Set([
  'uid',
  'resourceVersion',
  'creationTimestamp',
  'deletionTimestamp',
  'generation',
  'observedGeneration',
  'managedFields',
  'containerID',
  'podIP',
  'podIPs',
  'clusterIP',
  'clusterIPs',
  'nodePort',
  'ip',
  'addresses',
  'pod-template-generation',
]);
const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;
/** The volume of a pod's own token, which admission names. */
const tokenVolume = /^kube-api-access-[a-z0-9]{5}$/;
const uid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Of everything that lives now. Names that the server generated stand as `tick-*`. */
export function endState(history: Pick<History, 'current'>): EndState {
  const live = [...history.current.values()].filter(({ key }) => !passing.some((prefix) => key.startsWith(prefix)));
  const names = new Map<string, string>();
  for (const { object } of live) {
    const { name, generateName } = object.metadata as StoredObject['metadata'] & { generateName?: string };
    if (generateName && name.startsWith(generateName)) names.set(name, `${generateName}*`);
  }
  const generic = (text: string): string =>
    names.get(text) ??
    (tokenVolume.test(text) ? 'kube-api-access-*' : text.replace(time, '<time>').replace(uid, '<uid>'));
  const state = new Map<string, string[]>();
  for (const { key, object } of live) {
    const { name, namespace } = object.metadata;
    const plural = key.split('/')[3]!;
    const at = `${plural} ${namespace ? `${namespace}/` : ''}${generic(name)}`;
    const list = state.get(at) ?? [];
    list.push(JSON.stringify(plain(object, generic)));
    state.set(at, list);
  }
  for (const list of state.values()) list.sort();
  return state;
}

function plain(value: unknown, generic: (text: string) => string): unknown {
  if (typeof value === 'string') return generic(value);
  if (Array.isArray(value)) return value.map((one) => plain(one, generic));
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value).filter((key) => !given.has(key));
  return Object.fromEntries(
    keys.sort().map((key) => [generic(key), plain((value as Record<string, unknown>)[key], generic)]),
  );
}

const linesMax = 6;
/** What is unlike, in lines for people; none when both are alike. Pure. */
export function differences(wanted: EndState, found: EndState): string[] {
  const lines: string[] = [];
  for (const key of [...new Set([...wanted.keys(), ...found.keys()])].sort()) {
    const before = wanted.get(key) ?? [];
    const after = found.get(key) ?? [];
    if (before.length !== after.length) lines.push(`${key}: ${after.length}, without the fault ${before.length}`);
    else
      before.forEach((text, index) => {
        const path = text === after[index] ? undefined : unlike(JSON.parse(text), JSON.parse(after[index]!), '');
        if (path) lines.push(`${key}: ${path}`);
      });
  }
  return lines.length > linesMax ? [...lines.slice(0, linesMax), `and ${lines.length - linesMax} more`] : lines;
}

function unlike(wanted: unknown, found: unknown, path: string): string | undefined {
  if (isRecord(wanted) && isRecord(found)) {
    for (const key of new Set([...Object.keys(wanted), ...Object.keys(found)])) {
      const below = unlike(wanted[key], found[key], `${path}.${key}`);
      if (below) return below;
    }
    return undefined;
  }
  if (Bun.deepEquals(wanted, found)) return undefined;
  return `${path || 'it'} is ${JSON.stringify(found)}, without the fault ${JSON.stringify(wanted)}`;
}
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
