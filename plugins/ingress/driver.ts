import type { Listener, Routing } from './model.ts';

/**
 * Serves a routing: one data plane on one host. It is made with what it needs of the machine and listens to nothing before the
 * first `apply`. Disposal closes the listeners and waits a bounded time for requests that are under way; nothing is left
 * (processes, files, sockets).
 *
 * What every driver does with a request besides routing it (test/contracts/ingress-driver.ts):
 * - Host: exactly one, well-formed, its port ignored; else 400. The target: origin form, or absolute form, whose host counts.
 * - Refused with 400: Content-Length together with Transfer-Encoding, two Content-Lengths, a coding other than chunked,
 *   control characters or white space in names, bare CR or NUL anywhere, folded headers.
 * - To the backend: hop-by-hop headers (and those that Connection names) are gone, except of an upgrade; X-Forwarded-For, -Proto,
 *   -Host and -Port and X-Real-IP say what this end of the connection saw; nobody else's, unless the peer is trusted.
 * - No endpoint 503, none connectable 502 (after `connectRetries`), a broken answer 502, silence 504, too large 413 / 431 / 414.
 */
export interface IngressDriver extends AsyncDisposable {
  readonly name: 'builtin' | 'haproxy';
  /** Where it listens now: those of the last routing that could be had, with their real ports. */
  readonly listening: readonly Listener[];
  /**
   * Brings the routing into force; calls are made one after the other. Resolves when every request that begins from now on is
   * served by it; no request and no connection under way is harmed, whatever changed. What cannot be served is left out and
   * named, everything else is in force. Rejects only when nothing changed: the former routing is then still in force.
   */
  apply(routing: Routing): Promise<Applied>;
  /** For the node's own health and the status of Ingresses: a sentence when it does not serve. */
  health(): Promise<{ readonly ok: true } | { readonly ok: false; readonly reason: string }>;
  /** Prometheus' text format; the names of metrics.ts, the same with every driver. Bounded in size: routes, not requests. */
  metrics(): Promise<string>;
}

export interface Applied {
  /** `id`: of a listener (name), host, route, backend or certificate. */
  readonly rejected: readonly { readonly id: string; readonly reason: string }[];
  /** True when processes or listeners were replaced for it. */
  readonly reloaded: boolean;
}
