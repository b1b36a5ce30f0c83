import { apiVersionOf, errors, type FieldError, fieldErrors, invalidObject, StatusError } from '#api';
import { type Body, yamlFaults } from './body.ts';
import type { AnyKind, AnyObject, JsonObject } from './contract.ts';
import type { Call } from './core.ts';
import { faultsInOrder } from './json-scan.ts';
import { decodeKind } from './kind-schema.ts';

/** A body as an object of this kind: checked, pruned, with what fieldValidation asks reported. Throws 400. */
export function decodeObject(call: Call, body: Body, kind: AnyKind = call.served.kind): AnyObject {
  const object = body.value;
  refuseBig(call, body.bigNumber);
  if (call.served.schema && kind === call.served.kind) checkCustomType(object, kind);
  checkType(object, kind);
  object['apiVersion'] = apiVersionOf(kind);
  object['kind'] = kind.kind;
  object['metadata'] ??= {};
  const { unknown, errors: mistakes } = decodeFields(call, kind, object);
  if (mistakes.length > 0) throw errors.badRequest(`${handledAs(kind)}: ${mistakes.map(lineOf).join(', ')}`);
  report(call, faultLines(call, body, unknown), (text) => errors.badRequest(`${handledAs(kind)}: ${text}`));
  return object as AnyObject;
}

/**
 * The same for the result of a patch: what the patch brought in that is unknown is 422 under Strict, as upstream.
 * `shown`: its text before anything was taken out, for refusals. Whoever can make it again spares every patch that.
 */
export function decodePatched(
  call: Call,
  object: JsonObject,
  faults: readonly string[] = [],
  shown = textAsOfNow(object),
): AnyObject {
  const kind = call.served.kind;
  const { unknown, errors: mistakes } = decodeFields(call, kind, object);
  const refuse = (text: string) =>
    invalidPatch([
      { type: 'FieldValueInvalid', field: 'patch', message: `Invalid value: ${JSON.stringify(shown())}: ${text}` },
    ]);
  if (mistakes.length > 0) throw refuse(mistakes.map(lineOf).join(', '));
  report(call, [...faults, ...unknown.map(unknownLine)], refuse);
  return object as AnyObject;
}

/** A patched object as refusals show it. */
export const patchedText = ({ apiVersion, kind, metadata, ...rest }: JsonObject): string =>
  JSON.stringify({ apiVersion, kind, metadata: { ...(metadata as object), managedFields: undefined }, ...rest });
function textAsOfNow(object: JsonObject): () => string {
  const text = patchedText(object);
  return () => text;
}

/** Custom kinds keep integers of 64 bits; the code of built-in ones, and plugins that answer themselves, count with plain numbers. */
export function refuseBig({ served }: Call, bigNumber: string | undefined): void {
  if (bigNumber !== undefined && (!served.schema || served.rest))
    throw errors.badRequest(`the number ${bigNumber} is too large to be kept exactly`);
}

function decodeFields(call: Call, kind: AnyKind, object: JsonObject): { unknown: string[]; errors: FieldError[] } {
  if (kind === call.served.kind) return decodeKind(call.core, call.served, object);
  const schema = call.core.schema;
  return schema?.has(kind.type) ? schema.decode(kind.type, object) : { unknown: [], errors: [] };
}

function checkType(object: JsonObject, kind: AnyKind): void {
  const { apiVersion, kind: name } = object;
  if (name !== undefined && name !== '' && name !== kind.kind) {
    throw errors.badRequest(
      `${String(name)} in version "${versionPart(apiVersion)}" cannot be handled as a ${kind.kind}: no kind "${String(name)}" is registered for version "${apiVersionOf(kind)}" at this path`,
    );
  }
  if (apiVersion !== undefined && apiVersion !== '' && apiVersion !== apiVersionOf(kind)) {
    throw errors.badRequest(
      `${kind.kind} in version "${versionPart(apiVersion)}" cannot be handled as a ${kind.kind}: no kind "${kind.kind}" is registered for version "${String(apiVersion)}" at this path`,
    );
  }
}

/** Upstream words it otherwise where it knows no Go type. */
function checkCustomType(object: JsonObject, kind: AnyKind): void {
  const { apiVersion, kind: name } = object;
  const wanted = apiVersionOf(kind);
  const missing = !name ? 'Kind' : !apiVersion ? 'apiVersion' : undefined;
  if (missing) {
    const text = JSON.stringify(object);
    const start = text.length > shownBytes ? `${text.slice(0, shownBytes)} ...` : text;
    throw errors.badRequest(
      `the object provided is unrecognized (must be of type ${kind.kind}): Object '${missing}' is missing in '${text}' (${start})`,
    );
  }
  if (name !== kind.kind) {
    const { name: own = '' } = (object['metadata'] ?? {}) as { name?: string };
    const mistake = fieldErrors.invalid('kind', name, `must be ${kind.kind}`);
    throw invalidObject(String(name), kind.group, own, [mistake]);
  }
  if (apiVersion !== wanted)
    throw errors.badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${wanted})`,
    );
}
const shownBytes = 30;

const versionPart = (apiVersion: unknown): string => String(apiVersion ?? '').replace(/^.*\//, '');
/** Upstream does not say whose patch it is. */
const invalidPatch = (mistakes: readonly FieldError[]): StatusError => {
  const { message, details } = invalidObject('', '', '', mistakes);
  return new StatusError(422, 'Invalid', message, { causes: details?.causes });
};

const unknownLine = (path: string): string => `unknown field ${JSON.stringify(path)}`;
/** In the order of the text; of kinds with a schema of their own first what came twice, for upstream prunes them later. */
const faultLines = (call: Call, { faults, text }: Body, unknown: readonly string[]): string[] =>
  text !== undefined && !call.served.schema ? faultsInOrder(text, unknown) : [...faults, ...unknown.map(unknownLine)];

/** Tells of what strict decoding found as fieldValidation asks: a refusal, warnings or nothing. */
export function report(call: Call, lines: readonly string[], refuse: (text: string) => Error): void {
  const mode = call.info.query.get('fieldValidation') || 'Warn';
  if (lines.length === 0 || mode === 'Ignore') return;
  if (mode === 'Strict') throw refuse(`strict decoding error: ${lines.join(', ')}`);
  // A reader of YAML says all at once: each mistake is a warning of its own.
  for (const line of lines.join('\n').split('\n')) if (line !== yamlFaults) call.warnings.add(line.trim());
}

const handledAs = (kind: AnyKind): string =>
  `${kind.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}`;
/** The message names the place itself, as upstream's decoder does. */
const lineOf = (mistake: FieldError): string => mistake.message;
