import { apiVersionOf, errors, invalidObject, isReason, type KubeObject } from '#api';
import { AdmissionRun } from './admit.ts';
import { mediaTypeOf, readObject, readOptionalObject, readText } from './body.ts';
import type { CachedObject } from './cached-object.ts';
import type { AnyObject, ServedKind } from './contract.ts';
import { type Call, resourceText } from './core.ts';
import { decodeObject, decodePatched, refuseBig, report } from './decode.ts';
import { asOptions, checkPreconditions, type DeleteOptions, deleteOptionsOf } from './delete-object.ts';
import { unsupportedMedia } from './negotiate.ts';
import { restCallOf, restObject, restVersionOf } from './rest-object.ts';
import { watchRest } from './rest-watch.ts';
import { selectionOf } from './selection.ts';
import { parsedPatch, patched, patchTypes } from './verbs/patch.ts';
import { viewList, viewObject, viewOf } from './views.ts';
import { valueAnswer } from './write-answer.ts';

/** Kinds that somebody else answers for: what comes back is held against what was asked, named, and shown as any object is. */
type Handler = (call: Call) => Promise<Response | undefined>;
const handlers: Readonly<Record<string, Handler>> = {
  get: async (call) => objectAnswer(call, await current(call)),
  list,
  watch: (call) => watchRest(call, restCallOf(call)),
  create,
  update,
  patch,
  delete: remove,
  deletecollection: removeCollection,
};
export const restHandler = ({ kind }: ServedKind, verb: string): Handler | undefined =>
  kind.verbs?.includes(verb) && Object.hasOwn(handlers, verb) ? handlers[verb] : undefined;

/** Of a patch that names no version: between its reading and its writing somebody may have been faster. */
const patchTriesMax = 5;
/** Deletions of one request at once. */
const deletesMax = 8;

const objectAnswer = (call: Call, one: KubeObject, status = 200): Promise<Response> =>
  valueAnswer(call, viewObject(viewOf(call), restObject(call, one)), status);

/** Throws 404. */
async function current(call: Call): Promise<KubeObject> {
  const { object } = await call.served.rest!('get', restCallOf(call));
  if (!object) throw errors.notFound(resourceText(call.served.kind), call.info.name);
  return object;
}

async function listed(call: Call): Promise<{ objects: CachedObject[]; resourceVersion: string }> {
  const selection = selectionOf(call.served, call.info);
  const { items = [], resourceVersion } = await call.served.rest!('list', restCallOf(call));
  if (!Array.isArray(items)) throw errors.internal(`${resourceText(call.served.kind)}: the answer is no list`);
  const objects = (items as KubeObject[]).map((one) => restObject(call, one));
  return { objects: objects.filter((one) => selection.matches(one)), resourceVersion: restVersionOf(resourceVersion) };
}
async function list(call: Call): Promise<Response> {
  const { objects, resourceVersion } = await listed(call);
  const metadata = resourceVersion ? { resourceVersion } : {};
  return valueAnswer(call, viewList(viewOf(call), call.served, objects, metadata));
}

async function create(call: Call): Promise<Response> {
  const { kind } = call.served;
  const object = placed(call, decodeObject(call, await readObject(call.request, kind.kind)));
  const made = await admitted(call, 'CREATE', object, undefined, async (one) => {
    const answer = await call.served.rest!('create', restCallOf(call), one);
    if (!answer.object) throw errors.internal(`${resourceText(kind)}: nothing was answered for what was created`);
    return answer.object;
  });
  return objectAnswer(call, made, 201);
}
async function update(call: Call): Promise<Response> {
  const object = decodeObject(call, await readObject(call.request, call.served.kind.kind));
  return objectAnswer(call, await written(call, object, (await before(call))?.object as AnyObject));
}
function written(call: Call, object: AnyObject, current: AnyObject | undefined): Promise<KubeObject> {
  // As upstream: what an update brings into being is created.
  const operation = current === undefined && reads(call) ? 'CREATE' : 'UPDATE';
  return admitted(call, operation, placed(call, object), current, async (one) => {
    const answer = await call.served.rest!('update', restCallOf(call), one);
    if (!answer.object) throw errors.notFound(resourceText(call.served.kind), call.info.name);
    return answer.object;
  });
}

