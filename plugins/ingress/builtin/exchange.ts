import type { HeaderList } from './http1-head.ts';

/** A request as both versions of HTTP bring it. */
export interface Asked {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** Lower case, without a port. */
  readonly host: string;
  /** As sent. */
  readonly authority: string;
  readonly headers: HeaderList;
  /** Names that Connection says are for one hop alone. */
  readonly hopNames: readonly string[];
  /** 0: none; undefined: it is known at its end. */
  readonly bodyBytes: number | undefined;
  readonly upgrade?: string;
  readonly isSecure: boolean;
  /** Address of the client's end of the connection. */
  readonly peer: string;
  /** The own port. */
  readonly port: number;
}

/** The client's side of an exchange. After `end` or `abort` every call is void. */
export interface Replier {
  /** An answer has begun. */
  readonly hasBegun: boolean;
  /** 101 makes it a tunnel: bytes in both directions as they are. `bodyBytes` as in Asked. */
  head(status: number, reason: string, headers: HeaderList, bodyBytes: number | undefined): void;
  /** False: wait for `wantReply`. */
  body(part: Buffer): boolean;
  end(trailers?: HeaderList): void;
  /** What was begun cannot be finished; the client must see that. */
  abort(): void;
  /** What was held back to be sent together goes out. */
  flush(): void;
  /** The request's body may come, or go on. */
  wantBody(): void;
}

/** The backend's side. After `abort` every call is void. */
export interface Forwarded {
  /** False: wait for `wantBody`. */
  body(part: Buffer): boolean;
  end(): void;
  /** The client has gone. */
  abort(): void;
  wantReply(): void;
}

/** Of requests that are answered here. */
export const answered: Forwarded = { body: () => true, end() {}, abort() {}, wantReply() {} };

/** What a backend's connection tells. */
export interface BackendUser {
  replyHead(status: number, reason: string, headers: HeaderList, bodyBytes: number | undefined): void;
  /** False: the connection stops reading until `wantReply`. */
  replyBody(part: Buffer): boolean;
  replyEnd(trailers?: HeaderList): void;
  /** All that came at once was told. */
  flush(): void;
  wantBody(): void;
  /** `unanswered`: not a byte came on a connection that had served before; the backend had probably closed it. */
  failed(why: 'unanswered' | 'broken' | 'silent'): void;
}
