import type { Clock } from '#sdk';
import type { Limits } from '../model.ts';
import type { Forwarded, Replier } from './exchange.ts';
import { type BodyReader, chunkOf, lastChunk, readerOf } from './http1-body.ts';
import { type HeaderList, parseRequest, type RequestHead } from './http1-head.ts';
import { reasonOf } from './reasons.ts';
import type { Wire, WireUser } from './wire.ts';

/** What a connection of a client needs of its server. */
export interface FrontDoor {
  readonly clock: Clock;
  readonly limits: Limits;
  /** Connections should end at the next occasion. */
  readonly isClosing: boolean;
  serve(asked: RequestHead, wire: Wire, replier: Replier): Forwarded;
  /** A request that could not be read. */
  refused(status: number): void;
  left(front: Http1Front): void;
}

const lingerMs = 2_000;
const headEnd = Buffer.from('\r\n\r\n');
const nothing = Buffer.alloc(0);
const noForwarded: Forwarded = { body: () => true, end() {}, abort() {}, wantReply() {} };
type State =
  | 'head' // between requests, or within a head
  | 'serving' // a request is under way
  | 'tunnel'
  | 'lingering' // our end is closed; what still comes is dropped, since a reset could overtake the answer
  | 'closed';

/** A client's HTTP/1 connection: requests one after the other, those sent ahead wait unread. */
export class Http1Front implements WireUser, Replier {
  #state: State = 'head';
  #pending: Buffer = nothing;
  #searched = 0;
  #request: RequestHead | undefined;
  #reader: BodyReader | undefined;
  #isBodyDone = true;
  #isBodyWanted = false;
  #forwarded: Forwarded = noForwarded;
  #unsentHead = '';
  #isReplying = false;
  #framing: 'length' | 'chunked' | 'close' | 'none' = 'none';
  #keepsAlive = true;
  #hasEnded = false;
  #isReading = false;
  #isContinueDue = false;
  /** What was written waits for the client to read. */
  #isBlocked = false;
  /** Of `clock.monotonicMs`: then it is cut. */
  deadlineMs: number;

  constructor(
    private readonly wire: Wire,
    private readonly door: FrontDoor,
  ) {
    this.deadlineMs = door.clock.monotonicMs() + door.limits.requestHeaderMs;
    wire.user = this;
  }

  get hasBegun(): boolean {
    return this.#isReplying;
  }
  get isIdle(): boolean {
    return this.#state === 'head' && this.#pending.length === 0;
  }

