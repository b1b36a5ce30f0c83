import { errors, type ManagedFieldsEntry, StatusError } from '#api';
import type { JsonObject } from '../contract.ts';
import { shareText } from '../stored-text.ts';
import { FieldSet, pathText } from './field-set.ts';
import { isObject } from './merge.ts';

/** One entry of metadata.managedFields, decoded. */
export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
  time: string;
  set: FieldSet;
  /** As it was read, and the set that it held: written again as it is while nothing changed. */
  readonly read?: { readonly entry: ManagedFieldsEntry; readonly set: FieldSet };
}
type Meta = { managedFields?: ManagedFieldsEntry[] };
export const metaOf = (object: JsonObject | undefined): Meta => (object?.['metadata'] ?? {}) as Meta;

export function readManagers(object: JsonObject | undefined): Manager[] {
  return (metaOf(object).managedFields ?? []).map((entry) => {
    if (entry.operation !== 'Apply' && entry.operation !== 'Update')
      throw errors.badRequest(
        `metadata.managedFields holds an unknown operation ${JSON.stringify(entry.operation ?? '')}`,
      );
    const tree = entry.fieldsV1;
    const set = (isObject(tree) && setsOfTrees.get(tree)) || FieldSet.fromJson(tree);
    return {
      name: entry.manager ?? '',
      operation: entry.operation,
      apiVersion: entry.apiVersion ?? '',
      subresource: entry.subresource ?? '',
      time: entry.time ?? '',
      set,
      read: { entry, set },
    };
  });
}

/** Of what was written and is still held decoded: the next write to it reads no owners. Sets are not changed once they are read. */
const setsOfTrees = new WeakMap<object, FieldSet>();
function remembered(entry: ManagedFieldsEntry, set: FieldSet): ManagedFieldsEntry {
  const tree = entry.fieldsV1;
  if (!isObject(tree) || setsOfTrees.has(tree)) return entry;
  setsOfTrees.set(tree, set);
  shareText(tree); // most later writes leave it as it is
  return entry;
}

/** Appliers first, then by time, as upstream keeps them. */
export function writeManagers(object: JsonObject, managers: readonly Manager[]): void {
  for (const _step of writeManagersInSteps(object, managers));
}
/** One entry a step. */
export function* writeManagersInSteps(object: JsonObject, managers: readonly Manager[]): Generator<undefined, void> {
  const entries: ManagedFieldsEntry[] = [];
  for (const manager of managers.filter(({ set }) => !set.isEmpty).toSorted(inOrder)) {
    const { read, set, time } = manager;
    const isAsRead = read?.set === set && read.entry.fieldsType === 'FieldsV1';
    entries.push(remembered(isAsRead ? atTime(read.entry, time) : entryOf(manager), set));
    if (!isAsRead) yield;
  }
  const meta = { ...metaOf(object) };
  if (entries.length > 0) meta.managedFields = entries;
  else delete meta.managedFields;
  object['metadata'] = meta;
}
/** What is owned stayed the same; only when it was written may have changed. */
const atTime = (entry: ManagedFieldsEntry, time: string): ManagedFieldsEntry =>
  (entry.time ?? '') === time ? entry : { ...entry, time };
const entryOf = (manager: Manager): ManagedFieldsEntry => ({
  manager: manager.name,
  operation: manager.operation,
  apiVersion: manager.apiVersion,
  ...(manager.time && { time: manager.time }),
  fieldsType: 'FieldsV1',
  fieldsV1: manager.set.toJson(),
  ...(manager.subresource && { subresource: manager.subresource }),
});
const byText = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);
const inOrder = (left: Manager, right: Manager): number =>
  byText(left.operation, right.operation) ||
  byText(left.time, right.time) ||
  byText(left.name, right.name) ||
  byText(left.apiVersion, right.apiVersion) ||
  byText(left.subresource, right.subresource);

export const isSameManager = (manager: Manager, name: string, operation: string, subresource: string): boolean =>
  manager.name === name && manager.operation === operation && manager.subresource === subresource;

/** What belongs to the server, whoever writes it; of the metadata also the place itself. */
export const serverOwned: { readonly root: ReadonlySet<string>; readonly metadata: ReadonlySet<string> } = {
  root: new Set(['apiVersion', 'kind']),
  metadata: new Set([
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'generation',
    'managedFields',
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ]),
};
const keysOf = (names: ReadonlySet<string>): JsonObject =>
  Object.fromEntries([...names].map((name) => [`f:${name}`, {}]));
const notOwned = FieldSet.fromJson({
  ...keysOf(serverOwned.root),
  'f:metadata': { '.': {}, ...keysOf(serverOwned.metadata) },
});
export function ownable(set: FieldSet, subresource: string): FieldSet {
  const result = set.without(notOwned).copy();
  result.own = false;
  // A write to the object does not reach its status; one to /status reaches nothing else.
  if (!subresource) result.delete('f:status');
  if (subresource === 'status')
    for (const key of [...result.children.keys()]) if (key !== 'f:status' && key !== 'f:metadata') result.delete(key);
  return result;
}

export interface Conflict {
  readonly manager: Manager;
  readonly path: readonly string[];
}
function managerText(manager: Manager): string {
  if (manager.operation === 'Apply') return JSON.stringify(manager.name);
  const subresource = manager.subresource ? ` with subresource ${JSON.stringify(manager.subresource)}` : '';
  return `${JSON.stringify(manager.name)}${subresource} using ${manager.apiVersion}`;
}
/** 409 with a cause for each field that somebody else owns. */
export function conflictError(conflicts: readonly Conflict[]): StatusError {
  const causes = conflicts.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${managerText(manager)}`,
    field: pathText(path),
  }));
  let text = `conflict: ${causes[0]!.message}: ${causes[0]!.field}`;
  if (conflicts.length > 1) {
    const groups = Map.groupBy(conflicts, ({ manager }) => managerText(manager));
    const lines = [...groups]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([manager, list]) => [`conflicts with ${manager}:`, ...list.map(({ path }) => `- ${pathText(path)}`)]);
    text = `conflicts: ${lines.join('\n')}`;
  }
  return new StatusError(409, 'Conflict', `Apply failed with ${conflicts.length} ${text}`, { causes });
}
