import { errors, type Field, facts } from '#api';
import type { JsonObject } from '../contract.ts';

/**
 * Reads the Kubernetes protobuf encoding of built-in kinds: what typed clients send, such as `kubectl create configmap`.
 * The result is the JSON form, to be decoded by the schema engine like any other body. Answers stay JSON.
 */
const magic = [0x6b, 0x38, 0x73, 0x00]; // "k8s\0"
const depthMax = 100;
const text = new TextDecoder('utf-8', { fatal: true });
const bad = (why: string) => errors.badRequest(`the protobuf body cannot be read: ${why}`);

export interface Envelope {
  readonly apiVersion: string;
  readonly kind: string;
  /** The encoded object. */
  readonly raw: Uint8Array;
}
export function readEnvelope(body: Uint8Array): Envelope {
  if (magic.some((byte, index) => body[index] !== byte)) throw bad('it does not start with the magic number');
  let [apiVersion, kind] = ['', ''];
  let raw: Uint8Array = new Uint8Array();
  for (const { number, value } of new Reader(body.subarray(magic.length)).fields()) {
    if (number === 1 && value instanceof Uint8Array) {
      for (const inner of new Reader(value).fields()) {
        if (inner.number === 1) apiVersion = textOf(inner.value);
        if (inner.number === 2) kind = textOf(inner.value);
      }
    } else if (number === 2 && value instanceof Uint8Array) raw = value;
  }
  return { apiVersion, kind, raw };
}
/** The object's JSON form. `typeId` is an id of the facts table. */
export function decodeProtobuf(typeId: string, raw: Uint8Array): JsonObject {
  const object: JsonObject = {};
  readMessage(layoutOf(typeId), new Reader(raw), object, 0);
  return object;
}

/** Fields by number; an embedded struct is a message of its own whose fields land in the same JSON object. */
interface Layout {
  readonly fields: Map<number, { readonly name: string; readonly field: Field }>;
  readonly embedded: Map<number, Layout>;
}
const layouts = new Map<string, Layout>();
function layoutOf(typeId: string): Layout {
  const known = layouts.get(typeId);
  if (known) return known;
  const root: Layout = { fields: new Map(), embedded: new Map() };
  for (const [name, field] of Object.entries(facts().types[typeId]?.fields ?? {})) {
    let layout = root;
    for (const number of field.proto?.slice(0, -1) ?? []) {
      let inner = layout.embedded.get(number);
      if (!inner) layout.embedded.set(number, (inner = { fields: new Map(), embedded: new Map() }));
      layout = inner;
    }
    if (field.proto) layout.fields.set(field.proto.at(-1)!, { name, field });
  }
  layouts.set(typeId, root);
  return root;
}

type Wire = bigint | Uint8Array;
function readMessage(layout: Layout, reader: Reader, object: JsonObject, depth: number): void {
  if (depth > depthMax) throw bad('it is nested too deeply');
  for (const { number, value } of reader.fields()) {
    const embedded = layout.embedded.get(number);
    if (embedded && value instanceof Uint8Array) readMessage(embedded, new Reader(value), object, depth + 1);
    const entry = layout.fields.get(number);
    if (!entry) continue;
    const { name, field } = entry;
    if (field.type === 'array') {
      const list = (object[name] ??= []) as unknown[];
      list.push(valueOf(field.items!, value, depth));
    } else if (field.type === 'map') {
      const [key, inner] = readPair(field.items!, value, depth);
      const map = (object[name] ??= {}) as JsonObject;
      Object.defineProperty(map, key, { value: inner, enumerable: true, configurable: true, writable: true });
    } else object[name] = valueOf(field, value, depth);
  }
}

function readPair(items: Field, value: Wire, depth: number): [string, unknown] {
  let key = '';
  let inner: unknown = items.type === 'string' ? '' : undefined;
  for (const part of new Reader(bytesOf(value)).fields()) {
    if (part.number === 1) key = textOf(part.value);
    if (part.number === 2) inner = valueOf(items, part.value, depth);
  }
  return [key, inner];
}

function valueOf(field: Field, value: Wire, depth: number): unknown {
  switch (field.type) {
    case 'string':
      if (field.format === 'byte') return Buffer.from(bytesOf(value)).toString('base64');
      return field.format === 'date-time' || field.format === 'micro-time'
        ? timeOf(field.format, value)
        : textOf(value);
    case 'boolean':
      return value !== 0n;
    case 'integer':
      return typeof value === 'bigint' ? Number(BigInt.asIntN(64, value)) : 0;
    case 'quantity':
      return textOf(only(value, 1) ?? new Uint8Array());
    case 'int-or-string':
      return only(value, 1) === 1n
        ? textOf(only(value, 3) ?? new Uint8Array())
        : Number(BigInt.asIntN(64, numberOf(only(value, 2))));
    case 'ref': {
      const object: JsonObject = {};
      readMessage(layoutOf(field.ref!), new Reader(bytesOf(value)), object, depth + 1);
      return object;
    }
    case 'any': {
      const json = only(value, 1);
      return json instanceof Uint8Array && json.length > 0 ? (JSON.parse(textOf(json)) as unknown) : undefined;
    }
    default:
      throw bad(`a field of type ${field.type} is not supported`);
  }
}
const numberOf = (value: Wire | undefined): bigint => (typeof value === 'bigint' ? value : 0n);
function timeOf(format: string, value: Wire): string | null {
  const seconds = Number(BigInt.asIntN(64, numberOf(only(value, 1))));
  const micros = Math.trunc(Number(numberOf(only(value, 2))) / 1000);
  if (seconds === 0 && micros === 0) return null; // the zero time is written as nothing
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return format === 'micro-time' ? `${whole}.${String(micros).padStart(6, '0')}Z` : `${whole}Z`;
}
/** The last value of one field in a small message. */
function only(value: Wire, number: number): Wire | undefined {
  let found: Wire | undefined;
  for (const part of new Reader(bytesOf(value)).fields()) if (part.number === number) found = part.value;
  return found;
}
function bytesOf(value: Wire): Uint8Array {
  if (typeof value === 'bigint') throw bad('a number where a message belongs');
  return value;
}
function textOf(value: Wire): string {
  try {
    return text.decode(bytesOf(value));
  } catch {
    throw bad('text that is no UTF-8');
  }
}

class Reader {
  private at = 0;
  constructor(private readonly bytes: Uint8Array) {}

  *fields(): Generator<{ number: number; value: Wire }> {
    while (this.at < this.bytes.length) {
      const key = Number(this.varint());
      const number = Math.floor(key / 8);
      switch (key % 8) {
        case 0:
          yield { number, value: this.varint() };
          break;
        case 1:
          yield { number, value: this.take(8) };
          break;
        case 2:
          yield { number, value: this.take(Number(this.varint())) };
          break;
        case 5:
          yield { number, value: this.take(4) };
          break;
        default:
          throw bad('an unknown wire type');
      }
    }
  }
  private varint(): bigint {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) break;
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, result);
    }
    throw bad('a number that does not end');
  }
  private take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw bad('it ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
