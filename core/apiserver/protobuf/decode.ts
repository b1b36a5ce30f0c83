import { errors } from '#api';
import { microTimeText, timeText } from '#base';
import type { JsonObject } from '../contract.ts';
import { scanJson } from '../json-scan.ts';

/** Struct id → field number → `jsonName:type`; an empty name is an inlined struct. See gen/generate.ts. */
export type Table = Readonly<Record<string, Readonly<Record<string, string>>>>;
const magic = [0x6b, 0x38, 0x73, 0x00]; // "k8s\0"
const depthMax = 100;

/** The Kubernetes envelope around a built-in object, as the JSON that it stands for. Throws 400. */
export function decodeProtobuf(bytes: Uint8Array, table: Table): JsonObject {
  if (!magic.every((byte, index) => bytes[index] === byte)) throw notProtobuf(bytes);
  let apiVersion = '';
  let kind = '';
  let raw: Uint8Array | undefined;
  for (const field of fieldsOf(bytes.subarray(4))) {
    if (field.number === 1) {
      for (const part of fieldsOf(field.bytes)) {
        if (part.number === 1) apiVersion = text(part.bytes);
        if (part.number === 2) kind = text(part.bytes);
      }
    } else if (field.number === 2) raw = field.bytes;
  }
  const id = structId(apiVersion, kind, table);
  if (!id)
    throw errors.badRequest(`${kind} in version ${JSON.stringify(apiVersion)} has no protobuf form here; send JSON`);
  return { ...decodeStruct(id, raw ?? new Uint8Array(), table, 0), apiVersion, kind };
}

function structId(apiVersion: string, kind: string, table: Table): string | undefined {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  const short = group!.split('.')[0];
  return [`${short}/${version}.${kind}`, `meta/v1.${kind}`].find((id) => Object.hasOwn(table, id));
}

function decodeStruct(id: string, bytes: Uint8Array, table: Table, depth: number): JsonObject {
  if (depth > depthMax) throw broken('it is nested too deeply');
  const known = table[id]!;
  const out: JsonObject = {};
  for (const field of fieldsOf(bytes)) {
    const spec = known[field.number];
    if (spec === undefined) continue;
    const colon = spec.indexOf(':');
    const name = spec.slice(0, colon);
    const pointer = spec[colon + 1] === '*';
    const type = spec.slice(colon + (pointer ? 2 : 1));
    if (name === '') Object.assign(out, decodeStruct(type.slice(1), field.bytes, table, depth + 1));
    else if (type.startsWith('[]')) {
      const list = (out[name] ??= []) as unknown[];
      list.push(fieldValue(type.slice(2), field, table, depth));
    } else if (type.startsWith('{}')) {
      const map = (out[name] ??= {}) as JsonObject;
      putEntry(map, type.slice(2), field.bytes, table, depth);
    } else {
      const value = fieldValue(type, field, table, depth);
      // Go writes fields that are no pointers even when they are empty; in JSON those are left out.
      if (value !== undefined && (pointer || !isEmpty(value))) out[name] = value;
    }
  }
  return out;
}

const isEmpty = (value: unknown): boolean =>
  value === '' ||
  value === 0 ||
  value === false ||
  (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0);

function putEntry(map: JsonObject, type: string, bytes: Uint8Array, table: Table, depth: number): void {
  let key = '';
  let value: unknown = type === 's' || type === 'y' ? '' : type.startsWith('[]') ? [] : {};
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) key = text(field.bytes);
    else if (field.number === 2) {
      // A list as a map's value is a message of its own in Go, with the elements as its field 1.
      value = type.startsWith('[]')
        ? [...fieldsOf(field.bytes)]
            .filter((one) => one.number === 1)
            .map((one) => fieldValue(type.slice(2), one, table, depth))
        : fieldValue(type, field, table, depth);
    }
  }
  if (key === '__proto__') throw errors.badRequest('the key "__proto__" is not allowed in an object');
  map[key] = value ?? null; // the zero time in a map
}

