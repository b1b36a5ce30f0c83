import { errors, type Field, fieldErrors, invalidObject, type ManagedFieldsEntry } from '#api';
import type { JsonObject, Patches } from '../contract.ts';
import { createdFields } from './created-fields.ts';
import { FieldSet } from './field-set.ts';
import {
  type Conflict,
  conflictError,
  isSameManager,
  type Manager,
  metaOf,
  ownable,
  readManagers,
  writeManagers,
  writeManagersInSteps,
} from './managed.ts';
import { compare, fieldsOf, mergeTyped, removeTyped, rootShape } from './typed.ts';

const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
const managerNameMax = 128;

/** Server-side apply. What the manager named before and names no more goes, unless somebody else owns it. */
export const serverSideApply: Patches['serverSideApply'] = (typeId, live, config, options) => {
  checkApply(config, options.manager);
  const shape = rootShape(typeId);
  const subresource = options.subresource ?? '';
  const managers = liveManagers(typeId, live, options.nowMs);
  const named = ownable(fieldsOf(shape, config), subresource);
  const mine = managers.find((manager) => isSameManager(manager, options.manager, 'Apply', subresource));
  const wanted = mine?.set.equals(named) ? mine.set : named; // most applies name what they named before
  const others = managers.filter((manager) => manager !== mine);

  const allowed = onlyWritable(config, subresource);
  let merged = (live ? mergeTyped(shape, live, allowed) : structuredClone(allowed)) as JsonObject;
  if (mine && wanted !== mine.set) {
    const kept = others.reduce((set, other) => set.union(other.set), wanted);
    merged = removeTyped(shape, merged, mine.set.without(wanted), kept) as JsonObject;
  }

  const changed = live ? compare(shape, live, merged).changed.intersect(wanted) : new FieldSet();
  const conflicts: Conflict[] = others.flatMap((manager) =>
    [...manager.set.intersect(changed).paths()].map((path) => ({ manager, path })),
  );
  if (conflicts.length > 0 && !options.force) throw conflictError(conflicts);
  for (const other of others) other.set = other.set.without(changed);

  const same = mine?.set === wanted && live !== undefined && changed.isEmpty;
  const apiVersion = String(config['apiVersion'] ?? '');
  const entry: Manager = {
    name: options.manager,
    operation: 'Apply',
    apiVersion,
    subresource,
    time: mine && same ? mine.time : timeText(options.nowMs),
    set: wanted,
    read: mine?.apiVersion === apiVersion && mine.time ? mine.read : undefined,
  };
  const result = { ...merged };
  writeManagers(result, [...others, entry]);
  return result;
};

function checkApply(config: JsonObject, manager: string): void {
  if (!manager)
    throw invalidObject('PatchOptions', 'meta.k8s.io', '', [
      fieldErrors.required('fieldManager', 'is required for apply patch'),
    ]);
  if (manager.length > managerNameMax)
    throw invalidObject('PatchOptions', 'meta.k8s.io', '', [fieldErrors.tooLong('fieldManager', managerNameMax)]);
  if (metaOf(config).managedFields) throw errors.badRequest('metadata.managedFields must be nil');
}

/** The status is no part of an apply to the object, and the reverse. */
function onlyWritable(config: JsonObject, subresource: string): JsonObject {
  if (subresource === 'status') {
    const { apiVersion, kind, metadata, status } = config;
    return { apiVersion, kind, metadata, ...(status !== undefined && { status }) };
  }
  const { status: _status, ...rest } = config;
  return rest;
}

/** An object that nobody tracked yet belongs to one collective manager, so that the first apply meets conflicts. */
function liveManagers(typeId: string | Field, live: JsonObject | undefined, nowMs: number): Manager[] {
  const managers = readManagers(live);
  if (!live || managers.length > 0) return managers;
  const set = FieldSet.fromJson(createdFields(typeId, live) ?? {});
  return [
    {
      name: 'before-first-apply',
      operation: 'Update',
      apiVersion: String(live['apiVersion'] ?? ''),
      subresource: '',
      time: timeText(nowMs),
      set,
    },
  ];
}

/** The fields that such a write can own; the others need no comparison. */
function reachedBy(subresource: string, object: JsonObject): JsonObject {
  const metadata = { ...metaOf(object), managedFields: undefined };
  if (subresource === 'status') return { metadata, status: object['status'] };
  return subresource === '' ? { ...object, metadata, status: undefined } : { ...object, metadata };
}

/** Every other write: what it changes is the writer's from now on. A write that changes nothing changes no owner and no time. */
export const trackUpdate: Patches['trackUpdate'] = (...tracked) => {
  for (const _step of trackUpdateInSteps(...tracked));
};
export const trackUpdateInSteps: Patches['trackUpdateInSteps'] = function* (typeId, live, next, options) {
  const shape = rootShape(typeId);
  const subresource = options.subresource ?? '';
  const given = metaOf(next).managedFields;
  // One empty entry is how a client asks to forget all owners.
  const reset = given?.length === 1 && !given[0]?.operation;
  // An object that nobody's fields are known of is not tracked before its first apply, as upstream.
  if (live && !reset && !given?.length && !metaOf(live).managedFields?.length) return;
  if (!live && !given && !subresource) {
    trackCreation(typeId, next, options);
    return;
  }
  // Most clients send back what they got: what was made of it then is still known.
  const isSame = Bun.deepEquals(given, metaOf(live).managedFields, false);
  const managers = reset ? [] : readManagers(given?.length && !isSame ? next : live);
  yield;
  const { changed, removed } = compare(shape, reachedBy(subresource, live ?? {}), reachedBy(subresource, next));
  const taken = ownable(changed, subresource);
  const touched = removed.isEmpty ? taken : ownable(changed.union(removed), subresource);
  yield;
  if (reset || touched.isEmpty) {
    writeManagers(next, managers);
    return;
  }
  const name = options.manager;
  const mine = managers.find((manager) => isSameManager(manager, name, 'Update', subresource));
  for (const manager of managers) {
    manager.set = manager.set.without(manager === mine ? removed : touched);
    if (manager.set.children.size > 0 && manager !== mine) yield;
  }
  const before = mine?.set ?? new FieldSet();
  const apiVersion = String(next['apiVersion'] ?? '');
  const entry: Manager = {
    name,
    operation: 'Update',
    apiVersion,
    subresource,
    time: timeText(options.nowMs),
    set: before.union(taken),
    read: mine?.apiVersion === apiVersion && mine.time ? mine.read : undefined,
  };
  yield* writeManagersInSteps(next, [...managers.filter((manager) => manager !== mine), entry]);
};

function trackCreation(typeId: string | Field, next: JsonObject, options: { manager: string; nowMs: number }): void {
  const fieldsV1 = createdFields(typeId, next);
  if (!fieldsV1) return;
  const entry: ManagedFieldsEntry = {
    manager: options.manager,
    operation: 'Update',
    apiVersion: String(next['apiVersion'] ?? ''),
    time: timeText(options.nowMs),
    fieldsType: 'FieldsV1',
    fieldsV1,
  };
  next['metadata'] = { ...metaOf(next), managedFields: [entry] };
}
