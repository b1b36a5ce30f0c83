import { errors, StatusError } from '#api';
import { messageOf, parseExactly, systemClock } from '#base';
import type { Arrival } from './arrivals.ts';
import { budgets } from './body-budget.ts';
import type { JsonObject } from './contract.ts';
import { scanJson } from './json-scan.ts';
import { protobufType, unsupportedMedia } from './negotiate.ts';
import type { Table } from './protobuf/decode.ts';
import { readYaml } from './yaml/read.ts';

export const bodyBytesMax = 3 * 1024 * 1024;
const objectTypes = ['application/json', 'application/yaml', protobufType];

export interface Body {
  readonly value: JsonObject;
  /** What strict decoding would refuse and the parser saw: `duplicate field "spec.x"`. */
  readonly faults: readonly string[];
  /** The JSON text, where it has keys that come twice: what is unknown is told among them, in the order of the text. */
  readonly text?: string;
  /** An integer of it that only a bigint holds. */
  readonly bigNumber?: string;
}

/** From here on scanning and parsing take milliseconds each. */
const heavyChars = 128 * 1024;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Of requests that came through a listener. */
export const arrivals = new WeakMap<Request, Arrival>();

/** Reads at most 3 MiB (413 above) as fatal UTF-8 (400). */
export async function readText(request: Request): Promise<string> {
  const bytes = await readBytes(request);
  try {
    return utf8.decode(bytes);
  } catch {
    throw errors.badRequest('the body is not valid UTF-8');
  }
}

async function readBytes(request: Request): Promise<Uint8Array> {
  if (request.headers.get('content-encoding')) throw unsupportedMedia(objectTypes);
  const arrival = arrivals.get(request);
  if (!arrival) return receive(request);
  const bytes = await new Promise<Uint8Array>((resolve, reject) => {
    receive(request).then(resolve, reject);
    arrival.onLate(() => reject(new StatusError(408, 'Timeout', 'the body of the request did not arrive in time')));
  });
  arrival.done();
  return bytes;
}

async function receive(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get('content-length') ?? 0) > bodyBytesMax) {
    await drain(request);
    throw tooLarge();
  }
  if (request.headers.has('content-length')) {
    if (!(budgets.get(request)?.take(request, Number(request.headers.get('content-length'))) ?? true)) {
      await drain(request);
      throw tooMany();
    }
    const bytes = new Uint8Array(await request.arrayBuffer());
    if (bytes.length > bodyBytesMax) throw tooLarge();
    return bytes;
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  let hasRoom = true;
  if (request.body)
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      hasRoom &&= size > bodyBytesMax || (budgets.get(request)?.take(request, chunk.length) ?? true);
      if (size <= bodyBytesMax && hasRoom) chunks.push(chunk);
      else chunks.length = 0; // read to its end all the same, without keeping it
    }
  if (size > bodyBytesMax) throw tooLarge();
  if (!hasRoom) throw tooMany();
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/**
 * Reads a body that nobody wants to its end: over HTTP/2 an answer that comes before is lost.
 * Nothing is kept; the listener bounds its size, the caller the time.
 */
export async function drain(request: Request): Promise<void> {
  if (!request.body || request.bodyUsed || request.body.locked) return;
  for await (const _chunk of request.body as unknown as AsyncIterable<Uint8Array>);
}