  // ---- from the client
  data(bytes: Buffer): void {
    if (this.#state === 'lingering') return;
    if (this.#state === 'tunnel') {
      if (!this.#forwarded.body(bytes)) this.wire.pause();
      return;
    }
    if (this.isIdle) this.#wait(this.door.limits.requestHeaderMs);
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    this.#read();
  }

  /** Works through what has come, as far as it may. */
  #read(): void {
    if (this.#isReading) return; // an answer within `serve`: the loop below goes on by itself
    this.#isReading = true;
    while (this.#pending.length > 0 && (this.#state === 'head' ? this.#readHead() : this.#readBody()));
    this.#isReading = false;
    const isFull = this.#pending.length > 0 && this.#state === 'serving';
    if (isFull) this.wire.pause();
    else if (this.#state !== 'closed' && this.#state !== 'tunnel') this.wire.resume();
    if (this.#hasEnded) this.#sawEnd();
  }

  /** True: go on. */
  #readHead(): boolean {
    if (this.#pending[0] === 13 && this.#pending[1] === 10) {
      this.#pending = this.#pending.subarray(2); // an empty line before a request line is overlooked (RFC 9112, 2.2)
      return true;
    }
    const end = this.#pending.indexOf(headEnd, Math.max(0, this.#searched - 3));
    const { requestHeaderBytesMax, requestHeadersMax } = this.door.limits;
    if (end > requestHeaderBytesMax || (end < 0 && this.#pending.length > requestHeaderBytesMax)) {
      const isLine = this.#pending.subarray(0, requestHeaderBytesMax).indexOf('\r\n') < 0;
      return this.#refuse(isLine ? 414 : 431);
    }
    if (end < 0) {
      this.#searched = this.#pending.length;
      return false;
    }
    const request = parseRequest(this.#pending.toString('latin1', 0, end), requestHeadersMax);
    this.#pending = this.#pending.subarray(end + 4);
    this.#searched = 0;
    if ('refused' in request) return this.#refuse(request.refused);
    this.#begin(request);
    return true;
  }

  #begin(request: RequestHead): void {
    this.#state = 'serving';
    this.#request = request;
    this.#reader = readerOf(request.framing);
    this.#isBodyDone = request.framing.type === 'none';
    this.#isBodyWanted = false;
    this.#isContinueDue = request.expectsContinue;
    this.#isReplying = false;
    this.#keepsAlive = request.keepAlive && !this.door.isClosing;
    this.deadlineMs = Infinity; // the backend's own limits hold
    this.#forwarded = noForwarded;
    const forwarded = this.door.serve(request, this.wire, this);
    if (this.#request !== request) return; // answered already
    this.#forwarded = forwarded;
    if (this.#isBodyDone) forwarded.end();
  }

  #readBody(): boolean {
    if (this.#state !== 'serving' || this.#isBodyDone || !this.#isBodyWanted) return false;
    const reader = this.#reader!;
    const bytes = this.#pending;
    this.#pending = nothing;
    const used = reader.read(bytes, (part) => {
      if (!this.#forwarded.body(part)) this.#isBodyWanted = false;
    });
    if (this.#state !== 'serving') return false; // it was answered meanwhile
    if (used === undefined) {
      this.#forwarded.abort();
      if (!this.#isReplying) this.#refuse(400);
      else this.wire.destroy();
      return false;
    }
    this.#pending = used === bytes.length ? nothing : bytes.subarray(used);
    if (this.#isBodyWanted) this.#wait(this.door.limits.requestBodyIdleMs);
    else this.deadlineMs = Infinity; // it is the backend that is waited for
    if (reader.isDone) {
      this.#isBodyDone = true;
      this.deadlineMs = Infinity;
      this.#forwarded.end();
    }
    return true;
  }

  drained(): void {
    this.#isBlocked = false;
    if (this.#state === 'serving') this.deadlineMs = this.#isBodyDone ? Infinity : this.deadlineMs;
    this.#forwarded.wantReply();
  }
  ended(): void {
    this.#hasEnded = true;
    this.#sawEnd();
  }
  #sawEnd(): void {
    if (this.#state === 'serving' && this.#isBodyDone)
      this.#keepsAlive = false; // it may still read the answer
    else if (this.#state === 'tunnel') this.#forwarded.end();
    else if (this.#state !== 'closed' && !(this.#state === 'serving' && this.#pending.length > 0)) this.wire.destroy();
  }
  closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#pending = nothing;
    const forwarded = this.#forwarded;
    this.#forwarded = noForwarded;
    this.#request = undefined;
    forwarded.abort();
    this.door.left(this);
  }
  /** The deadline has passed. */
  expire(): void {
    if (this.#state === 'serving' && !this.#isReplying) {
      this.#forwarded.abort();
      this.#refuse(408);
    } else this.wire.destroy();
  }
  cut(): void {
    this.wire.destroy();
  }
  /** The server ends: at once when nothing is under way. */
  retire(): void {
    this.#keepsAlive = false;
    if (this.isIdle) this.wire.destroy();
  }

  #wait(ms: number): void {
    this.deadlineMs = this.door.clock.monotonicMs() + ms;
  }
  #refuse(status: number): false {
    this.door.refused(status);
    const text = `${status} ${reasonOf(status)}\n`;
    const head = `HTTP/1.1 ${status} ${reasonOf(status)}\r\ncontent-type: text/plain\r\ncontent-length: ${text.length}\r\nconnection: close\r\n\r\n`;
    this.wire.write(Buffer.from(head + text, 'latin1'));
    this.#linger();
    return false;
  }
  #linger(): void {
    this.#state = 'lingering';
    this.#request = undefined;
    this.#forwarded = noForwarded;
    this.#pending = nothing;
    this.#wait(this.#isBlocked ? this.door.limits.requestBodyIdleMs : lingerMs);
    this.wire.resume();
    this.wire.end();
  }

  // ---- from the backend
  head(status: number, reason: string, headers: HeaderList, bodyBytes: number | undefined): void {
    const request = this.#request;
    if (!request || this.#isReplying) return;
    this.#isReplying = true;
    let text = `HTTP/1.1 ${status} ${reason || reasonOf(status)}\r\n`;
    for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
    if (status === 101) {
      this.#state = 'tunnel';
      this.deadlineMs = Infinity;
      this.#unsentHead = `${text}\r\n`;
      this.flush();
      if (this.#pending.length > 0) {
        const early = this.#pending;
        this.#pending = nothing;
        if (!this.#forwarded.body(early)) this.wire.pause();
      }
      return;
    }
    this.#framing = framingFor(request, status, bodyBytes);
    if (!this.#isBodyDone || this.#framing === 'close') this.#keepsAlive = false;
    if (this.#framing === 'chunked') text += 'transfer-encoding: chunked\r\n';
    else if (bodyBytes !== undefined && status !== 204 && status !== 304) text += `content-length: ${bodyBytes}\r\n`;
    if (!this.#keepsAlive) text += 'connection: close\r\n';
    else if (request.isHttp10) text += 'connection: keep-alive\r\n';
    this.#unsentHead = `${text}\r\n`;
  }

  body(part: Buffer): boolean {
    if (this.#state === 'tunnel') return this.wire.write(part);
    if (!this.#request || this.#framing === 'none' || part.length === 0) return true;
    return this.#send(this.#framing === 'chunked' ? chunkOf(part) : part);
  }
  #send(bytes: Buffer): boolean {
    let whole = bytes;
    if (this.#unsentHead !== '') {
      const head = Buffer.from(this.#unsentHead, 'latin1');
      whole = bytes.length === 0 ? head : Buffer.concat([head, bytes]);
      this.#unsentHead = '';
    }
    const isSent = this.wire.write(whole);
    if (isSent) return true;
    this.#isBlocked = true;
    this.#wait(this.door.limits.requestBodyIdleMs); // a client that does not read is cut
    return false;
  }
  flush(): void {
    if (this.#unsentHead !== '') this.#send(nothing);
  }
  end(): void {
    if (this.#state === 'tunnel') {
      this.wire.end();
      return;
    }
    if (!this.#request) return;
    if (this.#framing === 'chunked') this.#send(lastChunk);
    else this.flush();
    this.#request = undefined;
    const forwarded = this.#forwarded;
    this.#forwarded = noForwarded;
    if (!this.#isBodyDone) forwarded.abort(); // what still comes of it leads nowhere
    if (!this.#keepsAlive || this.#hasEnded || this.door.isClosing) {
      this.#linger();
      return;
    }
    this.#state = 'head';
    this.#wait(this.#pending.length > 0 ? this.door.limits.requestHeaderMs : this.door.limits.keepAliveMs);
    if (this.#pending.length > 0) this.#read();
    else if (!this.#isReading) this.wire.resume();
  }
  abort(): void {
    if (this.#state === 'serving' || this.#state === 'tunnel') this.wire.destroy();
  }
  wantBody(): void {
    if (this.#state === 'tunnel') this.wire.resume();
    if (this.#state !== 'serving' || this.#isBodyDone || this.#isBodyWanted) return;
    this.#isBodyWanted = true;
    this.#wait(this.door.limits.requestBodyIdleMs);
    if (this.#isContinueDue && !this.#isReplying) {
      this.#isContinueDue = false;
      this.wire.write(Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1'));
    }
    this.#read();
  }
}

function framingFor(
  { method, isHttp10 }: RequestHead,
  status: number,
  bodyBytes: number | undefined,
): 'length' | 'chunked' | 'close' | 'none' {
  if (method === 'HEAD' || status === 204 || status === 304) return 'none';
  if (bodyBytes !== undefined) return 'length';
  return isHttp10 ? 'close' : 'chunked';
}
