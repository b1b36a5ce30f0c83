import http2 from 'node:http2';
import type { Clock } from '#sdk';
import type { Endpoint } from '../model.ts';
import type { BackendUser, Forwarded } from './exchange.ts';
import { responseHeaders } from './forwarded.ts';
import type { HeaderList } from './http1-head.ts';
import type { Outgoing } from './pools.ts';

const streamsMax = 100; // of one connection; more wait in the peer's own queue

/** A connection that speaks HTTP/2 without TLS to an endpoint, for many requests at a time. */
export class Http2Backend {
  readonly #calls = new Set<Http2Call>();
  #isRetired = false;

  private constructor(
    private readonly session: http2.ClientHttp2Session,
    private readonly clock: Clock,
  ) {
    session.on('error', () => {}); // its streams tell
  }

  static connect({ ip, port }: Endpoint, clock: Clock): Promise<Http2Backend> {
    const host = ip.includes(':') ? `[${ip}]` : ip;
    const session = http2.connect(`http://${host}:${port}`);
    return new Promise((resolve, reject) => {
      session.once('connect', () => resolve(new Http2Backend(session, clock)));
      session.once('error', reject);
      session.once('close', () => reject(new Error('closed')));
    });
  }

  get isUsable(): boolean {
    return !this.#isRetired && !this.session.closed && !this.session.destroyed && this.#calls.size < streamsMax;
  }
  send({ asked, target, headers, backend, user }: Outgoing): Forwarded {
    const fields: http2.OutgoingHttpHeaders = {
      ':method': asked.method,
      ':path': target,
      ':scheme': 'http',
      ':authority': asked.authority,
    };
    addAll(fields, headers);
    if (asked.bodyBytes) fields['content-length'] = String(asked.bodyBytes);
    if (backend.protocol === 'grpc') fields.te = 'trailers';
    const stream = this.session.request(fields, { endStream: asked.bodyBytes === 0 });
    const call = new Http2Call(stream, user, asked.method, this.clock, backend.timeouts.responseMs, () => {
      this.#calls.delete(call);
      if (this.#isRetired && this.#calls.size === 0) this.session.close();
    });
    this.#calls.add(call);
    if (asked.bodyBytes !== 0) user.wantBody();
    return call;
  }
  sweep(nowMs: number): void {
    for (const call of this.#calls) if (call.deadlineMs <= nowMs) call.expire();
  }
  retire(): void {
    this.#isRetired = true;
    if (this.#calls.size === 0) this.session.close();
  }
}

/** A list as Node takes it; what is there twice becomes a list. */
export function addAll(fields: http2.OutgoingHttpHeaders, headers: HeaderList): void {
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value] = [headers[at]!, headers[at + 1]!];
    const former = fields[name];
    if (former === undefined) fields[name] = value;
    else if (name === 'cookie') fields[name] = `${former as string}; ${value}`;
    else fields[name] = [...(Array.isArray(former) ? former : [String(former)]), value];
  }
}
/** And back. Pseudo-headers are left out. */
export function listOf(fields: http2.IncomingHttpHeaders): HeaderList {
  const list: HeaderList = [];
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) list.push(name, one);
  }
  return list;
}

class Http2Call implements Forwarded {
  deadlineMs: number;
  #isOver = false;
  #hasEnded = false;
  #trailers: HeaderList | undefined;

  constructor(
    private readonly stream: http2.ClientHttp2Stream,
    private readonly user: BackendUser,
    method: string,
    private readonly clock: Clock,
    private readonly responseMs: number,
    onOver: () => void,
  ) {
    this.deadlineMs = clock.monotonicMs() + responseMs;
    stream.on('response', (fields, flags) => {
      this.#wait();
      const status = Number(fields[':status'] ?? 502);
      const list = listOf(fields);
      const length = fields['content-length'];
      const isBare = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0 || method === 'HEAD';
      const bodyBytes = length !== undefined ? Number(length) : isBare && method !== 'HEAD' ? 0 : undefined;
      user.replyHead(status, '', responseHeaders(list, []), bodyBytes);
    });
    stream.on('data', (part: Buffer) => {
      this.#wait();
      if (user.replyBody(part)) user.flush();
      else {
        user.flush();
        this.deadlineMs = Infinity;
        stream.pause();
      }
    });
    stream.on('trailers', (fields: http2.IncomingHttpHeaders) => {
      this.#trailers = listOf(fields);
    });
    stream.on('drain', () => user.wantBody());
    stream.on('end', () => {
      this.#hasEnded = true;
    });
    stream.on('error', () => {}); // `close` follows
    stream.on('close', () => {
      if (!this.#isOver) {
        this.#isOver = true;
        if (this.#hasEnded && stream.rstCode === 0) user.replyEnd(this.#trailers);
        else user.failed('broken');
      }
      onOver();
    });
  }
  body(part: Buffer): boolean {
    this.#wait();
    return this.stream.write(part);
  }
  end(): void {
    this.#wait();
    this.stream.end();
  }
  abort(): void {
    this.#isOver = true;
    this.stream.close(http2.constants.NGHTTP2_CANCEL);
  }
  wantReply(): void {
    this.#wait();
    this.stream.resume();
  }
  expire(): void {
    if (this.#isOver) return;
    this.abort();
    this.user.failed('silent');
  }
  #wait(): void {
    this.deadlineMs = this.clock.monotonicMs() + this.responseMs;
  }
}