const tooMany = () => errors.tooManyRequests('Too many bodies at once, please try again later.', 1);
const tooLarge = () => errors.tooLarge(`Request entity too large: limit is ${bodyBytesMax}`);
export const mediaTypeOf = (request: Request): string =>
  (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase() || 'application/json';

/** An object in JSON or YAML. Throws 400, 413 or 415. */
export async function readObject(request: Request, kind = 'object'): Promise<Body> {
  const type = mediaTypeOf(request);
  if (type === protobufType) return readProtobuf(request, kind);
  if (type !== 'application/json' && type !== 'application/yaml') throw unsupportedMedia(objectTypes);
  const text = await readText(request);
  if (type !== 'application/json') return parseYamlObject(text, kind);
  if (text.length < heavyChars) return parseJsonObject(text, kind);
  const scanned = scanJson(text);
  await systemClock.soon(); // other requests have their turn between the stages of a large body
  const body = parseJsonObject(text, kind, scanned);
  await systemClock.soon();
  return body;
}

/** For DELETE and other calls whose body is optional. */
export async function readOptionalObject(request: Request): Promise<Body | undefined> {
  const type = mediaTypeOf(request);
  if (type === protobufType) return request.body ? readProtobuf(request, 'DeleteOptions') : undefined;
  const text = await readText(request);
  if (text.trim() === '') return undefined;
  if (type === 'application/yaml') return parseYamlObject(text);
  if (type !== 'application/json') throw unsupportedMedia(objectTypes);
  return parseJsonObject(text);
}

/** Go clients of built-in kinds send it by default; the table is loaded with the first such request. */
async function readProtobuf(request: Request, kind: string): Promise<Body> {
  const bytes = await readBytes(request);
  if (bytes.length === 0) return { value: {}, faults: [] };
  const [{ decodeProtobuf }, table] = await Promise.all([
    import('./protobuf/decode.ts'),
    import('./protobuf/gen/table.json', { with: { type: 'json' } }),
  ]);
  try {
    return { value: decodeProtobuf(bytes, table.default as Table), faults: [] };
  } catch (error) {
    throw errors.badRequest(`the object provided is unrecognized (must be of type ${kind}): ${messageOf(error)}`);
  }
}

/** Any JSON, for patches. Throws 400. */
export function parseJson(
  text: string,
  { duplicates, bigNumber } = scanJson(text),
): {
  readonly value: unknown;
  readonly faults: readonly string[];
  readonly bigNumber?: string;
} {
  return {
    value: bigNumber === undefined ? (JSON.parse(text) as unknown) : parseExactly(text),
    bigNumber,
    faults: duplicates.map((path) => `duplicate field ${JSON.stringify(path)}`),
  };
}

function parseJsonObject(text: string, kind = 'DeleteOptions', scanned?: ReturnType<typeof scanJson>): Body {
  let parsed: ReturnType<typeof parseJson>;
  try {
    parsed = parseJson(text, scanned);
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw unrecognized(kind, messageOf(error), text);
  }
  const { faults, bigNumber } = parsed;
  return { value: asObject(parsed.value, kind, text), faults, bigNumber, ...(faults.length > 0 && { text }) };
}

const excerptMax = 30;
/** Upstream's sentence around what its JSON parser says; ours words the inner part in its own way, but for a text that is cut short. */
function unrecognized(kind: string, why: string, text: string): StatusError {
  const inner = /EOF|Expected '}'|Expected ']'|Unterminated/.test(why) ? 'unexpected end of JSON input' : why;
  const excerpt = text.length > excerptMax ? `${text.slice(0, excerptMax)} ...` : text;
  const shown = text === '' ? '<empty>' : text.startsWith('{') ? excerpt : Buffer.from(excerpt).toString('hex');
  return errors.badRequest(
    `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${inner} (${shown})`,
  );
}

/** YAML without aliases, so that a small text cannot grow into a large object. JSON is YAML, and is parsed as JSON. */
export async function parseYamlObject(text: string, kind = 'object'): Promise<Body> {
  if (/^\s*\{/.test(text)) return parseJsonObject(text, kind);
  const { json, faults } = await readYaml(text);
  const { value, bigNumber } = parseJson(json);
  return {
    value: asObject(value, kind, json),
    bigNumber,
    faults: faults.length > 0 ? [`${yamlFaults}\n${faults.join('\n')}`] : [],
  };
}
export const yamlFaults = 'yaml: unmarshal errors:';

/** Of an applied configuration, which is YAML even where it is JSON: the mistakes are those of a reader of YAML. */
export async function parseConfiguration(text: string): Promise<Body> {
  const body = await parseYamlObject(text);
  if (body.faults.length === 0 || !body.text) return body;
  const { faults } = await readYaml(text);
  return { ...body, faults: faults.length > 0 ? [`${yamlFaults}\n${faults.join('\n')}`] : body.faults };
}

function asObject(value: unknown, kind: string, text: string): JsonObject {
  if (value === null) return {};
  const type = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
  if (type !== 'object') {
    const goType =
      'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
    throw unrecognized(kind, `json: cannot unmarshal ${type} into Go value of type ${goType}`, text);
  }
  const object = value as JsonObject;
  for (const field of ['apiVersion', 'kind']) {
    const wrong = object[field] !== undefined && object[field] !== null && typeof object[field] !== 'string';
    if (wrong)
      throw unrecognized(
        kind,
        `json: cannot unmarshal ${typeof object[field]} into Go struct field .${field} of type string`,
        text,
      );
  }
  return object;
}
