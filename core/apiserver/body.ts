import { errors } from '#api';
import { messageOf } from '#base';
import type { JsonObject } from './contract.ts';
import { scanJson } from './json-scan.ts';
import { unsupportedMedia } from './negotiate.ts';
import type { Table } from './protobuf/decode.ts';

export const bodyBytesMax = 3 * 1024 * 1024;
const protobufType = 'application/vnd.kubernetes.protobuf';
const objectTypes = ['application/json', 'application/yaml', protobufType];

export interface Body {
  readonly value: JsonObject;
  /** Paths of keys that came twice. */
  readonly duplicates: readonly string[];
}

/** Reads at most 3 MiB (413 above) as fatal UTF-8 (400). */
export async function readText(request: Request): Promise<string> {
  const bytes = await readBytes(request);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw errors.badRequest('the body is not valid UTF-8');
  }
}

async function readBytes(request: Request): Promise<Uint8Array> {
  if (request.headers.get('content-encoding')) throw unsupportedMedia(objectTypes);
  if (Number(request.headers.get('content-length') ?? 0) > bodyBytesMax) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  if (request.headers.has('content-length')) {
    chunks.push(new Uint8Array(await request.arrayBuffer()));
    size = chunks[0]!.length;
  } else if (request.body) {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > bodyBytesMax) throw tooLarge();
      chunks.push(chunk);
    }
  }
  if (size > bodyBytesMax) throw tooLarge();
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

const tooLarge = () => errors.tooLarge(`Request entity too large: limit is ${bodyBytesMax}`);
export const mediaTypeOf = (request: Request): string =>
  (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase() || 'application/json';

/** An object in JSON or YAML. Throws 400, 413 or 415. */
export async function readObject(request: Request): Promise<Body> {
  const type = mediaTypeOf(request);
  if (type === protobufType) return readProtobuf(request);
  if (type !== 'application/json' && type !== 'application/yaml') throw unsupportedMedia(objectTypes);
  const text = await readText(request);
  return type === 'application/json' ? parseJsonObject(text) : parseYamlObject(text);
}

/** For DELETE and other calls whose body is optional. */
export async function readOptionalObject(request: Request): Promise<Body | undefined> {
  const type = mediaTypeOf(request);
  if (type === protobufType) return request.body ? readProtobuf(request) : undefined;
  const text = await readText(request);
  if (text.trim() === '') return undefined;
  if (type === 'application/yaml') return parseYamlObject(text);
  if (type !== 'application/json') throw unsupportedMedia(objectTypes);
  return parseJsonObject(text);
}

/** Go clients of built-in kinds send it by default; the table is loaded with the first such request. */
async function readProtobuf(request: Request): Promise<Body> {
  const bytes = await readBytes(request);
  if (bytes.length === 0) return { value: {}, duplicates: [] };
  const [{ decodeProtobuf }, table] = await Promise.all([
    import('./protobuf/decode.ts'),
    import('./protobuf/gen/table.json', { with: { type: 'json' } }),
  ]);
  return { value: decodeProtobuf(bytes, table.default as Table), duplicates: [] };
}

export function parseJson(text: string): { value: unknown; duplicates: readonly string[] } {
  const { duplicates } = scanJson(text);
  try {
    return { value: JSON.parse(text) as unknown, duplicates };
  } catch (error) {
    throw errors.badRequest(`couldn't get version/kind; json parse error: ${messageOf(error)}`);
  }
}

function parseJsonObject(text: string): Body {
  const { value, duplicates } = parseJson(text);
  return { value: asObject(value), duplicates };
}

/** YAML without aliases, so that a small text cannot grow into a large object. JSON is YAML, and is parsed as JSON. */
export async function parseYamlObject(text: string): Promise<Body> {
  if (/^\s*\{/.test(text)) return parseJsonObject(text);
  const yaml = await import('yaml');
  let value: unknown;
  try {
    const document = yaml.parseDocument(text, { uniqueKeys: true, schema: 'yaml-1.1', merge: false });
    if (document.errors.length > 0) throw document.errors[0];
    value = document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    throw errors.badRequest(`error converting YAML to JSON: yaml: ${messageOf(error).split('\n')[0]}`);
  }
  scanJson(JSON.stringify(value ?? null));
  return { value: asObject(JSON.parse(JSON.stringify(value ?? null))), duplicates: [] };
}

function asObject(value: unknown): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw errors.badRequest('the body of the request must be one object');
  }
  return value as JsonObject;
}
