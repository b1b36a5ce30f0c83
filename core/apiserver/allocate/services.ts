import { errors, fieldErrors, invalidObject, type Service, type ServiceSpec } from '#api';
import type { Random } from '#base';
import type { CachedObject } from '../cached-object.ts';
import type { AdmissionHook, AdmissionRequest, AnyObject } from '../contract.ts';
import type { Core } from '../core.ts';
import type { EventSink, ResourceCache } from '../resource-cache.ts';
import { addressesOf, type ServiceAddresses } from './addresses.ts';
import { alignAddresses, chooseFamilies, hasNoAddress, isSettled, keepAddresses } from './families.ts';
import { createIpAddress, removeIpAddress, type ServiceName } from './ip-address.ts';
import { allocatePorts, keepPorts, portsOf, reallocatePorts } from './node-ports.ts';
import { NumberPool } from './numbers.ts';
import { canonical, type Family, familyOf } from './range.ts';

type Spec = ServiceSpec;
const specOf = (object: Readonly<AnyObject> | undefined): Spec | undefined => object?.['spec'] as Spec | undefined;

/** What one write took: which of `clusterIPs`, and whether its client named it. */
interface Taken {
  readonly index: number;
  readonly asked: boolean;
  ip: string;
  /** The service that its IPAddress names; absent before there is one. */
  madeFor?: ServiceName;
}
const collisionsMax = 16;

export interface ServiceAllocatorOptions {
  readonly core: () => Core;
  readonly addresses: ServiceAddresses;
  readonly random: Random;
  readonly nodePorts: readonly [number, number];
}

/**
 * Gives services their virtual addresses and node ports. An address is reserved here and then taken by an IPAddress, whose
 * name is unique in the store: two API servers never give the same. What a deletion or an update frees is given back when the
 * cache sees it; what a crash leaves behind is found by the repair.
 */
export function createServiceAllocator(options: ServiceAllocatorOptions): AdmissionHook {
  const { addresses } = options;
  const [first, last] = options.nodePorts;
  const nodePorts = new NumberPool({ first, last }, options.random);
  const taken = new WeakMap<AnyObject, Taken[]>();
  const releases = new Map<string, Promise<void>>();
  const release = (ip: string, service: CachedObject): void => {
    const work = removeIpAddress(options.core(), ip, service, service.version).finally(() => {
      if (releases.get(ip) === work) releases.delete(ip);
    });
    releases.set(ip, work);
  };
  addresses.services.sinks.add(followServices(addresses.services, nodePorts, release));
  return {
    name: 'ServiceAllocator',
    async mutate(request) {
      const spec = isService(request) ? specOf(request.object) : undefined;
      if (!spec) return;
      const before = specOf(request.current);
      if (before) {
        keepAddresses(spec, before);
        keepPorts(spec, before);
      }
      alignAddresses(spec, before);
      const mistakes = chooseFamilies(spec, before, addresses.families);
      if (mistakes.length > 0) throw invalidObject('Service', '', request.name, mistakes);
      for (const ip of spec.clusterIPs ?? []) await releases.get(canonical(ip)); // of a service that went a moment ago
      taken.set(request.object!, allocateAddresses(request, spec, before, addresses));
      const reserver = { pool: nodePorts, name: request.name, onRollback: request.onRollback };
      if (before) reallocatePorts(spec, before, reserver);
      else allocatePorts(spec, reserver);
    },
    async validate(request) {
      const mine = request.object && isService(request) ? taken.get(request.object) : undefined;
      if (!mine || request.dryRun) return;
      const { namespace = '', name = '' } = request.object!.metadata;
      for (const one of mine) await own(options, request, one, { namespace, name });
    },
  };
}

const isService = ({ kind, subresource }: AdmissionRequest): boolean =>
  kind.plural === 'services' && !kind.group && !subresource;

