import { errors, type FieldError, fieldErrors, invalidObject, isReason, StatusError } from '#api';
import { timeText } from '#base';
import { AdmissionRun } from './admit.ts';
import { CachedObject, encodeConverted, encodeStored } from './cached-object.ts';
import type { AnyObject, JsonObject } from './contract.ts';
import { type Call, conflictOf, resourceText } from './core.ts';
import { converted } from './create-object.ts';
import { integerOf } from './list-options.ts';
import { isReadyToGo } from './update-object.ts';
import { dryRunMistakes } from './write-options.ts';

const attemptsMax = 8;
const orphanFinalizer = 'orphan';
const foregroundFinalizer = 'foregroundDeletion';

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly dryRun?: boolean;
}

/** Body, else query, as upstream. Throws 400 and 422. */
export function deleteOptionsOf(body: JsonObject | undefined, query: URLSearchParams): DeleteOptions {
  const kind = body?.['kind'];
  if (kind && kind !== 'DeleteOptions')
    throw errors.badRequest(`no kind ${JSON.stringify(kind)} is registered for version "${body['apiVersion']}"`);
  const asked = query.get('gracePeriodSeconds');
  const grace = body?.['gracePeriodSeconds'] ?? (asked === null ? undefined : integerOf(asked));
  if (grace !== undefined && grace !== null && typeof grace !== 'number')
    throw errors.badRequest(
      `json: cannot unmarshal ${jsonTypeOf(grace)} into Go struct field DeleteOptions.gracePeriodSeconds of type int64`,
    );
  const orphan =
    body?.['orphanDependents'] ??
    (query.has('orphanDependents') ? query.get('orphanDependents') === 'true' : undefined);
  const policy = body?.['propagationPolicy'] ?? query.get('propagationPolicy') ?? undefined;
  const mistakes: FieldError[] = [];
  if (orphan !== undefined && policy !== undefined)
    mistakes.push(
      fieldErrors.invalid('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'),
    );
  if (policy !== undefined && !policies.includes(String(policy)))
    mistakes.push({
      type: 'FieldValueNotSupported',
      field: 'propagationPolicy',
      message: `Unsupported value: ${JSON.stringify(policy)}: supported values: "Foreground", "Background", "Orphan", "nil"`,
    });
  const dryRun = Array.isArray(body?.['dryRun'])
    ? (body['dryRun'] as string[])
    : query.getAll('dryRun').filter(Boolean);
  mistakes.push(...dryRunMistakes(dryRun));
  if (mistakes.length > 0) throw invalidObject('DeleteOptions', 'meta.k8s.io', '', mistakes);
  const legacy = orphan === undefined ? undefined : orphan ? 'Orphan' : 'Background';
  return {
    gracePeriodSeconds: grace === undefined || grace === null ? undefined : grace < 0 ? 1 : grace, // as upstream
    propagationPolicy: (policy as DeleteOptions['propagationPolicy']) ?? legacy,
    preconditions: body?.['preconditions'] as DeleteOptions['preconditions'],
    dryRun: dryRun.length > 0,
  };
}
const jsonTypeOf = (value: unknown): string =>
  Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
const policies = ['Orphan', 'Background', 'Foreground'];

export interface Deletion {
  readonly object: CachedObject;
  /** False: marked, and waiting for its grace period or for finalizers. */
  readonly gone: boolean;
}

export async function deleteObject(
  call: Call,
  namespace: string,
  name: string,
  options: DeleteOptions,
): Promise<Deletion> {
  const { core, served, resources } = call;
  for (let attempt = 1; ; attempt++) {
    const current = resources.get(namespace, name);
    if (!current) {
      const sealed = resources.unreadable(namespace, name);
      if (sealed) return await deleteUnreadable(call, sealed, options);
      throw errors.notFound(resourceText(served.kind), name);
    }
    await CachedObject.convert([current]);
    checkPreconditions(call, current, options);
    const admission = new AdmissionRun(call, 'DELETE', '', served.kind, asOptions(options));
    await admission.validate(undefined, current.object);
    const marked = markDeleted(call, current, options);
    try {
      if (marked === 'already') return { object: current, gone: false };
      if (isReadyToGo(marked)) {
        const last = lastState(current, marked);
        if (call.dryRun || options.dryRun) return { object: last, gone: true };
        const gone = await core.store.delete(current.key, current.version);
        await core.cache.waitFor(gone.version);
        return { object: last.at(gone.version), gone: true };
      }
      const bytes = await encodeConverted(served, marked);
      if (call.dryRun || options.dryRun)
        return { object: await converted(new CachedObject(served, current.key, current.version, bytes)), gone: false };
      const entry = await core.store.update(current.key, bytes, current.version);
      await core.cache.waitFor(entry.version);
      return { object: await converted(CachedObject.of(served, entry)), gone: false };
    } catch (error) {
      if (isReason(error, 'NotFound')) throw errors.notFound(resourceText(served.kind), name);
      if (!isReason(error, 'Conflict')) throw error;
      if (attempt >= attemptsMax) throw conflictOf(served.kind, name);
      await core.cache.fresh(); // the faster one may have written through another server
    }
  }
}

export const asOptions = ({ gracePeriodSeconds, propagationPolicy, preconditions }: DeleteOptions): JsonObject =>
  JSON.parse(JSON.stringify({ gracePeriodSeconds, propagationPolicy, preconditions })) as JsonObject;

