import { varintBytes } from '../protobuf/envelope.ts';

/** OpenAPI v2 in the protobuf form of gnostic (its openapiv2.proto names the numbers), which older kubectl reads. */
type Json = Readonly<Record<string, unknown>>;
type Bytes = Uint8Array;

const part = (number: number, bytes: Bytes): Bytes =>
  Buffer.concat([Uint8Array.from([...varintBytes((number << 3) | 2), ...varintBytes(bytes.length)]), bytes]);
const text = (number: number, value: unknown): Bytes[] =>
  value === undefined || value === '' ? [] : [part(number, Buffer.from(String(value)))];
const flag = (number: number, value: unknown): Bytes[] =>
  value === true ? [Uint8Array.from([...varintBytes(number << 3), 1])] : [];
const message = (...parts: readonly (readonly Bytes[])[]): Bytes => Buffer.concat(parts.flat());
/** Any {yaml}: JSON is YAML. */
const any = (value: unknown): Bytes => message(text(2, `${JSON.stringify(value)}\n`));
const named = (name: string, value: Bytes): Bytes => message(text(1, name), [part(2, value)]);

function extensions(number: number, object: Json): Bytes[] {
  const names = Object.keys(object).filter((name) => name.startsWith('x-') && object[name] !== undefined);
  return names.map((name) => part(number, named(name, any(object[name]))));
}
const texts = (number: number, list: unknown): Bytes[] =>
  ((list ?? []) as string[]).flatMap((one) => text(number, one));
const optional = (number: number, value: unknown, encode: (value: Json) => Bytes): Bytes[] =>
  value === undefined ? [] : [part(number, encode(value as Json))];

function schema(object: Json): Bytes {
  return message(
    text(1, object['$ref']),
    text(2, object['format']),
    text(4, object['description']),
    object['default'] === undefined ? [] : [part(5, any(object['default']))],
    texts(19, object['required']),
    ((object['enum'] ?? []) as unknown[]).map((value) => part(20, any(value))),
    optional(21, object['additionalProperties'], (value) => message([part(1, schema(value))])),
    object['type'] === undefined ? [] : [part(22, message(text(1, object['type'])))],
    optional(23, object['items'], (value) => message([part(1, schema(value))])),
    optional(25, object['properties'], (value) =>
      message(Object.entries(value).map(([name, inner]) => part(1, named(name, schema(inner as Json))))),
    ),
    extensions(31, object),
  );
}

function parameter(object: Json): Bytes {
  if (object['in'] === 'body') {
    const body = message(
      text(2, object['name']),
      text(3, object['in']),
      flag(4, object['required']),
      optional(5, object['schema'], schema),
    );
    return message([part(1, message([part(1, body)]))]);
  }
  const isPath = object['in'] === 'path';
  const [type, unique] = isPath ? [5, 19] : [6, 20];
  const inner = message(
    flag(1, object['required']),
    text(2, object['in']),
    text(4, object['name']),
    text(type, object['type']),
    flag(unique, object['uniqueItems']),
  );
  return message([part(1, message([part(2, message([part(isPath ? 4 : 3, inner)]))]))]);
}

function operation(object: Json): Bytes {
  return message(
    texts(1, object['tags']),
    text(5, object['operationId']),
    texts(6, object['produces']),
    texts(7, object['consumes']),
    ((object['parameters'] ?? []) as Json[]).map((one) => part(8, parameter(one))),
    optional(9, object['responses'], responses),
    extensions(13, object),
  );
}

function responses(object: Json): Bytes {
  return message(
    Object.entries(object).map(([code, value]) => {
      const response = value as Json;
      const body = message(
        text(1, response['description']),
        optional(2, response['schema'], (inner) => message([part(1, schema(inner))])),
      );
      return part(1, named(code, message([part(1, body)])));
    }),
  );
}

const verbs = { get: 2, put: 3, post: 4, delete: 5, options: 6, head: 7, patch: 8 } as const;
function pathItem(object: Json): Bytes {
  return message(
    Object.entries(verbs).flatMap(([verb, number]) => optional(number, object[verb], operation)),
    ((object['parameters'] ?? []) as Json[]).map((one) => part(9, parameter(one))),
  );
}

/** The message in pieces, so that the one who asks can let others run in between. Pieces of a part come before its head is known. */
export function* gnosticPieces(document: Json): Generator<Bytes> {
  const info = document['info'] as Json;
  yield message(text(1, document['swagger']), [part(2, message(text(1, info['title']), text(2, info['version'])))]);
  yield* section(8, 2, document['paths'] as Json, pathItem);
  yield* section(9, 1, document['definitions'] as Json, schema);
}

function* section(number: number, member: number, entries: Json, encode: (value: Json) => Bytes): Generator<Bytes> {
  const pieces: Bytes[] = [];
  let size = 0;
  for (const [name, value] of Object.entries(entries)) {
    const piece = part(member, named(name, encode(value as Json)));
    pieces.push(piece);
    size += piece.length;
    yield none; // a place to pause
  }
  yield Uint8Array.from([...varintBytes((number << 3) | 2), ...varintBytes(size)]);
  yield* pieces;
}
const none = new Uint8Array();
