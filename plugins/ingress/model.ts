/**
 * What an ingress data plane serves: plain data without a Kubernetes word, whole and never a delta. Written so that every
 * driver needs only look-ups, and so that Ingress today and HTTPRoute next can be turned into it.
 *
 * A request's way: listener → `hosts` (the exact name, else the wildcard above it, else '') → the path (exact, else the longest
 * prefix by elements) → the first of that path's routes whose conditions hold → its action. Where one step finds nothing,
 * `fallback` answers; a host that is found is not left again.
 */
export interface Routing {
  readonly listeners: readonly Listener[];
  /** Each host once. */
  readonly hosts: readonly VirtualHost[];
  /** Each id once; every target names one of them. */
  readonly backends: readonly Backend[];
  /** Each id and each name once. Checked: the key fits and nothing is malformed. */
  readonly certificates: readonly Certificate[];
  /** For connections that name no host, or one without a certificate. */
  readonly defaultCertificate: Certificate;
  /** Absent: 404. */
  readonly fallback?: Action;
  readonly limits: Limits;
}

export interface Listener {
  /** `http`, `https`. */
  readonly name: string;
  readonly protocol: 'http' | 'https';
  readonly ip: string;
  /** 0: the driver chooses, and shows it in `listening`. */
  readonly port: number;
}

export interface VirtualHost {
  /** Lower case: `shop.example`; `*.shop.example`, which stands for exactly one label; `''` for every other name. */
  readonly host: string;
  /** Each match once; in any order, since the most specific one counts: exact before prefix, longer before shorter. */
  readonly paths: readonly PathRoutes[];
}

export interface PathRoutes {
  readonly match: PathMatch;
  /** Not empty; the first whose conditions hold counts. The last one has none: who fills this appends those of the shorter path. */
  readonly routes: readonly Route[];
}

/**
 * Compared with the path of the request target as sent, without its query: neither decoded nor normalised. `value` begins
 * with a slash. A prefix is compared by elements: `/foo` is for `/foo`, `/foo/` and `/foo/bar`, not for `/foobar`, and has no
 * slash at its end (except `/` itself).
 */
export interface PathMatch {
  readonly type: 'exact' | 'prefix';
  readonly value: string;
}

export interface Route {
  /** Stable and unique, `[A-Za-z0-9._/:-]`; for logs and metrics. */
  readonly id: string;
  /** All of them hold. Absent or empty: always. */
  readonly conditions?: readonly Condition[];
  readonly action: Action;
  /** Requests that came without TLS are sent to the same place with it, with this status. */
  readonly httpsRedirect?: RedirectStatus;
  /** Value of Strict-Transport-Security on answers over TLS. */
  readonly hsts?: { readonly maxAgeSeconds: number; readonly includeSubdomains: boolean };
  /** Above it 413. 0: no bound. */
  readonly requestBodyBytesMax: number;
}

export type Condition =
  /** `name` in lower case. Without a value: the header is there. */
  | { readonly type: 'header'; readonly name: string; readonly value?: string }
  | { readonly type: 'cookie'; readonly name: string; readonly value?: string }
  | { readonly type: 'method'; readonly value: string };

export type Action = Forward | Redirect | Answer;

export interface Forward {
  readonly type: 'forward';
  /** Weights are at least 1 and need not sum to anything. Targets whose backend has no endpoints are left out; none left: 503. */
  readonly targets: readonly { readonly backend: string; readonly weight: number }[];
  /** Of the path, with which the route's own match made it begin; both as in PathMatch. An exact match has none. */
  readonly replacePrefix?: { readonly from: string; readonly to: string };
}

export type RedirectStatus = 301 | 302 | 303 | 307 | 308;
export interface Redirect {
  readonly type: 'redirect';
  readonly status: RedirectStatus;
  /** What is absent stays as the request had it. `path` replaces the whole path and the query. */
  readonly scheme?: 'http' | 'https';
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
}

/** An answer of the data plane's own, as text/plain. */
export interface Answer {
  readonly type: 'answer';
  readonly status: number;
}

/** Endpoints and how one speaks to them. Two rules that speak differently to one service have two backends. */
export interface Backend {
  /** Stable and unique, `[A-Za-z0-9._/:-]`, such as `shop/web:http`. */
  readonly id: string;
  /** `grpc` is h2c whose own failures are told as gRPC statuses. An upgrade (WebSocket) goes through `http1`. */
  readonly protocol: 'http1' | 'h2c' | 'grpc';
  /** Sorted, each once. Only those that may get new requests. */
  readonly endpoints: readonly Endpoint[];
  readonly timeouts: Timeouts;
  /**
   * How often another endpoint is tried when one cannot be connected to. A request that was sent is not sent again; except one
   * without a body, of a method that may be repeated, whose kept connection turns out to have been closed by the backend.
   */
  readonly connectRetries: number;
}
export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}
export interface Timeouts {
  readonly connectMs: number;
  /** Between two bytes from the backend, and until its first: 504. */
  readonly responseMs: number;
  /** Without a byte in either direction of an upgraded connection. */
  readonly tunnelMs: number;
}

export interface Certificate {
  /** `namespace/secret`. */
  readonly id: string;
  /** Differs whenever cert or key do. */
  readonly version: string;
  /** Lower case, wildcards of one label included. Empty for the default certificate. */
  readonly names: readonly string[];
  /** PEM, the leaf first. */
  readonly cert: string;
  readonly key: string;
}

export interface Limits {
  /** Request line and headers together: 431, or 414 for the line alone. */
  readonly requestHeaderBytesMax: number;
  readonly requestHeadersMax: number;
  /** Until the head of a request is complete, from its first byte: the connection is closed (slow loris). */
  readonly requestHeaderMs: number;
  /** Between two bytes of a request's body: 408. */
  readonly requestBodyIdleMs: number;
  /** Between two requests of a connection. */
  readonly keepAliveMs: number;
  readonly connectionsMax: number;
  /**
   * Peers (CIDR) whose X-Forwarded-For, -Proto and -Host are believed and added to. Of everybody else they are replaced.
   */
  readonly trustedProxies: readonly string[];
}

export const defaultLimits: Limits = {
  requestHeaderBytesMax: 16_384,
  requestHeadersMax: 100,
  requestHeaderMs: 10_000,
  requestBodyIdleMs: 60_000,
  keepAliveMs: 75_000,
  connectionsMax: 10_000,
  trustedProxies: [],
};
export const defaultTimeouts: Timeouts = { connectMs: 2_000, responseMs: 60_000, tunnelMs: 3_600_000 };
export const defaultBodyBytesMax = 64 * 1024 * 1024;