/** What is answered of what goes at once. Upstream marks a kind that can take its time before it removes it, and shows that. */
const lastState = (current: CachedObject, marked: AnyObject): CachedObject => {
  const { served, key, version } = current;
  if (!served.strategy.gracePeriodSeconds) return current;
  return new CachedObject(served, key, version, encodeStored(served, marked));
};

/** Of such an object only the name is known: nobody can be waiting for it, and a condition on its uid cannot be met. */
async function deleteUnreadable(call: Call, sealed: CachedObject, options: DeleteOptions): Promise<Deletion> {
  const { core, served } = call;
  const { uid, resourceVersion } = options.preconditions ?? {};
  if (uid || (resourceVersion && resourceVersion !== sealed.version)) throw conflictOf(served.kind, sealed.name);
  const named = nameOnly(sealed);
  await new AdmissionRun(call, 'DELETE').validate(undefined, named.object);
  if (call.dryRun || options.dryRun) return { object: named, gone: true };
  const gone = await core.store.delete(sealed.key, sealed.version);
  await core.cache.waitFor(gone.version);
  return { object: named.at(gone.version), gone: true };
}

/** What can be shown of an object that cannot be opened. */
export function nameOnly({ served, key, version, namespace, name }: CachedObject): CachedObject {
  const metadata = { name, ...(served.kind.namespaced && { namespace }) };
  const object = { apiVersion: '', kind: served.kind.kind, metadata } as AnyObject;
  return new CachedObject(served, key, version, encodeStored(served, object));
}

/** Throws 409. */
export function checkPreconditions(
  call: Call,
  current: CachedObject,
  { preconditions }: Pick<DeleteOptions, 'preconditions'>,
): void {
  const { kind } = call.served;
  const refuse = (what: string, asked: string, found: string, why: string) => {
    const text = `the ${what} in the precondition (${asked}) does not match the ${what} in record (${found}). ${why}`;
    const { code, reason, message } = errors.conflict(kind.kind, current.name, text);
    return new StatusError(code, reason, message, {
      name: current.name,
      group: kind.group || undefined,
      kind: kind.kind,
    });
  };
  const uid = current.object.metadata.uid ?? '';
  if (typeof preconditions?.uid === 'string' && preconditions.uid !== uid)
    throw refuse('UID', preconditions.uid, uid, 'The object might have been deleted and then recreated');
  if (typeof preconditions?.resourceVersion === 'string' && preconditions.resourceVersion !== current.version)
    throw refuse(
      'ResourceVersion',
      preconditions.resourceVersion,
      current.version,
      'The object might have been modified',
    );
}

/** The state that a deletion leads to; `already` when it changes nothing. */
function markDeleted(call: Call, current: CachedObject, options: DeleteOptions): AnyObject | 'already' {
  const next = current.draft();
  const { metadata } = next;
  const isFirst = !metadata.deletionTimestamp;
  const before = JSON.stringify([metadata.deletionTimestamp, metadata.deletionGracePeriodSeconds, metadata.finalizers]);
  if (isFirst) {
    call.served.strategy.prepareForDelete?.(next);
    const grace = call.served.strategy.gracePeriodSeconds?.(next, options.gracePeriodSeconds) ?? 0;
    metadata.deletionTimestamp = timeText(call.nowMs + grace * 1000);
    metadata.deletionGracePeriodSeconds = grace;
    if (metadata.generation) metadata.generation++;
  } else if (!shortenGrace(metadata, options.gracePeriodSeconds)) return 'already'; // nor can its finalizers be chosen anew
  if (next.kind === 'Namespace') {
    delete metadata.deletionGracePeriodSeconds;
    next['status'] = { ...(next['status'] as object), phase: 'Terminating' };
  }
  if (isFirst || next.kind !== 'Namespace') choosePolicy(next, options.propagationPolicy);
  const after = JSON.stringify([metadata.deletionTimestamp, metadata.deletionGracePeriodSeconds, metadata.finalizers]);
  return before === after && !isReadyToGo(next) ? 'already' : next;
}

/** Once it runs, a grace period can only become shorter, counted from its beginning. False: it runs on as it is. */
function shortenGrace(metadata: AnyObject['metadata'], askedSeconds: number | undefined): boolean {
  const runs = metadata.deletionGracePeriodSeconds ?? 0;
  if (runs === 0) return true;
  if (askedSeconds === undefined || askedSeconds >= runs) return false;
  metadata.deletionTimestamp = timeText(Date.parse(metadata.deletionTimestamp!) + (askedSeconds - runs) * 1000);
  metadata.deletionGracePeriodSeconds = askedSeconds;
  return true;
}

/** A policy that is named counts also for what is already being deleted; without one the object's finalizers decide, then its kind. */
function choosePolicy(next: AnyObject, asked: DeleteOptions['propagationPolicy']): void {
  const { metadata } = next;
  const held = metadata.finalizers ?? [];
  const undecided = !held.includes(orphanFinalizer) && !held.includes(foregroundFinalizer);
  const policy = asked ?? (undecided && next.kind === 'ReplicationController' ? 'Orphan' : undefined);
  if (!policy) return;
  const finalizers = held.filter((name) => name !== orphanFinalizer && name !== foregroundFinalizer);
  if (policy === 'Orphan') finalizers.push(orphanFinalizer);
  if (policy === 'Foreground') finalizers.push(foregroundFinalizer);
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
}
