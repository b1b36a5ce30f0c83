import { errors, type FieldError, fieldErrors, invalidObject, type ServicePort, type ServiceSpec } from '#api';
import type { NumberPool } from './numbers.ts';

type Spec = ServiceSpec;
type OldSpec = Readonly<ServiceSpec> | undefined;
/** Of one write: reserves a number and gives it back when the write does not happen. */
export interface PortReserver {
  readonly pool: NumberPool;
  readonly name: string;
  onRollback(undo: () => void): void;
}
const hasType = (spec: Readonly<Spec>): boolean => spec.type === 'NodePort' || spec.type === 'LoadBalancer';
/** Ports are given out unasked. */
const isGivenPorts = (spec: Readonly<Spec>): boolean =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
export const needsHealthCheck = (spec: Readonly<Spec> | undefined): boolean =>
  spec?.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
/** Everything of the node-port range that a service has. */
export const portsOf = (spec: OldSpec): number[] =>
  [
    ...(spec?.ports ?? []).map((port) => port.nodePort ?? 0),
    needsHealthCheck(spec) ? (spec!.healthCheckNodePort ?? 0) : 0,
  ].filter((port) => port > 0);

/** A client that never saw them need not send them: each stays with the port of its name, unless another has it now. */
export function keepPorts(next: Spec, before: Readonly<Spec>): void {
  if (isGivenPorts(next) && isGivenPorts(before)) {
    const numbers = (spec: Readonly<Spec>) =>
      new Set((spec.ports ?? []).map((port) => port.nodePort).filter((port) => port));
    const [now, old] = [numbers(next), numbers(before)];
    const byName = new Map((before.ports ?? []).map((port) => [port.name ?? '', port.nodePort ?? 0]));
    for (const port of next.ports ?? []) {
      const known = byName.get(port.name ?? '');
      if (!port.nodePort && known && !(old.has(known) && now.has(known))) port.nodePort = known;
    }
  }
  if (needsHealthCheck(next) && needsHealthCheck(before) && before.healthCheckNodePort)
    next.healthCheckNodePort ||= before.healthCheckNodePort;
}

/** Ports of a creation. One number serves a port of TCP and of UDP alike. */
export function allocatePorts(spec: Spec, reserver: PortReserver): void {
  if (hasType(spec)) {
    const ports = spec.ports ?? [];
    const given = new Map<number, number>();
    for (const [index, port] of ports.entries()) {
      if (!port.nodePort && !isGivenPorts(spec)) continue;
      const shared = given.get(port.port);
      if (shared === undefined) {
        const asked = ports.find((other) => other.port === port.port && other.nodePort)?.nodePort;
        if (asked) takeAsked(reserver, index, asked);
        port.nodePort = asked || takeAny(reserver);
        given.set(port.port, port.nodePort);
      } else if (!port.nodePort) port.nodePort = shared;
      else if (port.nodePort !== shared) takeAsked(reserver, index, port.nodePort);
    }
  }
  if (needsHealthCheck(spec)) allocateHealthCheck(spec, reserver);
}

/** Ports of an update: those that the service has are its own, and new ones are one for each. */
export function reallocatePorts(spec: Spec, before: Readonly<Spec>, reserver: PortReserver): void {
  if (hasType(spec)) {
    const own = new Set((before.ports ?? []).map((port) => port.nodePort ?? 0));
    const taken = new Set<number>();
    const seen = new Set<string>();
    for (const [index, port] of (spec.ports ?? []).entries()) {
      if (!port.nodePort && !isGivenPorts(spec)) continue;
      if (!port.nodePort) port.nodePort = takeAny(reserver);
      else if (!own.has(port.nodePort) && !taken.has(port.nodePort)) takeAsked(reserver, index, port.nodePort);
      taken.add(port.nodePort);
      const pair = `${port.protocol} ${port.nodePort}`;
      if (seen.has(pair)) throw errors.internal(`duplicate nodePort: {${port.protocol} ${port.nodePort}}`);
      seen.add(pair);
    }
  }
  if (needsHealthCheck(spec) && !needsHealthCheck(before)) allocateHealthCheck(spec, reserver);
}

const refusal = ({ pool }: PortReserver, port: number): string | undefined => {
  const { first, last } = pool.range;
  if (!pool.holds(port)) return `provided port is not in the valid range. The range of valid ports is ${first}-${last}`;
  return pool.take(port) ? undefined : 'provided port is already allocated';
};

function takeAsked(reserver: PortReserver, index: number, port: NonNullable<ServicePort['nodePort']>): void {
  const why = refusal(reserver, port);
  if (why) throw invalid(reserver, fieldErrors.invalid(`spec.ports[${index}].nodePort`, port, why));
  reserver.onRollback(() => reserver.pool.give(port));
}

function takeAny(reserver: PortReserver): number {
  const port = reserver.pool.takeAny();
  if (port === undefined) throw errors.internal('failed to allocate a nodePort: range is full');
  reserver.onRollback(() => reserver.pool.give(port));
  return port;
}

/** What is wrong here is no mistake of a field for upstream. */
function allocateHealthCheck(spec: Spec, reserver: PortReserver): void {
  if (!spec.healthCheckNodePort) {
    const port = reserver.pool.takeAny();
    if (port === undefined) throw errors.internal('failed to allocate a HealthCheck NodePort 0: range is full');
    reserver.onRollback(() => reserver.pool.give(port));
    spec.healthCheckNodePort = port;
    return;
  }
  const asked = spec.healthCheckNodePort;
  const why = refusal(reserver, asked);
  if (why) throw errors.internal(`failed to allocate requested HealthCheck NodePort ${asked}: ${why}`);
  reserver.onRollback(() => reserver.pool.give(asked));
}

const invalid = ({ name }: PortReserver, mistake: FieldError) => invalidObject('Service', '', name, [mistake]);
