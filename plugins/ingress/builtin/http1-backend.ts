import type { Clock } from '#sdk';
import type { Endpoint, Timeouts } from '../model.ts';
import type { BackendUser, Forwarded } from './exchange.ts';
import { responseHeaders } from './forwarded.ts';
import { type BodyReader, chunkOf, lastChunk, readerOf } from './http1-body.ts';
import { type HeaderList, parseResponse } from './http1-head.ts';
import { SocketWire, type WireUser } from './wire.ts';

export interface Http1Request {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  /** Without Host and what frames the body. */
  readonly headers: HeaderList;
  readonly bodyBytes: number | undefined;
  readonly upgrade?: string;
}

const headBytesMax = 65_536;
const headEnd = Buffer.from('\r\n\r\n');
const nothing = Buffer.alloc(0);
const idleUser: BackendUser = {
  replyHead() {},
  replyBody: () => true,
  replyEnd() {},
  flush() {},
  wantBody() {},
  failed() {},
};

/** A connection to an endpoint: one request at a time, kept for the next. */
export class Http1Backend implements WireUser, Forwarded {
  readonly #wire = new SocketWire();
  #user = idleUser;
  #request: Http1Request | undefined;
  #pending: Buffer = nothing;
  #reader: BodyReader | undefined;
  #isTunnel = false;
  #isSent = false;
  #isChunked = false;
  #keepsAlive = false;
  #served = 0;
  #timeouts: Timeouts;
  isClosed = false;
  deadlineMs = Infinity;

  private constructor(
    readonly endpoint: Endpoint,
    private readonly clock: Clock,
    timeouts: Timeouts,
    private readonly onFree: (self: Http1Backend) => void,
    private readonly onClosed: (self: Http1Backend) => void,
  ) {
    this.#timeouts = timeouts;
    this.#wire.user = this;
  }

  /** Rejects when nobody listens there. How long that may take is the caller's to bound. */
  static async connect(
    endpoint: Endpoint,
    clock: Clock,
    timeouts: Timeouts,
    onFree: (self: Http1Backend) => void,
    onClosed: (self: Http1Backend) => void,
  ): Promise<Http1Backend> {
    const self = new Http1Backend(endpoint, clock, timeouts, onFree, onClosed);
    await Bun.connect<SocketWire>({
      hostname: endpoint.ip,
      port: endpoint.port,
      data: self.#wire,
      socket: { ...SocketWire.handlers, connectError() {} },
      allowHalfOpen: true,
    });
    return self;
  }

