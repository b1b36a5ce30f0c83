import { errors, fieldErrors, invalidObject, isReason, type ResourceVersion } from '#api';
import { randomSuffix, randomUuid, timeText } from '#base';
import type { Turn } from '../store/store.ts';
import { AdmissionRun } from './admit.ts';
import { CachedObject, encodeConverted, storeKey } from './cached-object.ts';
import type { AnyObject } from './contract.ts';
import { type Call, managerOf, resourceText, turn } from './core.ts';
import { applyKindDefaults, patchTypeOf } from './kind-schema.ts';
import { checkMetadata } from './strategies/rules/metadata.ts';
import { traceCreation } from './trace-creation.ts';

/** Attempts for a generated name before AlreadyExists reaches the client, as upstream. */
const generateAttemptsMax = 8;
/** Of a creation that others' keep coming before, each on another API server. */
const turnAttemptsMax = 16;
const generateBaseLength = 58; // 63 of a DNS label less the 5 of the suffix

/** The whole life of a creation, from a decoded object to its stored state. */
export async function createObject(call: Call, object: AnyObject): Promise<CachedObject> {
  const { core, served } = call;
  prepareMetadata(call, object);
  const admission = new AdmissionRun(call, 'CREATE');
  try {
    applyKindDefaults(core, served, object);
    served.strategy.defaults?.(object);
    await turn(call);
    // Before admission: what hooks add belongs to nobody, so that an apply without it does not take it away.
    if (!object.metadata.managedFields) {
      core.patches.trackUpdate(patchTypeOf(served), undefined, object, { manager: managerOf(call), nowMs: call.nowMs });
    }
    await turn(call);
    await admission.mutate(object);
    served.strategy.defaults?.(object);
    served.strategy.prepareForCreate(object, strategyRequest(call, 'create'));
    const generated = !object.metadata.name && Boolean(object.metadata.generateName);
    for (let attempt = 1; ; attempt++) {
      if (generated) {
        object.metadata.name = object.metadata.generateName!.slice(0, generateBaseLength) + randomSuffix(core.random);
      }
      try {
        const created = await judgeAndStore(call, object, admission);
        if (!call.dryRun) traceCreation(call, object);
        return created;
      } catch (error) {
        if (!isReason(error, 'AlreadyExists')) throw error;
        if (!generated || attempt >= generateAttemptsMax)
          throw errors.alreadyExists(resourceText(served.kind), object.metadata.name!);
      }
    }
  } catch (error) {
    admission.rollBack();
    throw error;
  } finally {
    if (call.dryRun) admission.rollBack();
  }
}

/** What others created in the same turn meanwhile is seen first, and the hooks judge again. */
async function judgeAndStore(call: Call, object: AnyObject, admission: AdmissionRun): Promise<CachedObject> {
  const { core } = call;
  const { reserved } = admission;
  for (let attempt = 1; ; attempt++) {
    validateObject(call, object);
    await admission.validate(object);
    await turn(call);
    try {
      return await store(call, object, admission.turn);
    } catch (error) {
      if (!admission.turn || !isReason(error, 'Conflict')) throw error;
      if (attempt >= turnAttemptsMax) throw errors.tooManyRequests('too many are created at the same time', 1);
    }
    admission.rollBack(reserved);
    await core.cache.waitFor(await core.store.version());
  }
}

async function store(call: Call, object: AnyObject, turn?: Turn): Promise<CachedObject> {
  const { core, served } = call;
  const key = storeKey(served.kind, object.metadata.namespace ?? '', object.metadata.name!);
  const bytes = await encodeConverted(served, object);
  if (call.dryRun) {
    if (call.resources.get(object.metadata.namespace ?? '', object.metadata.name!)) {
      throw errors.alreadyExists(resourceText(served.kind), object.metadata.name!);
    }
    return converted(new CachedObject(served, key, '' as ResourceVersion, bytes));
  }
  const settled = call.resources.expect(key, bytes, object, false);
  try {
    const entry = await core.store.create(key, bytes, turn);
    await core.cache.waitFor(entry.version);
    return await converted(call.resources.written(entry)); // before `settled`
  } finally {
    settled();
  }
}

function prepareMetadata(call: Call, object: AnyObject): void {
  const { kind } = call.served;
  const { metadata } = object;
  if (kind.namespaced) {
    if (metadata.namespace && metadata.namespace !== call.info.namespace) {
      throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
    if (!call.info.namespace) throw errors.badRequest('an empty namespace may not be set during creation');
    metadata.namespace = call.info.namespace;
  } else delete metadata.namespace;
  if (metadata.resourceVersion) throw errors.badRequest('resourceVersion should not be set on objects to be created');
  if (!metadata.name && !metadata.generateName) {
    throw invalidObject(kind.kind, kind.group, '', [
      fieldErrors.required('metadata.name', 'name or generateName is required'),
    ]);
  }
  for (const field of [
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'selfLink',
    'generation',
  ] as const) {
    delete metadata[field];
  }
  metadata.uid = randomUuid(call.core.random);
  metadata.creationTimestamp = timeText(call.nowMs);
}

/** Ready to be answered. */
export function converted(object: CachedObject): CachedObject | Promise<CachedObject> {
  return object.needsConversion ? CachedObject.convert([object]).then(() => object) : object;
}

export function validateObject(
  call: Call,
  object: AnyObject,
  current?: Readonly<AnyObject>,
  subresource?: string,
): void {
  const { kind, strategy } = call.served;
  const isPlain = call.served.schema !== undefined || call.served.plainMetadata === true;
  const mistakes = [
    ...(isPlain ? checkMetadata(object, current, undefined, true) : []),
    ...(call.core.schema?.has(kind.type) ? call.core.schema.validate(kind.type, object) : []),
    ...strategy.validate(object, current, subresource),
  ];
  if (mistakes.length > 0) throw invalidObject(kind.kind, kind.group, object.metadata.name ?? '', mistakes);
  for (const warning of strategy.warnings?.(object, current) ?? []) call.warnings.add(warning);
}

export const strategyRequest = (call: Call, verb: 'create' | 'update' | 'patch' | 'delete', subresource?: string) => ({
  verb,
  subresource: subresource || undefined,
  user: call.user,
  nowMs: call.nowMs,
});
