import { errors, fieldErrors, invalidObject, isReason, type ObjectMeta, type ResourceVersion } from '#api';
import { AdmissionRun } from './admit.ts';
import { CachedObject, encodeConverted, encodeStored } from './cached-object.ts';
import type { AnyObject } from './contract.ts';
import { type Call, conflictOf, isHeavy, managerOf, mustGet, resourceText, turn } from './core.ts';
import { converted, strategyRequest, validateObject } from './create-object.ts';
import { applyKindDefaults, patchTypeOf } from './kind-schema.ts';

/** Attempts against concurrent writers when the client named no version. */
const attemptsMax = 8;

export interface Change {
  readonly verb: 'update' | 'patch';
  readonly subresource?: string;
  /** Makes the wanted state from a current one, which it may not change. Called again when another writer was faster. */
  build(current: CachedObject): AnyObject | Promise<AnyObject>;
  /** The built object already carries its managedFields (server-side apply). */
  readonly tracked?: boolean;
  /** The server itself makes a change that no update may make (a binding): the strategy is not asked. */
  readonly trusted?: boolean;
}

/** Reads, builds, admits, validates and stores; retries conflicts that are not the client's. */
export async function updateObject(call: Call, change: Change): Promise<CachedObject> {
  for (let attempt = 1; ; attempt++) {
    const current = await converted(mustGet(call));
    const next = await change.build(current);
    await turn(call, current);
    try {
      return await writeUpdate(call, change, current, next);
    } catch (error) {
      if (error !== lostRace || attempt >= attemptsMax)
        throw error === lostRace ? conflictOf(call.served.kind, call.info.name) : error;
      await call.core.cache.fresh(); // the faster one may have written through another server
    }
  }
}
const lostRace = new Error('another writer was faster');

async function writeUpdate(call: Call, change: Change, current: CachedObject, next: AnyObject): Promise<CachedObject> {
  const { core, served } = call;
  const before = current.object;
  const asked = next.metadata.resourceVersion;
  if (asked && asked !== current.version) throw conflictOf(served.kind, current.name);
  keepMetadata(call, next, before, change.tracked === true);
  const admission = new AdmissionRun(call, 'UPDATE', change.subresource);
  try {
    applyKindDefaults(core, served, next);
    served.strategy.defaults?.(next);
    await turn(call, current);
    // The status of a custom object is all that this changes, and all that its writer comes to own.
    if (served.schema && change.subresource === 'status' && !change.tracked)
      next.metadata = { ...before.metadata, resourceVersion: asked, managedFields: next.metadata.managedFields };
    if (!change.tracked) {
      const options = { manager: managerOf(call), subresource: change.subresource, nowMs: call.nowMs };
      if (!isHeavy(call, current)) core.patches.trackUpdate(patchTypeOf(served), before, next, options);
      else
        for (const _step of core.patches.trackUpdateInSteps(patchTypeOf(served), before, next, options))
          await core.clock.soon();
    }
    await turn(call, current);
    await admission.mutate(next, before);
    served.strategy.defaults?.(next);
    if (!change.trusted)
      served.strategy.prepareForUpdate(next, before, strategyRequest(call, change.verb, change.subresource));
    shareEqual(next, before);
    await turn(call, current);
    if (!change.trusted) validateObject(call, next, before, change.subresource);
    await admission.validate(next, before);
    await turn(call, current);
    return await store(call, current, next, Boolean(asked));
  } catch (error) {
    admission.rollBack();
    throw error;
  } finally {
    if (call.dryRun) admission.rollBack();
  }
}

async function store(call: Call, current: CachedObject, next: AnyObject, pinned: boolean): Promise<CachedObject> {
  const { core, served } = call;
  const bytes = await encodeConverted(served, next);
  if (isSame(served, current, next, bytes)) return current; // no change, no new version
  if (call.dryRun) return converted(new CachedObject(served, current.key, current.version, bytes));
  const settled = call.resources.expect(current.key, bytes, next, isOfClient(call));
  try {
    if (isReadyToGo(next)) {
      const gone = await core.store.delete(current.key, current.version);
      await core.cache.waitFor(gone.version);
      return converted(new CachedObject(served, current.key, gone.version, bytes));
    }
    const entry = await core.store.update(current.key, bytes, current.version);
    await core.cache.waitFor(entry.version);
    return await converted(call.resources.written(entry));
  } catch (error) {
    if (isReason(error, 'NotFound')) throw pinned ? errors.notFound(resourceText(served.kind), current.name) : lostRace;
    if (!isReason(error, 'Conflict')) throw error;
    throw pinned ? conflictOf(served.kind, current.name) : lostRace;
  } finally {
    settled();
  }
}

