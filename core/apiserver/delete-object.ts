import { errors, type FieldError, fieldErrors, invalidObject, isReason, StatusError } from '#api';
import { timeText } from '#base';
import { AdmissionRun } from './admit.ts';
import { CachedObject, encodeStored } from './cached-object.ts';
import type { AnyObject, JsonObject } from './contract.ts';
import { type Call, conflictOf, resourceText } from './core.ts';
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
  const asked = query.get('gracePeriodSeconds');
  const grace = body?.['gracePeriodSeconds'] ?? (asked === null ? undefined : integerOf(asked));
  if (grace !== undefined && grace !== null && (typeof grace !== 'number' || grace < 0)) {
    throw errors.badRequest('gracePeriodSeconds: Invalid value: must be a non-negative integer');
  }
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
    gracePeriodSeconds: (grace as number | null | undefined) ?? undefined,
    propagationPolicy: (policy as DeleteOptions['propagationPolicy']) ?? legacy,
    preconditions: body?.['preconditions'] as DeleteOptions['preconditions'],
    dryRun: dryRun.length > 0,
  };
}
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
    if (!current) throw errors.notFound(resourceText(served.kind), name);
    checkPreconditions(call, current, options);
    const admission = new AdmissionRun(call, 'DELETE');
    await admission.validate(undefined, current.object);
    const marked = markDeleted(call, current, options);
    try {
      if (marked === 'already') return { object: current, gone: false };
      if (isReadyToGo(marked)) {
        if (call.dryRun || options.dryRun) return { object: current, gone: true };
        const gone = await core.store.delete(current.key, current.version);
        await core.cache.waitFor(gone.version);
        return { object: current.at(gone.version), gone: true };
      }
      const bytes = encodeStored(served, marked);
      if (call.dryRun || options.dryRun)
        return { object: new CachedObject(served, current.key, current.version, bytes), gone: false };
      const entry = await core.store.update(current.key, bytes, current.version);
      await core.cache.waitFor(entry.version);
      return { object: CachedObject.of(served, entry), gone: false };
    } catch (error) {
      if (isReason(error, 'NotFound')) throw errors.notFound(resourceText(served.kind), name);
      if (!isReason(error, 'Conflict')) throw error;
      if (attempt >= attemptsMax) throw conflictOf(served.kind, name);
      await core.cache.fresh(); // the faster one may have written through another server
    }
  }
}

function checkPreconditions(call: Call, current: CachedObject, { preconditions }: DeleteOptions): void {
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
  if (preconditions?.uid && preconditions.uid !== uid)
    throw refuse('UID', preconditions.uid, uid, 'The object might have been deleted and then recreated');
  if (preconditions?.resourceVersion && preconditions.resourceVersion !== current.version)
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
  const asked = call.served.strategy.gracePeriodSeconds?.(next, options.gracePeriodSeconds);
  const before = JSON.stringify([metadata.deletionTimestamp, metadata.deletionGracePeriodSeconds, metadata.finalizers]);
  if (!metadata.deletionTimestamp) call.served.strategy.prepareForDelete?.(next);
  const finalizers = new Set(metadata.finalizers ?? []);
  const policy =
    options.propagationPolicy ?? (current.served.kind.kind === 'ReplicationController' ? 'Orphan' : undefined);
  if (policy && !metadata.deletionTimestamp) {
    finalizers.delete(orphanFinalizer);
    finalizers.delete(foregroundFinalizer);
    if (policy === 'Orphan') finalizers.add(orphanFinalizer);
    if (policy === 'Foreground') finalizers.add(foregroundFinalizer);
    if (finalizers.size > 0) metadata.finalizers = [...finalizers];
    else delete metadata.finalizers;
  }
  let grace = asked ?? 0;
  if (metadata.deletionTimestamp) grace = Math.min(grace, metadata.deletionGracePeriodSeconds ?? 0);
  if (!metadata.deletionTimestamp || grace < (metadata.deletionGracePeriodSeconds ?? 0)) {
    metadata.deletionTimestamp = timeText(call.nowMs + grace * 1000);
    metadata.deletionGracePeriodSeconds = grace;
    if (grace > 0 && metadata.generation) metadata.generation++;
  }
  if (next.kind === 'Namespace') {
    delete metadata.deletionGracePeriodSeconds;
    next['status'] = { ...(next['status'] as object), phase: 'Terminating' };
  }
  const after = JSON.stringify([metadata.deletionTimestamp, metadata.deletionGracePeriodSeconds, metadata.finalizers]);
  return before === after && !isReadyToGo(next) ? 'already' : next;
}