function fieldValue(type: string, field: Field, table: Table, depth: number): unknown {
  if (type.startsWith('@')) return decodeStruct(type.slice(1), field.bytes, table, depth + 1);
  switch (type) {
    case 's':
      return text(field.bytes);
    case 'b':
      return field.integer !== 0n;
    case 'i':
    case 'u':
      return safe(field.integer);
    case 'd':
      return field.bytes.length === 8
        ? new DataView(field.bytes.buffer, field.bytes.byteOffset, 8).getFloat64(0, true)
        : 0;
    case 'y':
      return Buffer.from(field.bytes).toString('base64');
    case 'q':
      return text(firstOf(field.bytes, 1)?.bytes ?? new Uint8Array());
    case 't':
    case 'm': {
      if (field.bytes.length === 0) return undefined; // the zero time
      const ms = safe(firstOf(field.bytes, 1)?.integer ?? 0n) * 1000;
      const nanos = safe(firstOf(field.bytes, 2)?.integer ?? 0n);
      return type === 't'
        ? timeText(ms)
        : microTimeText(ms).replace('.000000Z', `.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`);
    }
    case 'x':
      return firstOf(field.bytes, 1)?.integer === 1n
        ? text(firstOf(field.bytes, 3)?.bytes ?? new Uint8Array())
        : safe(firstOf(field.bytes, 2)?.integer ?? 0n);
    case 'l': // a list that is a message of its own, as APIResource's verbs
      return [...fieldsOf(field.bytes)].filter((one) => one.number === 1).map((one) => text(one.bytes));
    case 'B':
    case 'A':
    case 'S':
      return eitherValue(type, field.bytes, table, depth);
    default: {
      const raw = text(firstOf(field.bytes, 1)?.bytes ?? new Uint8Array()); // FieldsV1 and RawExtension hold JSON
      if (raw === '') return undefined;
      scanJson(raw); // the same limits as for any JSON body
      try {
        return JSON.parse(raw) as unknown;
      } catch {
        throw broken('it holds JSON that does not parse');
      }
    }
  }
}

const schemaProps = 'apiextensions/v1.JSONSchemaProps';
/** In schemas: one schema, or else a boolean, more schemas, names. */
function eitherValue(type: 'A' | 'B' | 'S', bytes: Uint8Array, table: Table, depth: number): unknown {
  const schema = (one: Field) => decodeStruct(schemaProps, one.bytes, table, depth + 1);
  const own = firstOf(bytes, type === 'B' ? 2 : 1);
  if (type === 'B') return own ? schema(own) : (firstOf(bytes, 1)?.integer ?? 0n) !== 0n;
  if (own) return schema(own);
  const rest = [...fieldsOf(bytes)].filter(({ number }) => number === 2);
  return type === 'A' ? rest.map(schema) : rest.map((one) => text(one.bytes));
}

interface Field {
  readonly number: number;
  /** Of varints. */
  readonly integer: bigint;
  /** Of everything else. */
  readonly bytes: Uint8Array;
}
const none = new Uint8Array();

function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw broken('it ends too early');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw broken('a number is too long');
  };
  while (at < bytes.length) {
    const tag = safe(varint());
    const wire = tag & 7;
    const number = tag >>> 3;
    if (wire === 0) yield { number, integer: varint(), bytes: none };
    else {
      const size = wire === 2 ? safe(varint()) : wire === 1 ? 8 : wire === 5 ? 4 : -1;
      if (size < 0 || at + size > bytes.length) throw broken('it ends too early');
      yield { number, integer: 0n, bytes: bytes.subarray(at, at + size) };
      at += size;
    }
  }
}
function firstOf(bytes: Uint8Array, number: number): Field | undefined {
  for (const field of fieldsOf(bytes)) if (field.number === number) return field;
  return undefined;
}
function safe(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw broken('it holds a number too large to be kept exactly');
  return number;
}
function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw broken('a text is not valid UTF-8');
  }
}
const notProtobuf = (bytes: Uint8Array) =>
  errors.badRequest(
    `provided data does not appear to be a protobuf message, expected prefix [${magic.join(' ')}] (${Buffer.from(bytes.subarray(0, 15)).toString('hex')})`,
  );
const broken = (why: string) => errors.badRequest(`the protobuf body cannot be decoded: ${why}`);
