import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Clock } from '#sdk';
import type { Limits } from '../model.ts';
import type { Asked, Forwarded, Replier } from './exchange.ts';
import { type HeaderList, hostOf } from './http1-head.ts';
import { addAll, listOf } from './http2-backend.ts';

/** What clients' HTTP/2 connections need of their server. */
export interface Http2Door {
  readonly clock: Clock;
  readonly limits: Limits;
  serve(asked: Asked, replier: Replier): Forwarded;
  refused(status: number): void;
}
export interface Carrier {
  readonly peer: string;
  readonly port: number;
  readonly isSecure: boolean;
}

const streamsMax = 100; // a client may have under way at a time
const badValue = /[\x00-\x08\x0a-\x1f\x7f]/;
const badName = /[^!#$%&'*+\-.^_`|~0-9a-z]/;
const pathPattern = /^\/[\x21\x22\x24-\x7e]*$/;
const hopNames = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];

/** Serves connections on which the client speaks HTTP/2. */
export class Http2Front {
  readonly #server: http2.Http2Server;
  readonly #carriers = new WeakMap<object, Carrier>();
  readonly #sessions = new Set<http2.Http2Session>();
  readonly #streams = new Set<Http2Replier>();
  #adopted: Carrier | undefined;

  constructor(private readonly door: Http2Door) {
    const { requestHeaderBytesMax } = door.limits;
    this.#server = http2.createServer({
      settings: { maxConcurrentStreams: streamsMax, maxHeaderListSize: requestHeaderBytesMax },
      maxHeaderListPairs: door.limits.requestHeadersMax + 8,
      maxSessionMemory: 10,
    });
    this.#server.on('session', (session) => {
      if (this.#adopted) this.#carriers.set(session, this.#adopted);
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      session.on('error', () => session.destroy());
    });
    this.#server.on('sessionError', () => {});
    this.#server.on('stream', (stream, fields, flags) => this.#begin(stream, fields, flags));
  }

  adopt(stream: Duplex, carrier: Carrier): void {
    this.#adopted = carrier;
    this.#server.emit('connection', stream);
    this.#adopted = undefined;
  }

  #begin(stream: http2.ServerHttp2Stream, fields: http2.IncomingHttpHeaders, flags: number): void {
    stream.on('error', () => {}); // `close` follows
    const carrier = stream.session && this.#carriers.get(stream.session);
    const isBare = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const asked = carrier && askedOf(fields, isBare, carrier, this.door.limits);
    if (!asked || typeof asked === 'number') {
      this.door.refused(asked ?? 400);
      stream.respond({ ':status': asked ?? 400 }, { endStream: true });
      if (!isBare) stream.close(http2.constants.NGHTTP2_NO_ERROR);
      return;
    }
    const replier = new Http2Replier(stream, asked, this.door, () => this.#streams.delete(replier));
    this.#streams.add(replier);
    replier.begin(isBare);
  }
  sweep(nowMs: number): void {
    for (const stream of this.#streams) if (stream.deadlineMs <= nowMs) stream.abort();
  }
  get connections(): number {
    return this.#sessions.size;
  }
  get isIdle(): boolean {
    return this.#streams.size === 0;
  }
  /** Connections end with what is under way on them. */
  retire(): void {
    for (const session of this.#sessions) session.close();
  }
  close(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

/** A number: the status with which it is refused. */
function askedOf(fields: http2.IncomingHttpHeaders, isBare: boolean, carrier: Carrier, limits: Limits): Asked | number {
  const headers = listOf(fields);
  if (headers.length / 2 > limits.requestHeadersMax) return 431;
  let bytes = 0;
  let hosts = 0;
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value] = [headers[at]!, headers[at + 1]!];
    bytes += name.length + value.length + 4;
    if (badName.test(name) || badValue.test(value) || hopNames.includes(name)) return 400;
    if (name === 'te' && value.toLowerCase() !== 'trailers') return 400;
    if (name === 'host') hosts++;
  }
  const target = fields[':path'] ?? '';
  if (bytes + target.length > limits.requestHeaderBytesMax) return 431;
  const authority = fields[':authority'] ?? (typeof fields.host === 'string' ? fields.host : '');
  const host = hostOf(authority);
  const isTwo = hosts > 1 || (hosts === 1 && fields[':authority'] !== undefined && fields.host !== authority);
  const method = fields[':method'] ?? '';
  if (!host || isTwo || !pathPattern.test(target) || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/.test(method)) return 400;
  const length = fields['content-length'];
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return 400;
  const bodyBytes = isBare ? 0 : length === undefined ? undefined : Number(length);
  if (isBare && length !== undefined && Number(length) !== 0) return 400;
  return { method, target, host, authority, headers, hopNames: [], bodyBytes, ...carrier };
}

/** One request of such a connection. */
class Http2Replier implements Replier {
  #forwarded: Forwarded | undefined;
  #isOver = false;
  #hasEnded = false;
  #isWanted = false;
  #trailers: HeaderList | undefined;
  hasBegun = false;
  deadlineMs = Infinity;

  constructor(
    private readonly stream: http2.ServerHttp2Stream,
    private readonly asked: Asked,
    private readonly door: Http2Door,
    private readonly onOver: () => void,
  ) {}

  begin(isBare: boolean): void {
    const { stream } = this;
    stream.on('close', () => {
      this.#isOver = true;
      this.onOver();
      this.#forwarded?.abort();
    });
    stream.on('wantTrailers', () => this.#sendTrailers());
    stream.on('drain', () => {
      this.deadlineMs = Infinity;
      this.#forwarded?.wantReply();
    });
    const forwarded = this.door.serve(this.asked, this);
    if (this.#isOver) return;
    this.#forwarded = forwarded;
    if (isBare) {
      stream.resume();
      forwarded.end();
    } else if (this.#isWanted) this.#read();
  }
  wantBody(): void {
    if (this.#isOver || this.#hasEnded) return;
    this.deadlineMs = this.door.clock.monotonicMs() + this.door.limits.requestBodyIdleMs;
    if (this.#isWanted) this.stream.resume();
    this.#isWanted = true;
    if (this.#forwarded) this.#read();
  }
  #isReading = false;
  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    this.stream.on('data', (part: Buffer) => {
      this.deadlineMs = this.door.clock.monotonicMs() + this.door.limits.requestBodyIdleMs;
      if (this.#isOver || this.#forwarded?.body(part) !== false) return;
      this.deadlineMs = Infinity;
      this.stream.pause();
    });
    this.stream.on('end', () => {
      this.#hasEnded = true;
      this.deadlineMs = Infinity;
      if (!this.#isOver) this.#forwarded?.end();
    });
  }

  head(status: number, _reason: string, headers: HeaderList, bodyBytes: number | undefined): void {
    if (this.#isOver || this.hasBegun) return;
    this.hasBegun = true;
    const fields: http2.OutgoingHttpHeaders = { ':status': status };
    addAll(fields, headers);
    if (bodyBytes !== undefined && status !== 204 && status !== 304) fields['content-length'] = String(bodyBytes);
    const isBare = this.asked.method === 'HEAD' || status === 204 || status === 304;
    this.stream.respond(fields, isBare ? { endStream: true } : { waitForTrailers: true });
  }
  body(part: Buffer): boolean {
    if (this.#isOver || this.stream.writableEnded || this.stream.destroyed) return true;
    if (this.stream.write(part)) return true;
    this.deadlineMs = this.door.clock.monotonicMs() + this.door.limits.requestBodyIdleMs;
    return false;
  }
  end(trailers?: HeaderList): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#trailers = trailers;
    this.stream.end();
    if (!this.#isReading && this.asked.bodyBytes !== 0) this.stream.resume(); // what still comes is dropped
  }
  #sendTrailers(): void {
    const fields: http2.OutgoingHttpHeaders = {};
    if (this.#trailers) addAll(fields, this.#trailers);
    this.stream.sendTrailers(fields);
  }
  abort(): void {
    if (this.stream.destroyed) return;
    this.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  }
  flush(): void {}
}
