import { type Status, StatusError } from '#api';
import { type Log, messageOf } from '#base';

export const jsonType = 'application/json';

/** Bodies above this are compressed when the client accepts it; upstream's threshold. */
const gzipFromBytes = 128 * 1024;

export function bytesAnswer(
  request: Request,
  body: Uint8Array | string,
  options: { readonly status?: number; readonly type?: string; readonly headers?: Record<string, string> } = {},
): Response {
  const headers: Record<string, string> = {
    'content-type': options.type ?? jsonType,
    'cache-control': 'no-cache, private',
    ...options.headers,
  };
  let bytes = body;
  if (bytes.length > gzipFromBytes && /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')) {
    bytes = Bun.gzipSync(typeof bytes === 'string' ? Buffer.from(bytes) : (bytes as Uint8Array<ArrayBuffer>), {
      level: 1,
    });
    headers['content-encoding'] = 'gzip';
    headers['vary'] = 'Accept-Encoding';
  }
  return new Response(bytes as Uint8Array<ArrayBuffer> | string, { status: options.status ?? 200, headers });
}

export const jsonAnswer = (
  request: Request,
  value: unknown,
  options: { readonly status?: number; readonly type?: string; readonly headers?: Record<string, string> } = {},
): Response => bytesAnswer(request, JSON.stringify(value), options);

/** Every failure as metav1.Status. What is no StatusError is a bug of ours: logged in full, answered as 500 without insides. */
export function errorAnswer(error: unknown, log: Log, what: string): Response {
  const status = statusOf(error, log, what);
  const headers: Record<string, string> = { 'content-type': jsonType, 'cache-control': 'no-cache, private' };
  const retry = status.details?.retryAfterSeconds;
  if (retry) headers['retry-after'] = String(retry);
  return new Response(JSON.stringify(status), { status: status.code, headers });
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
