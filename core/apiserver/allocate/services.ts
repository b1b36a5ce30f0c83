import { errors, type FieldError, fieldErrors, invalidObject, type Service, type ServicePort } from '#api';
import type { Random } from '#base';
import type { CachedObject } from '../cached-object.ts';
import type { AdmissionHook, AdmissionRequest, AnyObject } from '../contract.ts';
import type { EventSink, ResourceCache } from '../resource-cache.ts';
import { NumberPool } from './numbers.ts';
import { addressNumber, addressText, holds, rangeOf } from './range.ts';

type Spec = NonNullable<Service['spec']>;
const specOf = (object: Readonly<AnyObject> | undefined): Spec | undefined => object?.['spec'] as Spec | undefined;
const hasNodePorts = (spec: Spec): boolean =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
const portsOf = (spec: Spec | undefined): number[] =>
  [...(spec?.ports ?? []).map((port) => port.nodePort ?? 0), spec?.healthCheckNodePort ?? 0].filter((port) => port > 0);

/**
 * Gives services their virtual address and node ports. What is taken is rebuilt from the cache at the start;
 * what a deletion or an update frees is given back when the cache sees it, so that a crash leaks nothing.
 */
export function createServiceAllocator(options: {
  readonly services: ResourceCache;
  readonly random: Random;
  readonly serviceRange: string;
  readonly nodePorts: readonly [number, number];
}): AdmissionHook {
  const addresses = new NumberPool(rangeOf(options.serviceRange), options.random);
  const [from, to] = options.nodePorts;
  const nodePorts = new NumberPool({ first: from, last: to }, options.random);
  const hold = (object: CachedObject): void => {
    for (const ip of specOf(object.object)?.clusterIPs ?? []) addresses.take(addressNumber(ip) ?? -1);
    for (const port of portsOf(specOf(object.object))) nodePorts.take(port);
  };
  const release = (before: CachedObject, now?: CachedObject): void => {
    const keep = new Set(specOf(now?.object)?.clusterIPs ?? []);
    for (const ip of specOf(before.object)?.clusterIPs ?? [])
      if (!keep.has(ip)) addresses.give(addressNumber(ip) ?? -1);
    const keepPorts = new Set(portsOf(specOf(now?.object)));
    for (const port of portsOf(specOf(before.object))) if (!keepPorts.has(port)) nodePorts.give(port);
  };
  for (const service of options.services.all()) hold(service);
  const sink: EventSink = {
    onEvent(event) {
      if (event.type !== 'DELETED') hold(event.object);
      if (event.previous) release(event.previous, event.type === 'DELETED' ? undefined : event.object);
    },
    onBookmark() {},
    onLost() {
      for (const service of options.services.all()) hold(service);
    },
  };
  options.services.sinks.add(sink);
  return {
    name: 'ServiceAllocator',
    mutate(request) {
      if (request.kind.plural !== 'services' || request.kind.group || request.subresource || !request.object) return;
      const spec = specOf(request.object);
      if (!spec) return;
      const before = specOf(request.current);
      if (before) carryOver(spec, before);
      allocateAddress(request, spec, before, addresses, options.serviceRange);
      allocatePorts(request, spec, before, nodePorts);
    },
  };
}

/** What a client left out of an update stays as it was; what its new type cannot have goes. */
function carryOver(spec: Spec, before: Spec): void {
  if (spec.type !== 'ExternalName' && before.type !== 'ExternalName' && !spec.clusterIP) {
    spec.clusterIP = before.clusterIP;
    spec.clusterIPs ??= before.clusterIPs;
  }
  if (spec.type === 'ExternalName' && before.type !== 'ExternalName') {
    delete spec.clusterIP;
    delete spec.clusterIPs;
    delete spec.ipFamilies;
    delete spec.ipFamilyPolicy;
  }
  const old = new Map((before.ports ?? []).map((port) => [`${port.protocol}/${port.port}`, port.nodePort]));
  for (const port of spec.ports ?? []) {
    const known = old.get(`${port.protocol ?? 'TCP'}/${port.port}`);
    if (hasNodePorts(spec)) port.nodePort ||= known;
    else if (hasNodePorts(before) && port.nodePort === known) delete port.nodePort;
  }
}

function allocateAddress(
  request: AdmissionRequest,
  spec: Spec,
  before: Spec | undefined,
  pool: NumberPool,
  rangeText: string,
): void {
  if (spec.type === 'ExternalName') return;
  spec.clusterIP ||= spec.clusterIPs?.[0];
  if (spec.clusterIP === 'None') spec.clusterIPs = ['None'];
  else if (!spec.clusterIP) {
    const value = pool.takeAny();
    if (value === undefined) throw errors.internal('failed to allocate a serviceIP: range is full');
    request.onRollback(() => pool.give(value));
    spec.clusterIP = addressText(value);
    spec.clusterIPs = [spec.clusterIP];
  } else if (spec.clusterIP !== before?.clusterIP) {
    const value = addressNumber(spec.clusterIP);
    const refuse = (why: string) =>
      invalid(request, [
        fieldErrors.invalid('spec.clusterIPs', [spec.clusterIP], `failed to allocate IP ${spec.clusterIP}: ${why}`),
      ]);
    if (value === undefined) return; // validation reports what is no address
    if (!holds(pool.range, value))
      throw refuse(
        `the provided IP (${spec.clusterIP}) is not in the valid range. The range of valid IPs is ${rangeText}`,
      );
    if (!pool.take(value)) throw refuse('provided IP is already allocated');
    request.onRollback(() => pool.give(value));
    spec.clusterIPs = [spec.clusterIP];
  }
  spec.clusterIPs ??= [spec.clusterIP!];
  spec.ipFamilies ??= ['IPv4'];
  spec.ipFamilyPolicy ??= 'SingleStack';
}

function allocatePorts(request: AdmissionRequest, spec: Spec, before: Spec | undefined, pool: NumberPool): void {
  if (!hasNodePorts(spec)) return;
  const own = new Set(portsOf(before));
  const mine = new Set<number>();
  const mistakes: FieldError[] = [];
  const take = (port: ServicePort, index: number): void => {
    const asked = port.nodePort;
    if (!asked || own.has(asked) || mine.has(asked)) return;
    const field = `spec.ports[${index}].nodePort`;
    if (!holds(pool.range, asked)) {
      mistakes.push(
        fieldErrors.invalid(
          field,
          asked,
          `provided port is not in the valid range. The range of valid ports is ${pool.range.first}-${pool.range.last}`,
        ),
      );
    } else if (!pool.take(asked))
      mistakes.push(fieldErrors.invalid(field, asked, 'provided port is already allocated'));
    else {
      mine.add(asked);
      request.onRollback(() => pool.give(asked));
    }
  };
  for (const [index, port] of (spec.ports ?? []).entries()) take(port, index);
  if (mistakes.length > 0) throw invalid(request, mistakes);
  const any = (): number => {
    const value = pool.takeAny();
    if (value === undefined) throw errors.internal('failed to allocate a nodePort: range is full');
    request.onRollback(() => pool.give(value));
    return value;
  };
  for (const port of spec.ports ?? []) port.nodePort ||= any();
  if (spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local') {
    spec.healthCheckNodePort ||= before?.healthCheckNodePort || any();
  }
}

const invalid = (request: AdmissionRequest, mistakes: FieldError[]) =>
  invalidObject('Service', '', request.name, mistakes);
