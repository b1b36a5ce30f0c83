import { errors, fieldErrors, invalidObject } from '#api';
import { mediaTypeOf, parseJson, readObject, readText } from '../body.ts';
import type { CachedObject } from '../cached-object.ts';
import type { AnyObject, JsonObject, ServedKind } from '../contract.ts';
import { type Call, mustGet } from '../core.ts';
import { converted } from '../create-object.ts';
import { unsupportedMedia } from '../negotiate.ts';
import { updateObject } from '../update-object.ts';
import { valueAnswer } from '../write-answer.ts';

interface Scale extends JsonObject {
  metadata: JsonObject;
  spec: { replicas?: number };
}

/** GET, PUT and PATCH of autoscaling/v1 Scale over an object that has replicas. */
export async function scale(call: Call): Promise<Response> {
  if (call.info.verb === 'get') {
    const current = await converted(mustGet(call));
    const path = call.served.scale!.specReplicas;
    if (call.served.schema && valueAt(current.object, path) === undefined)
      throw errors.internal(`the spec replicas field ".${path}" does not exist`);
    return valueAnswer(call, scaleOf(call.served, current));
  }
  const build = call.info.verb === 'update' ? await fromBody(call) : await fromPatch(call);
  const next = await updateObject(call, {
    verb: call.info.verb as 'update' | 'patch',
    subresource: 'scale',
    build(current) {
      const wanted = build(scaleOf(call.served, current));
      const replicas = wanted.spec?.replicas ?? 0;
      // Custom kinds have their own words for it, and check it themselves.
      if (!Number.isInteger(replicas) || (replicas < 0 && !call.served.schema)) {
        throw invalidObject('Scale', 'autoscaling', current.name, [
          fieldErrors.invalid('spec.replicas', replicas, 'must be greater than or equal to 0'),
        ]);
      }
      const draft = current.draft();
      const asked = wanted.metadata['resourceVersion'];
      if (typeof asked === 'string' && asked) draft.metadata.resourceVersion = asked;
      else delete draft.metadata.resourceVersion;
      setAt(draft, call.served.scale!.specReplicas, replicas);
      return draft;
    },
  });
  return valueAnswer(call, scaleOf(call.served, next));
}

async function fromBody(call: Call): Promise<(current: Scale) => Scale> {
  const { value } = await readObject(call.request);
  if (value['kind'] && value['kind'] !== 'Scale')
    throw errors.badRequest(`${String(value['kind'])} cannot be handled as a Scale`);
  return () => ({
    ...value,
    metadata: (value['metadata'] ?? {}) as JsonObject,
    spec: (value['spec'] ?? {}) as Scale['spec'],
  });
}

async function fromPatch(call: Call): Promise<(current: Scale) => Scale> {
  const media = mediaTypeOf(call.request);
  const text = await readText(call.request);
  const body = parseJson(text).value;
  const { patches } = call.core;
  if (media === 'application/json-patch+json') return (current) => patches.applyJsonPatch(current, body) as Scale;
  if (media !== 'application/merge-patch+json' && media !== 'application/strategic-merge-patch+json') {
    throw unsupportedMedia([
      'application/json-patch+json',
      'application/merge-patch+json',
      'application/strategic-merge-patch+json',
    ]);
  }
  return (current) => {
    const version = text.includes('resourceVersion') ? current.metadata['resourceVersion'] : undefined;
    const base = { ...current, metadata: { ...current.metadata, resourceVersion: version } };
    return patches.applyMergePatch(base, body as JsonObject) as Scale;
  };
}

function scaleOf(served: ServedKind, { object, version }: CachedObject): Scale {
  const { name, namespace, uid, creationTimestamp } = object.metadata;
  const selector = served.scale?.selector?.(object);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion: version, creationTimestamp },
    spec: { replicas: numberAt(object, served.scale!.specReplicas) },
    status: { replicas: numberAt(object, served.scale!.statusReplicas), ...(selector ? { selector } : {}) },
  };
}

const valueAt = (object: Readonly<AnyObject>, path: string): unknown =>
  path.split('.').reduce<unknown>((at, part) => (at as JsonObject | undefined)?.[part], object);
const numberAt = (object: Readonly<AnyObject>, path: string): number => Number(valueAt(object, path) ?? 0);

function setAt(object: JsonObject, path: string, value: unknown): void {
  const parts = path.split('.');
  let at = object;
  for (const part of parts.slice(0, -1)) at = (at[part] ??= {}) as JsonObject;
  at[parts.at(-1)!] = value;
}
