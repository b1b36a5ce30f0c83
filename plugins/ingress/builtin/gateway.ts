import { type Clock, cidrContains } from '#sdk';
import type { Action, Condition, Forward, Redirect, Route, Routing } from '../model.ts';
import { type Asked, answered, type Forwarded, type Replier } from './exchange.ts';
import { cookieOf, headerOf, requestHeaders } from './forwarded.ts';
import { Forwarding } from './forwarding.ts';
import type { HeaderList } from './http1-head.ts';
import type { IngressMetrics } from './ingress-metrics.ts';
import { Pools } from './pools.ts';
import { reasonOf } from './reasons.ts';
import { compile, type Table } from './table.ts';

const grpcUnavailable = '14';
const unrouted = '-'; // as a route, in metrics

/** From a request to its answer: the table says where, the pools how. */
export class Gateway {
  readonly pools: Pools;
  #table: Table;
  #isTrusted: (peer: string) => boolean = () => false;

  constructor(
    routing: Routing,
    private readonly clock: Clock,
    private readonly metrics: IngressMetrics,
  ) {
    this.pools = new Pools(clock);
    this.#table = compile(routing);
    this.use(routing);
  }

  /** From the next request on. */
  use(routing: Routing): void {
    this.#table = compile(routing);
    this.pools.keep(routing.backends);
    const { trustedProxies } = routing.limits;
    this.#isTrusted = (peer) => trustedProxies.some((range) => cidrContains(range, peer));
  }

  serve(asked: Asked, replier: Replier): Forwarded {
    const query = asked.target.indexOf('?');
    const path = query < 0 ? asked.target : asked.target.slice(0, query);
    const has = (condition: Condition) => holds(condition, asked);
    const table = this.#table;
    const route = table.find(asked.host, path, has);
    const answer = new Answer(asked, replier, route, this.clock.monotonicMs(), this.clock, this.metrics);
    if (route?.httpsRedirect && !asked.isSecure)
      return answer.redirect({ type: 'redirect', status: route.httpsRedirect, scheme: 'https' });
    const action: Action = route?.action ?? table.routing.fallback ?? { type: 'answer', status: 404 };
    if (action.type === 'answer') return answer.fail(action.status);
    if (action.type === 'redirect') return answer.redirect(action);
    const most = route?.requestBodyBytesMax ?? 0;
    if (most > 0 && asked.bodyBytes !== undefined && asked.bodyBytes > most) return answer.fail(413);
    return this.#forward(asked, replier, route, action, answer, table);
  }

  #forward(
    asked: Asked,
    replier: Replier,
    route: Route | undefined,
    action: Forward,
    answer: Answer,
    table: Table,
  ): Forwarded {
    const backend = table.backendOf(table.next(action) ?? '');
    if (!backend) return answer.fail(503, table.backendOf(action.targets[0]?.backend ?? '')?.protocol === 'grpc');
    const isGrpc = backend.protocol === 'grpc';
    const door = {
      pools: this.pools,
      fail: (status: number) => void answer.fail(status, isGrpc),
      backendFailed: (id: string, why: string) => this.metrics.backendFailed(id, why),
      ended: (status: number) => answer.ended(status),
    };
    const headers = requestHeaders(asked, this.#isTrusted(asked.peer));
    const hsts = asked.isSecure ? answer.hsts : '';
    const forwarding = new Forwarding(asked, replier, route, backend, headers, action, hsts, door);
    forwarding.start();
    return forwarding;
  }
}

function holds(condition: Condition, asked: Asked): boolean {
  if (condition.type === 'method') return asked.method === condition.value;
  const value = (condition.type === 'header' ? headerOf : cookieOf)(asked.headers, condition.name);
  return value !== undefined && (condition.value === undefined || value === condition.value);
}

/** What the data plane says itself, and the count of every answer. */
class Answer {
  #hasBegun = false;
  #isCounted = false;
  constructor(
    private readonly asked: Asked,
    private readonly replier: Replier,
    private readonly route: Route | undefined,
    private readonly beganMs: number,
    private readonly clock: Clock,
    private readonly metrics: IngressMetrics,
  ) {}

  get hsts(): string {
    const hsts = this.route?.hsts;
    return hsts ? `max-age=${hsts.maxAgeSeconds}${hsts.includeSubdomains ? '; includeSubDomains' : ''}` : '';
  }
  ended(status: number): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    this.metrics.answered(this.route?.id ?? unrouted, status, (this.clock.monotonicMs() - this.beganMs) / 1000);
  }
  fail(status: number, isGrpc = false): Forwarded {
    const text = `${status} ${reasonOf(status)}\n`;
    if (isGrpc) {
      const list = ['content-type', 'application/grpc', 'grpc-status', grpcUnavailable, 'grpc-message', text.trim()];
      return this.#say(status, 200, list, '');
    }
    return this.#say(status, status, ['content-type', 'text/plain; charset=utf-8'], text);
  }
  redirect(action: Redirect): Forwarded {
    const location = locationOf(action, this.asked);
    if (location === undefined) return this.fail(400);
    return this.#say(action.status, action.status, ['location', location], '');
  }
  /** `counted`: under which status. Of an answer that began already nothing is left but to cut it. */
  #say(counted: number, status: number, headers: HeaderList, text: string): Forwarded {
    this.ended(counted);
    if (this.#hasBegun || this.replier.hasBegun) this.replier.abort();
    else {
      this.#hasBegun = true;
      if (this.asked.isSecure && this.hsts) headers.push('strict-transport-security', this.hsts);
      this.replier.head(status, '', headers, Buffer.byteLength(text));
      if (text) this.replier.body(Buffer.from(text));
      this.replier.end();
    }
    return answered;
  }
}

/** Undefined where the request names no host to send the client back to. */
function locationOf({ scheme, host, port, path }: Redirect, asked: Asked): string | undefined {
  const name = host ?? asked.host;
  if (name === '') return undefined;
  const own = scheme ?? (asked.isSecure ? 'https' : 'http');
  const given = /:(\d+)$/.exec(asked.authority)?.[1];
  const keepsPort = scheme === undefined && host === undefined && given !== undefined;
  const suffix = port !== undefined ? `:${port}` : keepsPort ? `:${given}` : '';
  return `${own}://${name}${suffix}${path ?? asked.target}`;
}