/** Marked as deleted, and nobody holds it any more. */
export function isReadyToGo(object: Readonly<AnyObject>): boolean {
  const { deletionTimestamp, finalizers, deletionGracePeriodSeconds } = object.metadata;
  if (!deletionTimestamp || (finalizers?.length ?? 0) > 0 || (deletionGracePeriodSeconds ?? 0) > 0) return false;
  const spec = object['spec'] as { finalizers?: unknown[] } | undefined;
  return !(object.kind === 'Namespace' && (spec?.finalizers?.length ?? 0) > 0);
}

function keepMetadata(call: Call, next: AnyObject, before: Readonly<AnyObject>, tracked: boolean): void {
  const { kind } = call.served;
  const { metadata } = next;
  const old = before.metadata;
  if (metadata.name && metadata.name !== old.name) {
    throw errors.badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${old.name})`,
    );
  }
  if (kind.namespaced && metadata.namespace && metadata.namespace !== old.namespace) {
    throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (metadata.uid && metadata.uid !== old.uid) {
    throw errors.conflict(
      resourceText(kind),
      old.name!,
      `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${old.uid}`,
    );
  }
  metadata.name = old.name;
  if (kind.namespaced) metadata.namespace = old.namespace;
  else delete metadata.namespace;
  const kept = [
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'generateName',
  ] as const;
  for (const field of kept) copyField(metadata, old, field);
  if (!tracked && metadata.managedFields === undefined) copyField(metadata, old, 'managedFields');
  delete metadata.selfLink;
  const present = new Set(old.finalizers);
  const added = (metadata.finalizers ?? []).filter((finalizer) => !present.has(finalizer));
  if (old.deletionTimestamp && added.length > 0) {
    throw invalidObject(kind.kind, kind.group, old.name!, [
      fieldErrors.forbidden(
        'metadata.finalizers',
        `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((text) => JSON.stringify(text)).join(', ')}}`,
      ),
    ]);
  }
}

function copyField<K extends keyof ObjectMeta>(target: ObjectMeta, source: Readonly<ObjectMeta>, field: K): void {
  if (source[field] === undefined) delete target[field];
  else target[field] = source[field];
}

/** Equal apart from the version and from the times of managedFields. */
function isSame(served: CachedObject['served'], current: CachedObject, next: AnyObject, bytes: Uint8Array): boolean {
  if (bytes.length !== current.storedLength) return false; // another time is as long as the old one
  if (current.isStoredAs(bytes)) return true;
  if (served.conversion) return false;
  // Almost every change shows in the first look at what it changed.
  const before = current.object;
  const { annotations, labels } = before.metadata;
  if (!isEqual(next.metadata.annotations, annotations) || !isEqual(next.metadata.labels, labels)) return false;
  for (const name in next)
    if (name !== 'metadata' && !isEqual(next[name], before[name as keyof AnyObject])) return false;
  const mine = next.metadata.managedFields;
  const old = before.metadata.managedFields;
  if (!mine || !old || mine.length !== old.length) return false;
  const unowned = ({ metadata }: Readonly<AnyObject>) => ({
    ...metadata,
    managedFields: undefined,
    resourceVersion: undefined,
  });
  if (!Bun.deepEquals(unowned(next), unowned(before), false)) return false;
  const untimed = (list: typeof mine) => list.map((entry) => ({ ...entry, time: undefined }));
  if (!Bun.deepEquals(untimed(mine), untimed(old), true)) return false;
  const timed = { ...next, metadata: { ...next.metadata, managedFields: old } };
  return current.isStoredAs(encodeStored(served, timed));
}
/** It came in a body that nobody else has; what the server writes by itself may be in other hands. */
const isOfClient = (call: Call): boolean => call.upgrade !== undefined;
const isEqual = (left: unknown, right: unknown): boolean => left === right || Bun.deepEquals(left, right, false);

/**
 * What is equal becomes the very same: what comes after compares in one step, and what is kept is kept once. Only when
 * nothing changes `next` any more.
 */
function shareEqual(next: AnyObject, before: Readonly<AnyObject>): void {
  const [target, source] = [next as Record<string, unknown>, before as unknown as Record<string, unknown>];
  for (const name in target) {
    const value = target[name];
    const isPart = name !== 'metadata' && typeof value === 'object' && value !== source[name];
    if (isPart && isEqual(value, source[name])) target[name] = source[name];
  }
}

export type { ResourceVersion };
