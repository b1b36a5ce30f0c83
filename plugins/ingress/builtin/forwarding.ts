import type { Backend, Endpoint, Forward, Route } from '../model.ts';
import type { Asked, BackendUser, Forwarded, Replier } from './exchange.ts';
import type { HeaderList } from './http1-head.ts';
import type { Outgoing, Pools } from './pools.ts';

/** What is asked of the gateway meanwhile. */
export interface ForwardingDoor {
  readonly pools: Pools;
  /** An answer of our own, unless one began; then what was begun is cut. */
  fail(status: number): void;
  backendFailed(backend: string, why: string): void;
  ended(status: number): void;
}
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** One request on its way to one endpoint, or to another when the first cannot be reached. */
export class Forwarding implements Forwarded, BackendUser {
  #call: Forwarded | undefined;
  #isOver = false;
  #isBodyAsked = false;
  #seenBytes = 0;
  #tried: Endpoint[] = [];
  #isRepeated = false;
  #status = 0;
  readonly #outgoing: Outgoing;

  constructor(
    private readonly asked: Asked,
    private readonly replier: Replier,
    private readonly route: Route | undefined,
    private readonly backend: Backend,
    headers: HeaderList,
    action: Forward,
    private readonly hsts: string,
    private readonly door: ForwardingDoor,
  ) {
    const target = replaced(asked.target, action.replacePrefix);
    this.#outgoing = { asked, target, headers, backend, user: this };
  }

  /** Sends it, at once where a connection waits. */
  start(): void {
    const endpoint = this.door.pools.choose(this.backend, this.#tried);
    if (!endpoint) return this.#giveUp(502);
    const call = this.#isRepeated ? undefined : this.door.pools.sendNow(endpoint, this.#outgoing);
    if (call) this.#sent(call);
    else void this.#connect(endpoint);
  }
  async #connect(endpoint: Endpoint): Promise<void> {
    let send: (outgoing: Outgoing) => Forwarded;
    try {
      send = await this.door.pools.connect(endpoint, this.backend);
    } catch {
      this.door.backendFailed(this.backend.id, 'connect');
      if (this.#isOver) return;
      this.#tried.push(endpoint);
      if (this.#tried.length > this.backend.connectRetries) this.#giveUp(502);
      else this.start();
      return;
    }
    this.#sent(send(this.#outgoing));
    if (this.#isOver) this.#call?.abort(); // the client went while we connected
  }
  #sent(call: Forwarded): void {
    this.#call = call;
    if (this.#isBodyAsked) this.replier.wantBody();
  }
  #giveUp(status: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.door.fail(status);
  }

  // ---- from the client
  body(part: Buffer): boolean {
    this.#seenBytes += part.length;
    const most = this.route?.requestBodyBytesMax ?? 0;
    const isTunnel = this.#status === 101;
    if (!isTunnel && most > 0 && this.#seenBytes > most) return this.#refuseBody(413);
    if (!isTunnel && this.asked.bodyBytes !== undefined && this.#seenBytes > this.asked.bodyBytes)
      return this.#refuseBody(400);
    return this.#call?.body(part) ?? true;
  }
  #refuseBody(status: number): true {
    this.#call?.abort();
    this.#giveUp(status);
    return true;
  }
  end(): void {
    if (this.asked.bodyBytes && this.#seenBytes < this.asked.bodyBytes && this.#status !== 101) this.#refuseBody(400);
    else this.#call?.end();
  }
  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call?.abort();
    this.door.ended(this.#status || 499);
  }
  wantReply(): void {
    this.#call?.wantReply();
  }

  // ---- from the backend
  replyHead(status: number, reason: string, headers: HeaderList, bodyBytes: number | undefined): void {
    if (this.#isOver) return;
    this.#status = status;
    if (this.hsts) headers.push('strict-transport-security', this.hsts);
    this.replier.head(status, reason, headers, bodyBytes);
  }
  replyBody(part: Buffer): boolean {
    return this.#isOver || this.replier.body(part);
  }
  replyEnd(trailers?: HeaderList): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.door.ended(this.#status);
    this.replier.end(trailers);
  }
  flush(): void {
    if (!this.#isOver) this.replier.flush();
  }
  wantBody(): void {
    this.#isBodyAsked = true;
    if (this.#call && !this.#isOver) this.replier.wantBody();
  }
  failed(why: 'unanswered' | 'broken' | 'silent'): void {
    if (this.#isOver) return;
    const isSafe = why === 'unanswered' && this.asked.bodyBytes === 0 && repeatable.has(this.asked.method);
    if (isSafe && !this.#isRepeated && this.asked.upgrade === undefined) {
      this.#isRepeated = true;
      this.#call = undefined;
      this.start();
      return;
    }
    this.door.backendFailed(this.backend.id, why);
    this.#giveUp(why === 'silent' ? 504 : 502);
  }
}

/** `/old/x` → `/new/x`. */
function replaced(target: string, prefixes: Forward['replacePrefix']): string {
  if (!prefixes) return target;
  const { from, to } = prefixes;
  const whole = (to === '/' ? '' : to) + target.slice(from === '/' ? 0 : from.length);
  return whole[0] === '/' ? whole : `/${whole}`;
}
