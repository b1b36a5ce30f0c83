import { familyOf, ranges, type Service } from '#sdk';
import { type AddressPool, addressesAnnotation, ownClass, poolAnnotation } from './kinds.ts';
import { firstFree, holds, type Span, spansOf } from './spans.ts';

type ServiceObject = Readonly<Service>;

/** Whether its addresses are given here: services of other classes belong to others. */
export const isServed = ({ spec }: ServiceObject): boolean =>
  spec?.type === 'LoadBalancer' && (spec.loadBalancerClass === undefined || spec.loadBalancerClass === ownClass);
export const addressesOf = ({ status }: ServiceObject): string[] =>
  (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);

/**
 * What the others have. Where two have the same address, because somebody wrote it, the older service keeps it.
 * `others`: of all served services; the one itself may be among them.
 */
export function takenFrom(service: ServiceObject, others: Iterable<ServiceObject>): Set<string> {
  const taken = new Set<string>();
  const own = addressesOf(service);
  const age = ({ metadata }: ServiceObject) => `${metadata?.creationTimestamp} ${metadata?.uid}`;
  for (const other of others)
    if (other.metadata?.uid !== service.metadata?.uid && isServed(other))
      for (const ip of addressesOf(other)) if (!own.includes(ip) || age(other) < age(service)) taken.add(ip);
  return taken;
}

export type Plan = { readonly ips: readonly string[] } | { readonly failure: string };

/** The addresses of a service, one for each of its families: those that it has, if they still may be its. Pure. */
export function planAddresses(
  service: ServiceObject,
  pools: readonly Readonly<AddressPool>[],
  taken: ReadonlySet<string>,
): Plan {
  const annotations = service.metadata?.annotations ?? {};
  const wanted = wishesOf(service);
  const malformed = wanted.find((ip) => !ranges.isAddress(ip));
  if (malformed !== undefined) return { failure: `${JSON.stringify(malformed)} is no address` };
  const named = annotations[poolAnnotation];
  if (named !== undefined && !pools.some(({ metadata }) => metadata.name === named))
    return { failure: `there is no AddressPool ${JSON.stringify(named)}` };
  if (pools.length === 0)
    return { failure: 'no AddressPool gives addresses: create one (kubectl explain addresspool.spec)' };
  const usable = pools.filter(({ metadata, spec }) =>
    named !== undefined ? metadata.name === named : wanted.length > 0 || spec.autoAssign !== false,
  );
  const spans = usable.map(({ spec }) => spansOf(spec.addresses));
  const families = (service.spec?.ipFamilies ?? ['IPv4']).map((family) => (family === 'IPv6' ? 6 : 4));
  const found: string[] = [];
  const failures: string[] = [];
  for (const family of families) {
    const wish = wanted.find((ip) => familyOf(ip) === family);
    const chosen = wish === undefined ? choose(service, family, spans, taken) : asked(wish, spans, taken);
    if ('ip' in chosen) found.push(chosen.ip);
    else failures.push(chosen.failure);
  }
  const needsAll = wanted.length > 0 || service.spec?.ipFamilyPolicy !== 'PreferDualStack';
  const failure = failures[0];
  return failure !== undefined && (needsAll || found.length === 0) ? { failure } : { ips: found };
}

type Chosen = { readonly ip: string } | { readonly failure: string };

const wishesOf = ({ metadata, spec }: ServiceObject): string[] =>
  (metadata?.annotations?.[addressesAnnotation] ?? spec?.loadBalancerIP ?? '')
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');

function asked(ip: string, pools: readonly (readonly Span[])[], taken: ReadonlySet<string>): Chosen {
  if (!pools.some((spans) => holds(spans, ip))) return { failure: `no AddressPool that it may use holds ${ip}` };
  return taken.has(ip) ? { failure: `another service has ${ip}` } : { ip };
}

function choose(
  service: ServiceObject,
  family: 4 | 6,
  pools: readonly (readonly Span[])[],
  taken: ReadonlySet<string>,
): Chosen {
  const kept = addressesOf(service).find(
    (ip) => familyOf(ip) === family && !taken.has(ip) && pools.some((spans) => holds(spans, ip)),
  );
  if (kept !== undefined) return { ip: kept };
  for (const spans of pools) {
    const ip = firstFree(spans, family, taken);
    if (ip !== undefined) return { ip };
  }
  const isAny = pools.some((spans) => spans.some((span) => span.family === family));
  return {
    failure: isAny
      ? `every IPv${family} address of the pools is taken`
      : `no AddressPool that it may use has IPv${family} addresses`,
  };
}
