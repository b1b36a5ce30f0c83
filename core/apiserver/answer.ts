import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Status, StatusError } from '#api';
import { type Clock, type Log, messageOf } from '#base';
import type { Core } from './core.ts';
import { errorFormat, jsonType, protobufType, yamlType } from './negotiate.ts';
import { gzipPieces, pieceStream } from './piece-stream.ts';
import { yamlText } from './yaml-text.ts';

/** Bodies above this are compressed when the client accepts it; upstream's threshold. */
const gzipFromBytes = 128 * 1024;

/** Above this, compression leaves the loop to a thread: 20 MB take 50 ms and more. */
const threadFromBytes = 512 * 1024;
const gzipAsync = promisify(gzip);

export async function gzipLarge(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length < threadFromBytes) return Bun.gzipSync(bytes as Uint8Array<ArrayBuffer>, { level: 1 });
  return gzipAsync(bytes, { level: 1 });
}

interface AnswerOptions {
  readonly status?: number;
  readonly type?: string;
  readonly headers?: Record<string, string>;
  /** Where the compressed form is kept; made anew otherwise. */
  readonly compressed?: () => Promise<Uint8Array>;
}

/** A promise only where there is something to wait for: most answers are small. */
export function bytesAnswer(
  request: Request,
  body: Uint8Array | string,
  options: AnswerOptions = {},
): Response | Promise<Response> {
  if (body.length > gzipFromBytes && acceptsGzip(request)) return compressedAnswer(body, options);
  return answerOf(body, options.status ?? 200, headersOf(options));
}

async function compressedAnswer(body: Uint8Array | string, options: AnswerOptions): Promise<Response> {
  const bytes = await (options.compressed?.() ?? gzipLarge(typeof body === 'string' ? Buffer.from(body) : body));
  const headers = new Headers(headersOf(options));
  headers.set('content-encoding', 'gzip');
  headers.set('vary', 'Accept-Encoding');
  return answerOf(bytes, options.status ?? 200, headers);
}

/** A large body on its way piece by piece; `totalBytes` of it uncompressed. */
export function piecesAnswer(
  request: Request,
  pieces: Iterable<Uint8Array>,
  options: AnswerOptions & { readonly totalBytes: number; readonly clock: Clock; readonly onEnd: () => void },
): Response {
  const isCompressed = acceptsGzip(request);
  const stream = pieceStream(isCompressed ? gzipPieces(pieces) : pieces, options);
  const headers = new Headers(headersOf(options));
  if (isCompressed) {
    headers.set('content-encoding', 'gzip');
    headers.set('vary', 'Accept-Encoding');
  }
  const response: SizedResponse = new Response(stream, { status: options.status ?? 200, headers });
  response[bytesOfBody] = options.totalBytes;
  return response;
}
export const acceptsGzip = (request: Request): boolean => /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '');

/** One for each type: a Response copies headers that are made already four times faster than it makes them. */
const plainHeaders = new Map<string, Headers>();
const plainHeadersMax = 50;
function headersOf({ type = jsonType, headers }: AnswerOptions): Headers {
  let plain = plainHeaders.get(type);
  if (!plain) {
    plain = new Headers({ 'content-type': type, 'cache-control': 'no-cache, private' });
    if (plainHeaders.size < plainHeadersMax) plainHeaders.set(type, plain);
  }
  if (!headers) return plain;
  const all = new Headers(plain);
  for (const name in headers) all.set(name, headers[name]!);
  return all;
}

function answerOf(body: Uint8Array | string, status: number, headers: Headers | Record<string, string>): Response {
  const response: SizedResponse = new Response(body as Uint8Array<ArrayBuffer> | string, { status, headers });
  response[bytesOfBody] = body.length;
  return response;
}
/** A Response does not tell how large its body is. */
const bytesOfBody = Symbol('bytes of the body');
interface SizedResponse extends Response {
  [bytesOfBody]?: number;
}
/** Bytes of the body (characters, of a text); undefined for streams. */
export const answerBytes = (response: SizedResponse): number | undefined => response[bytesOfBody];

export const jsonAnswer = (
  request: Request,
  value: unknown,
  options: { readonly status?: number; readonly type?: string; readonly headers?: Record<string, string> } = {},
): Response | Promise<Response> => bytesAnswer(request, JSON.stringify(value), options);

/** Every failure as metav1.Status. What is no StatusError is a bug of ours: logged in full, answered as 500 without insides. */
export async function errorAnswer(
  error: unknown,
  { log, encodings }: Pick<Core, 'log' | 'encodings'>,
  request: Request,
  what: string,
): Promise<Response> {
  const status = statusOf(error, log, what);
  const format = errorFormat(request.headers.get('accept'));
  const message = format === 'protobuf' ? encodings.value(status) : undefined;
  const type = format === 'yaml' ? yamlType : message ? protobufType : jsonType;
  const headers: Record<string, string> = { 'content-type': type, 'cache-control': 'no-cache, private' };
  const retry = status.details?.retryAfterSeconds;
  if (retry) headers['retry-after'] = String(retry);
  const body = message ?? (format === 'yaml' ? await yamlText(status) : JSON.stringify(status));
  return answerOf(body, status.code, headers);
}

export function statusOf(error: unknown, log: Log, what: string): Status {
  if (error instanceof StatusError) return error.toStatus();
  log.error('a request failed inside', {
    what,
    error: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
  return new StatusError(500, 'InternalError', `Internal error occurred: ${messageOf(error)}`).toStatus();
}

/** Upstream leaves the code out of it. */
export const success = (details?: Status['details']): Omit<Status, 'code'> => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  details,
});
