import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Status, StatusError } from '#api';
import { type Log, messageOf } from '#base';
import type { Core } from './core.ts';
import { errorFormat, jsonType, protobufType, yamlType } from './negotiate.ts';
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

export async function bytesAnswer(
  request: Request,
  body: Uint8Array | string,
  options: AnswerOptions = {},
): Promise<Response> {
  const headers: Record<string, string> = {
    'content-type': options.type ?? jsonType,
    'cache-control': 'no-cache, private',
    ...options.headers,
  };
  let bytes = body;
  if (bytes.length > gzipFromBytes && /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')) {
    bytes = await (options.compressed?.() ?? gzipLarge(typeof bytes === 'string' ? Buffer.from(bytes) : bytes));
    headers['content-encoding'] = 'gzip';
    headers['vary'] = 'Accept-Encoding';
  }
  const response = new Response(bytes as Uint8Array<ArrayBuffer> | string, { status: options.status ?? 200, headers });
  sizes.set(response, bytes.length);
  return response;
}
/** A Response does not tell how large its body is. */
const sizes = new WeakMap<Response, number>();
/** Bytes of the body (characters, of a text); undefined for streams. */
export const answerBytes = (response: Response): number | undefined => sizes.get(response);

export const jsonAnswer = (
  request: Request,
  value: unknown,
  options: { readonly status?: number; readonly type?: string; readonly headers?: Record<string, string> } = {},
): Promise<Response> => bytesAnswer(request, JSON.stringify(value), options);

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
  const response = new Response(body as Uint8Array<ArrayBuffer> | string, { status: status.code, headers });
  sizes.set(response, body.length);
  return response;
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