/** Reserves what is missing, in the order of the families. */
function allocateAddresses(
  request: AdmissionRequest,
  spec: Spec,
  before: Spec | undefined,
  addresses: ServiceAddresses,
): Taken[] {
  if (hasNoAddress(spec) || spec.clusterIPs?.[0] === 'None' || isSettled(spec, before)) return [];
  const had = before && !hasNoAddress(before) ? before : undefined;
  if (had?.clusterIPs?.[0] === 'None') return []; // validation says that this may not change
  const families = (spec.ipFamilies ?? []) as Family[];
  const kept = had ? (had.ipFamilies?.length ?? 0) : 0;
  if (had && !(kept === 1 && families.length === 2)) return []; // no second one came: nothing to give
  const ips = (spec.clusterIPs ??= []);
  while (ips.length < families.length) ips.push('');
  const taken: Taken[] = [];
  for (const [index, family] of families.entries()) {
    if (index < kept) continue;
    const asked = ips[index]!;
    const ip = asked ? takeAsked(request, spec, asked, addresses) : takeAny(request, family, addresses);
    request.onRollback(() => addresses.unreserve(ip));
    ips[index] = ip;
    taken.push({ index, ip, asked: asked !== '' });
  }
  spec.clusterIP = ips[0];
  return taken;
}

function takeAsked(request: AdmissionRequest, spec: Spec, ip: string, addresses: ServiceAddresses): string {
  const why = addresses.reserve(ip, request);
  if (why) throw refusal(request, spec, ip, why);
  return ip;
}
const refusal = (request: AdmissionRequest, spec: Spec, ip: string, why: string) =>
  invalidObject('Service', '', request.name, [
    fieldErrors.invalid('spec.clusterIPs', spec.clusterIPs, `failed to allocate IP ${ip}: ${why}`),
  ]);
const isFull = ({ name }: AdmissionRequest) =>
  errors.internal(`failed to allocate a serviceIP for Service ${JSON.stringify(name)}: range is full`);

function takeAny(request: AdmissionRequest, family: Family, addresses: ServiceAddresses): string {
  if (request.dryRun) return addresses.sample(family);
  const ip = addresses.reserveAny(family);
  if (ip === undefined) throw isFull(request);
  return ip;
}

/** Makes the IPAddress, and another choice where another API server was faster. A generated name may come a second time. */
async function own(
  { core, addresses }: ServiceAllocatorOptions,
  request: AdmissionRequest,
  one: Taken,
  service: ServiceName,
): Promise<void> {
  const spec = specOf(request.object)!;
  if (one.madeFor) await removeIpAddress(core(), canonical(one.ip), one.madeFor);
  for (let collisions = 0; ; collisions++) {
    const { ip } = one;
    if (await createIpAddress(core(), canonical(ip), service)) break;
    if (one.asked) throw refusal(request, spec, ip, 'provided IP is already allocated');
    const next = collisions < collisionsMax ? addresses.reserveAny(familyOf(ip)) : undefined;
    if (next === undefined) throw isFull(request);
    request.onRollback(() => addresses.unreserve(next));
    one.ip = next;
    spec.clusterIPs![one.index] = next;
    spec.clusterIP = spec.clusterIPs![0];
  }
  one.madeFor = service;
  const made = canonical(one.ip);
  addresses.unreserve(made); // taken by the object from now on
  request.onRollback(() => {
    if (!addresses.isHeld(made)) void removeIpAddress(core(), made, service);
  });
}

/** Ports are counted here, addresses in ServiceAddresses; what a service no longer has is given back. */
function followServices(
  services: ResourceCache,
  nodePorts: NumberPool,
  release: (ip: string, service: CachedObject) => void,
): EventSink {
  const specIn = (object: CachedObject | undefined) => (object?.object as Service | undefined)?.spec;
  const hold = (object: CachedObject): void => {
    for (const port of portsOf(specIn(object))) nodePorts.take(port);
  };
  const holdAll = (): void => {
    for (const service of services.all()) hold(service);
  };
  holdAll();
  return {
    onEvent({ type, object, previous }) {
      const now = type === 'DELETED' ? undefined : object;
      if (now) hold(now);
      if (!previous) return;
      const ports = new Set(portsOf(specIn(now)));
      for (const port of portsOf(specIn(previous))) if (!ports.has(port)) nodePorts.give(port);
      const ips = new Set(addressesOf(specIn(now)));
      for (const ip of addressesOf(specIn(previous))) if (!ips.has(ip)) release(ip, object);
    },
    onBookmark() {},
    onLost: holdAll,
  };
}
