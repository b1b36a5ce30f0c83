import { messageOf } from '#base';
import type { EndpointSlice } from '../api/gen/types.ts';

/** What a load balancer asks each host: whether a service that keeps clients' addresses has anybody there. */
export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** Ready endpoints on this host, by address family; absent: the service does not have that family. */
  readonly local: { readonly 4?: number; readonly 6?: number };
}
export interface HealthChecksOptions {
  /** Rules are up to date, or soon will be. */
  readonly isHealthy: () => boolean;
  /** Addresses that answer; absent: all of this host. */
  readonly addresses?: () => readonly string[];
}
interface Open {
  check: HealthCheck;
  readonly places: string;
  readonly servers: readonly Disposable[];
}
const idleSeconds = 10;

/** HTTP servers on health check node ports: 200 with local endpoints, 503 without, in the form that cloud load balancers know. */
export class HealthChecks implements Disposable {
  readonly #open = new Map<string, Open>();
  constructor(private readonly options: HealthChecksOptions) {}

  /** Resolves to those that cannot be served, by `namespace/name`. They are tried again the next time. */
  sync(wanted: ReadonlyMap<string, HealthCheck>): ReadonlyMap<string, string> {
    const failed = new Map<string, string>();
    const hosts = new Map([...wanted].map(([key, check]) => [key, this.#placesOf(check)]));
    for (const [key, { places }] of [...this.#open])
      if (hosts.get(key)?.map(textOf).join() !== places) this.#close(key);
    for (const [key, check] of wanted) {
      const open = this.#open.get(key);
      if (open) {
        open.check = check;
        continue;
      }
      try {
        this.#serve(key, check, hosts.get(key)!);
      } catch (error) {
        failed.set(key, messageOf(error));
      }
    }
    return failed;
  }
  [Symbol.dispose](): void {
    for (const key of [...this.#open.keys()]) this.#close(key);
  }

  #placesOf({ port, local }: HealthCheck): Place[] {
    const hostnames = this.options.addresses?.() ?? ['0.0.0.0', '::'];
    return hostnames
      .map((hostname): Place => ({ hostname, port, family: hostname.includes(':') ? 6 : 4 }))
      .filter(({ family }) => local[family] !== undefined);
  }
  #serve(key: string, check: HealthCheck, places: readonly Place[]): void {
    const servers: Disposable[] = [];
    const open: Open = { check, places: places.map(textOf).join(), servers };
    this.#open.set(key, open);
    try {
      for (const { hostname, port, family } of places)
        servers.push(
          Bun.serve({
            hostname,
            port,
            ipv6Only: family === 6,
            idleTimeout: idleSeconds,
            fetch: () => answerOf(open.check, family, this.options.isHealthy()),
          }),
        );
    } catch (error) {
      this.#close(key);
      throw error;
    }
  }
  #close(key: string): void {
    for (const server of this.#open.get(key)?.servers ?? []) server[Symbol.dispose]();
    this.#open.delete(key);
  }
}
interface Place {
  readonly hostname: string;
  readonly port: number;
  readonly family: 4 | 6;
}
const textOf = ({ hostname, port }: Place): string => `${hostname} ${port}`;

/** Upstream's, to the letter: programs parse it. */
export function answerOf({ namespace, name, local }: HealthCheck, family: 4 | 6, isHealthy: boolean): Response {
  const localEndpoints = local[family] ?? 0;
  const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy: isHealthy };
  return new Response(JSON.stringify(body, undefined, '\t'), {
    status: localEndpoints > 0 && isHealthy ? 200 : 503,
    headers: {
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
    },
  });
}

/** Addresses with a ready endpoint on that host, counted for each family of the service. */
export function localReady(
  slices: readonly Readonly<EndpointSlice>[],
  families: readonly (4 | 6)[],
  nodeName: string,
): HealthCheck['local'] {
  return Object.fromEntries(
    families.map((family) => {
      const ends = slices
        .filter(({ addressType }) => addressType === `IPv${family}`)
        .flatMap(({ endpoints = [] }) => endpoints)
        .filter((one) => one.nodeName === nodeName && (one.conditions?.ready ?? true));
      return [family, new Set(ends.map(({ addresses }) => addresses[0])).size];
    }),
  );
}