  send(request: Http1Request, timeouts: Timeouts, user: BackendUser): void {
    this.#request = request;
    this.#user = user;
    this.#timeouts = timeouts;
    this.#reader = undefined;
    this.#isTunnel = false;
    this.#isSent = request.bodyBytes === 0;
    this.#isChunked = request.bodyBytes === undefined;
    const { method, target, authority, headers, bodyBytes, upgrade } = request;
    let text = `${method} ${target} HTTP/1.1\r\nhost: ${authority}\r\n`;
    for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
    if (upgrade !== undefined) text += `connection: upgrade\r\nupgrade: ${upgrade}\r\n`;
    if (this.#isChunked) text += 'transfer-encoding: chunked\r\n';
    else if (bodyBytes! > 0 || method === 'POST' || method === 'PUT' || method === 'PATCH')
      text += `content-length: ${bodyBytes}\r\n`;
    this.#wait();
    this.#wire.write(Buffer.from(`${text}\r\n`, 'latin1'));
    if (!this.#isSent) user.wantBody();
  }

  // ---- from the client
  body(part: Buffer): boolean {
    this.#wait();
    return this.#wire.write(this.#isChunked && !this.#isTunnel ? chunkOf(part) : part);
  }
  end(): void {
    if (this.#isTunnel) this.#wire.end();
    else if (!this.#isSent) {
      this.#isSent = true;
      if (this.#isChunked) this.#wire.write(lastChunk);
    }
    this.#wait();
  }
  abort(): void {
    this.#user = idleUser;
    this.#request = undefined;
    this.#wire.destroy();
  }
  wantReply(): void {
    this.#wait();
    this.#wire.resume();
  }

  // ---- from the backend
  data(bytes: Buffer): void {
    if (!this.#request) return this.#wire.destroy(); // nobody asked
    this.#wait();
    if (this.#isTunnel) this.#pass(bytes);
    else {
      this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
      while (this.#request && !this.#reader && this.#readHead());
      if (this.#reader && this.#pending.length > 0) this.#readBody();
      else if (this.#reader?.isDone) this.#finish();
    }
    this.#user.flush();
  }
  #readHead(): boolean {
    const end = this.#pending.indexOf(headEnd);
    if (end < 0) {
      if (this.#pending.length > headBytesMax) this.#fail('broken');
      return false;
    }
    const request = this.#request!;
    const head = parseResponse(this.#pending.toString('latin1', 0, end), request);
    this.#pending = this.#pending.subarray(end + 4);
    if ('refused' in head || end > headBytesMax) {
      this.#fail('broken');
      return false;
    }
    if (head.status === 101) {
      if (request.upgrade === undefined) this.#fail('broken');
      else this.#becomeTunnel(head.headers, head.hopNames, request.upgrade);
      return false;
    }
    if (head.status < 200) return true; // of this hop, or a hint that need not arrive
    this.#keepsAlive = head.keepAlive && head.framing.type !== 'close' && request.upgrade === undefined;
    this.#reader = readerOf(head.framing);
    const length = lengthOf(head.headers);
    const bodyBytes =
      head.framing.type === 'length'
        ? head.framing.bytes
        : head.framing.type === 'none'
          ? (length ?? (request.method === 'HEAD' ? undefined : 0))
          : undefined;
    this.#user.replyHead(head.status, head.reason, responseHeaders(head.headers, head.hopNames), bodyBytes);
    return false;
  }
  #becomeTunnel(headers: HeaderList, hopNames: readonly string[], upgrade: string): void {
    this.#isTunnel = true;
    this.#isSent = true;
    const list = [...responseHeaders(headers, hopNames), 'connection', 'upgrade', 'upgrade', upgrade];
    this.#user.replyHead(101, '', list, undefined);
    this.#user.wantBody();
    const early = this.#pending;
    this.#pending = nothing;
    if (early.length > 0) this.#pass(early);
  }
  #readBody(): void {
    const bytes = this.#pending;
    this.#pending = nothing;
    let isFull = false;
    const used = this.#reader!.read(bytes, (part) => {
      if (!this.#user.replyBody(part)) isFull = true;
    });
    if (!this.#request) return;
    if (used === undefined) return this.#fail('broken');
    if (this.#reader!.isDone) {
      if (used < bytes.length) this.#keepsAlive = false; // more than it said
      this.#finish();
    } else if (isFull) this.#hold();
  }
  #pass(bytes: Buffer): void {
    if (!this.#user.replyBody(bytes)) this.#hold();
  }
  #hold(): void {
    this.deadlineMs = Infinity; // it is the client that is waited for
    this.#wire.pause();
  }
  #finish(): void {
    const user = this.#user;
    const isKept = this.#keepsAlive && this.#isSent;
    this.#user = idleUser;
    this.#request = undefined;
    this.#reader = undefined;
    this.#served++;
    this.deadlineMs = Infinity;
    if (!isKept) this.#wire.destroy();
    else {
      this.#wire.resume();
      this.onFree(this);
    }
    user.replyEnd();
  }

  drained(): void {
    this.#user.wantBody();
  }
  ended(): void {
    if (this.#isTunnel) this.#user.replyEnd();
    else if (this.#request && this.#reader?.untilClose) this.#finish();
    else this.#wire.destroy();
  }
  closed(): void {
    this.isClosed = true;
    this.deadlineMs = Infinity;
    if (this.#request)
      this.#fail(this.#pending.length === 0 && !this.#reader && this.#served > 0 ? 'unanswered' : 'broken');
    this.onClosed(this);
  }
  expire(): void {
    if (this.#request) this.#fail('silent');
    else this.#wire.destroy();
  }
  /** It is of no more use: gone at once when idle. */
  retire(): void {
    this.#keepsAlive = false;
    if (!this.#request) this.#wire.destroy();
  }
  #fail(why: 'unanswered' | 'broken' | 'silent'): void {
    const user = this.#user;
    this.#user = idleUser;
    this.#request = undefined;
    this.#wire.destroy();
    user.failed(why);
  }
  #wait(): void {
    const { tunnelMs, responseMs } = this.#timeouts;
    this.deadlineMs = this.clock.monotonicMs() + (this.#isTunnel ? tunnelMs : responseMs);
  }
}

/** What an answer without a body says of the one that another method would get. */
function lengthOf(headers: HeaderList): number | undefined {
  for (let at = 0; at < headers.length; at += 2) if (headers[at] === 'content-length') return Number(headers[at + 1]);
  return undefined;
}