/** Through the admission chain and the kind's schema, as any object is. What hooks reserved is given back when it is refused. */
async function admitted(
  call: Call,
  operation: 'CREATE' | 'UPDATE',
  object: AnyObject,
  current: AnyObject | undefined,
  write: (object: AnyObject) => Promise<KubeObject>,
): Promise<KubeObject> {
  const { kind, strategy } = call.served;
  const admission = new AdmissionRun(call, operation);
  try {
    await admission.mutate(object, current);
    const mistakes = strategy.validate(object, current);
    if (mistakes.length > 0) throw invalidObject(kind.kind, kind.group, object.metadata.name ?? '', mistakes);
    await admission.validate(object, current);
    return await write(placed(call, object));
  } catch (error) {
    admission.rollBack();
    throw error;
  } finally {
    if (call.dryRun) admission.rollBack();
  }
}
const reads = ({ served }: Call): boolean => served.kind.verbs?.includes('get') ?? false;
/** What is there before a write, for who judges it; of a kind that cannot be read, nothing. */
async function before(call: Call): Promise<CachedObject | undefined> {
  const { object } = reads(call) ? await call.served.rest!('get', restCallOf(call)) : {};
  return object && restObject(call, object);
}
async function admitDeletion(call: Call, current: AnyObject, options: DeleteOptions): Promise<void> {
  await new AdmissionRun(call, 'DELETE', '', call.served.kind, asOptions(options)).validate(undefined, current);
}
/** The object that the path names, and no other. Throws 400. */
function placed({ info, served }: Call, object: AnyObject): AnyObject {
  const metadata = { ...object.metadata };
  if (info.name && metadata.name !== undefined && metadata.name !== info.name)
    throw errors.badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${info.name})`,
    );
  if (info.name) metadata.name = info.name;
  if (served.kind.namespaced) {
    if (metadata.namespace && metadata.namespace !== info.namespace)
      throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
    metadata.namespace = info.namespace;
  }
  return { ...object, apiVersion: apiVersionOf(served.kind), kind: served.kind.kind, metadata };
}

/** JSON and merge patches, of what `get` gives into what `update` takes: the kind has no schema that others would need. */
async function patch(call: Call): Promise<Response> {
  const media = mediaTypeOf(call.request);
  if (media !== patchTypes.json && media !== patchTypes.merge)
    throw unsupportedMedia([patchTypes.json, patchTypes.merge]);
  const text = await readText(call.request);
  const { value: body, faults, bigNumber } = parsedPatch(text, media);
  refuseBig(call, bigNumber);
  report(call, faults, () => errors.badRequest(`error strict decoding patch: ${faults.join(', ')}`));
  const namesVersion = text.includes('resourceVersion');
  for (let attempt = 1; ; attempt++) {
    const found = restObject(call, await current(call)).object as AnyObject;
    const next = decodePatched(call, patched(call, media, found, body));
    try {
      return await objectAnswer(call, await written(call, next, found));
    } catch (error) {
      if (namesVersion || attempt === patchTriesMax || !isReason(error, 'Conflict')) throw error;
    }
  }
}

async function remove(call: Call): Promise<Response> {
  const options = deleteOptionsOf((await readOptionalObject(call.request))?.value, call.info.query);
  const { uid, resourceVersion } = options.preconditions ?? {};
  const isHeld = uid !== undefined || resourceVersion !== undefined;
  const found = isHeld ? restObject(call, await current(call)) : await before(call);
  if (found && isHeld) checkPreconditions(call, found, options);
  const { name, namespace } = call.info;
  const metadata = { name, ...(call.served.kind.namespaced ? { namespace } : {}) };
  await admitDeletion(call, (found?.object as AnyObject) ?? placed(call, { metadata } as AnyObject), options);
  await call.served.rest!('delete', { ...restCallOf(call), dryRun: call.dryRun || options.dryRun === true });
  return valueAnswer(call, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' });
}
async function removeCollection(call: Call): Promise<Response> {
  const options = deleteOptionsOf((await readOptionalObject(call.request))?.value, call.info.query);
  const { objects } = await listed(call);
  const removed: CachedObject[] = [];
  const asked = { ...restCallOf(call), dryRun: call.dryRun || options.dryRun === true };
  let at = 0;
  const worker = async (): Promise<void> => {
    for (let index = at++; index < objects.length; index = at++) {
      const { namespace, name } = objects[index]!;
      try {
        await admitDeletion(call, objects[index]!.object as AnyObject, options);
        await call.served.rest!('delete', { ...asked, namespace, name });
        removed[index] = objects[index]!;
      } catch (error) {
        if (isReason(error, 'NotFound')) continue; // somebody else was faster
        at = objects.length; // one refusal ends it
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(deletesMax, objects.length) }, worker));
  return valueAnswer(call, viewList(viewOf(call), call.served, removed.filter(Boolean), {}));
}
