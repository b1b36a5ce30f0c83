import { apiVersionOf, errors, type Field, StatusError } from '#api';
import { messageOf, parseExactly } from '#base';
import { type Body, mediaTypeOf, parseConfiguration, parseJson, readText } from '../body.ts';
import type { AnyObject, JsonObject } from '../contract.ts';
import { type Call, managerOf, turn } from '../core.ts';
import { createObject } from '../create-object.ts';
import { decodePatched, patchedText, refuseBig, report } from '../decode.ts';
import { decodeKind, patchTypeOf } from '../kind-schema.ts';
import { unsupportedMedia } from '../negotiate.ts';
import { isTrue } from '../request-info.ts';
import { updateObject } from '../update-object.ts';
import { objectAnswer } from '../write-answer.ts';

export const patchTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

export async function patch(call: Call): Promise<Response> {
  const media = mediaTypeOf(call.request);
  const known = Object.values(patchTypes).includes(media);
  if (!known) throw new StatusError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
  const text = await readText(call.request);
  if (media === patchTypes.apply) return apply(call, await parseConfiguration(text));
  if (media === patchTypes.strategic && !call.core.schema?.has(call.served.kind.type)) {
    throw unsupportedMedia([patchTypes.json, patchTypes.merge, patchTypes.apply]);
  }
  const { value, faults, bigNumber } = parsedPatch(text, media);
  let unused: unknown = value;
  /** Decoding changes what it is given: each use needs one of its own. */
  const fresh = (): unknown => {
    const body = unused ?? parsedPatch(text, media).value;
    unused = undefined;
    return body;
  };
  refuseBig(call, bigNumber);
  const next = await updateObject(call, {
    verb: 'patch',
    subresource: call.info.subresource,
    build: async (current) => {
      const draft = current.draft();
      await turn(call, current);
      const version = draft.metadata.resourceVersion;
      const object = patched(call, media, draft, fresh());
      await turn(call, current);
      const again = () => patchedText(patched(call, media, current.draft(), fresh()));
      const result = decodePatched(call, object, faults, again);
      if (!result.metadata?.name)
        throw errors.badRequest(
          `the name of the object (${call.info.name} based on URL) was undeterminable: name must be provided`,
        );
      // A patch that does not speak of the version is retried; one that names it is held to it.
      if (result.metadata.resourceVersion === version && !text.includes('resourceVersion'))
        delete result.metadata.resourceVersion;
      return result;
    },
  });
  return objectAnswer(call, next);
}

export function parsedPatch(text: string, media: string): ReturnType<typeof parseJson> {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw errors.badRequest(
      media === patchTypes.json ? `error decoding patch: ${messageOf(error)}` : 'invalid JSON patch',
    );
  }
}
const goName = (value: unknown): string =>
  Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : value === null ? 'null' : typeof value;

export function patched(call: Call, media: string, current: AnyObject, body: unknown): JsonObject {
  const { patches } = call.core;
  if (media === patchTypes.json) return patches.applyJsonPatch(current, body);
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw errors.badRequest(
      `error decoding patch: json: cannot unmarshal ${goName(body)} into Go value of type map[string]interface {}`,
    );
  return media === patchTypes.merge
    ? patches.applyMergePatch(current, body as JsonObject)
    : patches.applyStrategicPatch(call.served.kind.type, current, body as JsonObject);
}

/** An applied configuration is typed by the schema: what is not in it is refused, whatever fieldValidation says. */
function refuseUnknown(call: Call, config: JsonObject): void {
  const { kind } = call.served;
  const copy = parseExactly(JSON.stringify(config)) as JsonObject; // a structured clone takes 20 times as long
  copy['metadata'] ??= {};
  const lines = [
    ...decodeKind(call.core, call.served, copy).unknown.map((path) => `.${path}: field not declared in schema`),
    ...(call.served.schema ? repeatedEntries(call.served.schema.owned, config, '') : []),
  ];
  if (lines.length === 0) return;
  const { namespace = '', name = '' } = (config['metadata'] ?? {}) as { namespace?: string; name?: string };
  const text = lines.length === 1 ? lines[0]! : `errors:\n  ${lines.join('\n  ')}`;
  throw new StatusError(
    500,
    '',
    `failed to create typed patch object (${namespace}/${name}; ${kind.group}/${kind.version}, Kind=${kind.kind}): ${text}`,
  );
}

/** Elements of sets and keyed lists that come twice: nobody could tell which one is meant. */
function repeatedEntries(field: Field, value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if (!Array.isArray(value))
    return Object.entries(value).flatMap(([name, inner]) => {
      const below = field.fields?.[name] ?? (field.type === 'map' ? field.items : undefined);
      return below && below.type !== 'ref' ? repeatedEntries(below, inner, `${path}.${name}`) : [];
    });
  const entries: unknown[] = value;
  const keyOf = (element: unknown): string =>
    field.listType === 'set'
      ? `[=${JSON.stringify(element)}]`
      : `[${(field.listMapKeys ?? [])
          .map((key) => `${key}=${JSON.stringify((element as JsonObject | null)?.[key])}`)
          .join(',')}]`;
  const isKeyed = field.listType === 'set' || field.listType === 'map';
  const keys = isKeyed ? entries.map(keyOf) : [];
  const twice = new Set(keys.filter((key, index) => keys.indexOf(key) < index));
  return [
    ...[...twice].map((key) => `${path}: duplicate entries for key ${key}`),
    ...(field.items
      ? entries.flatMap((one, index) => repeatedEntries(field.items!, one, path + (keys[index] ?? `[${index}]`)))
      : []),
  ];
}

/** Keys that come twice in a configuration, whose reader takes JSON for YAML too. */
function reportTwice(call: Call, faults: readonly string[]): void {
  report(call, faults, () =>
    errors.badRequest(`error strict decoding patch: error converting YAML to JSON: ${faults.join(', ')}`),
  );
}

/** Server-side apply: creates what is not there. */
async function apply(call: Call, { value: config, faults, bigNumber }: Body): Promise<Response> {
  refuseBig(call, bigNumber);
  reportTwice(call, faults);
  const { info, served, core } = call;
  const { kind } = served;
  const manager = info.query.get('fieldManager') ?? '';
  if (config['apiVersion'] !== apiVersionOf(kind) || config['kind'] !== kind.kind) {
    throw errors.badRequest(
      `invalid object type: ${String(config['apiVersion'] ?? '')}, Kind=${String(config['kind'] ?? '')} for ${apiVersionOf(kind)}, Kind=${kind.kind}`,
    );
  }
  refuseUnknown(call, config);
  const options = {
    manager: manager || managerOf(call),
    force: isTrue(info.query.get('force')),
    subresource: info.subresource || undefined,
    nowMs: call.nowMs,
  };
  const namespace = kind.namespaced ? info.namespace : '';
  if (!call.resources.get(namespace, info.name) && !info.subresource) {
    const made = decodePatched(call, core.patches.serverSideApply(patchTypeOf(served), undefined, config, options));
    made.metadata.name = info.name;
    return objectAnswer(call, await createObject(call, made), 201);
  }
  const next = await updateObject(call, {
    verb: 'patch',
    subresource: info.subresource,
    tracked: true,
    build: async (current) => {
      const draft = current.draft();
      await turn(call, current);
      const applied = core.patches.serverSideApply(patchTypeOf(served), draft, config, options);
      await turn(call, current);
      const result = decodePatched(call, applied);
      if (!(config['metadata'] as JsonObject | undefined)?.['resourceVersion']) delete result.metadata.resourceVersion;
      return result;
    },
  });
  return objectAnswer(call, next);
}
