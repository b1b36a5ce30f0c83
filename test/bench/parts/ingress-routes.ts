import { type Certificate, defaultBodyBytesMax, type Routing } from '../../../plugins/ingress/model.ts';
import { backendOf, hostOf, routeTo, routingOf } from '../../fixtures/ingress-routing.ts';

/** Which host and path are asked for: of the last host, the deepest path. */
export const benchTarget = (routes: number) => ({
  host: `h${Math.ceil(routes / 10) - 1}.bench.example`,
  path: '/shop/v9/items',
});

/** So many routes over hosts of ten paths each. `turn` makes another routing: a host of its own, and an endpoint that comes and goes. */
export function benchRouting(
  certificate: Certificate,
  routes: number,
  ports: readonly number[],
  turn: number,
): Routing {
  const hosts = Array.from({ length: Math.ceil(routes / 10) }, (_unused, index) =>
    hostOf(
      `h${index}.bench.example`,
      Object.fromEntries(
        Array.from({ length: 10 }, (_none, path) => [
          `/shop/v${path}`,
          routeTo(`b${index % 50}`, { id: `${index}-${path}`, requestBodyBytesMax: defaultBodyBytesMax }),
        ]),
      ),
    ),
  );
  const backends = Array.from({ length: Math.min(50, hosts.length) }, (_unused, index) =>
    backendOf(`b${index}`, turn % 2 && ports.length > 1 ? ports.slice(1) : ports),
  );
  const extra = hostOf(`turn${turn}.bench.example`, { '/': routeTo('b0', { id: `turn${turn}` }) });
  return routingOf(certificate, { hosts: [...hosts, extra], backends });
}
