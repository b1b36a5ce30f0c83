import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { GRPCAction } from '#api';
import type { HandlerResult } from '../handlers.ts';

const replyBytesMax = 4096;
const serving = 1;
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;
/** gRPC's canonical codes, as Go writes them. */
const codeNames =
  'OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated'.split(
    ' ',
  );
const unimplemented = 12;

/**
 * Asks grpc.health.v1.Health/Check. One unary call needs a five byte frame, one field each way and the trailers:
 * a gRPC library would weigh more than it saves. Never throws; the caller bounds the time by `signal`.
 */
export async function grpcHandler(
  action: GRPCAction,
  options: { readonly podIp: string; readonly agent: string; readonly signal: AbortSignal },
): Promise<HandlerResult> {
  const host = options.podIp.includes(':') ? `[${options.podIp}]` : options.podIp;
  const address = `${host}:${action.port}`;
  const scheme = action.mode === 'TLS' ? 'https' : 'http';
  const session = connect(`${scheme}://${address}`, { rejectUnauthorized: false }); // the pod's own certificate: nobody vouches for it
  const end = () => session.destroy();
  options.signal.addEventListener('abort', end, { once: true });
  try {
    return await check(session, address, action.service ?? '', options.agent);
  } finally {
    options.signal.removeEventListener('abort', end);
    session.destroy();
  }
}

function check(session: ClientHttp2Session, address: string, service: string, agent: string): Promise<HandlerResult> {
  const { promise, resolve } = Promise.withResolvers<HandlerResult>();
  const fail = (output: string) => resolve({ ok: false, output });
  session.on('error', (error: Error) => fail(`error: failed to connect service at "${address}": ${error.message}`));
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': agent,
  });
  let bytes = Buffer.alloc(0);
  let head: Record<string, unknown> = {};
  const take = (headers: object) => {
    head = { ...head, ...headers };
  };
  stream.on('response', take);
  stream.on('trailers', take);
  stream.on('data', (chunk: Buffer) => {
    if (bytes.length < replyBytesMax) bytes = Buffer.concat([bytes, chunk]);
  });
  stream.on('error', () => {}); // the close that follows tells
  stream.on('close', () => setImmediate(() => resolve(judgeReply(head, bytes)))); // after the session's own error, which says more
  stream.end(checkRequest(service));
  return promise;
}

/** Pure: one uncompressed message, HealthCheckRequest{1: service}. */
export function checkRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const body = name.length ? Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]) : name;
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(body.length, 1);
  return Buffer.concat([frame, body]);
}
const varint = (value: number): number[] => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]);

/** Pure: HealthCheckResponse{1: status} behind its frame, and the gRPC status of the trailers. */
export function judgeReply(head: Readonly<Record<string, unknown>>, bytes: Uint8Array): HandlerResult {
  const code = head['grpc-status'] === undefined ? undefined : Number(head['grpc-status']);
  const message = decodeURIComponent(String(head['grpc-message'] ?? ''));
  if (code === unimplemented)
    return {
      ok: false,
      output: `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${message}`,
    };
  if (code !== 0) {
    const desc =
      code === undefined ? `unexpected HTTP status code received from server: ${head[':status'] ?? 'none'}` : message;
    const name = codeNames[code ?? 14] ?? `Code(${code})`;
    return { ok: false, output: `error: health rpc probe failed: rpc error: code = ${name} desc = ${desc}` };
  }
  const status = bytes.length >= 7 && bytes[5] === 0x08 ? bytes[6]! : 0; // proto3 leaves out a zero
  if (status === serving) return { ok: true };
  return { ok: false, output: `service unhealthy (responded with "${statusNames[status] ?? status}")` };
}
