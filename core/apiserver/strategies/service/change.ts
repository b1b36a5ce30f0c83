import type { ServiceSpec } from '#api';
import { sameJson } from '../rules/values.ts';

type Spec = Readonly<ServiceSpec>;
const usesNodePorts = (spec: Spec): boolean => spec.type === 'NodePort' || spec.type === 'LoadBalancer';
export const needsHealthCheck = (spec: Spec): boolean =>
  spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
/** From outside of the cluster. */
export const isReachable = (spec: Spec): boolean =>
  usesNodePorts(spec) || (spec.type === 'ClusterIP' && Boolean(spec.externalIPs?.length));
const nodePortsOf = (spec: Spec): number[] =>
  (spec.ports ?? []).flatMap((port) => (port.nodePort ? [port.nodePort] : []));

/**
 * What the new type does not have goes, if the client did not touch it: it was given by us, or makes no sense any more. What
 * the client changed as well is left to validation.
 */
export function dropUnused(next: ServiceSpec, before: Spec): void {
  const isUntouched = (name: keyof ServiceSpec): boolean => sameJson(next[name], before[name]);
  if (before.type !== 'ExternalName' && next.type === 'ExternalName') {
    if (isUntouched('clusterIP') && isUntouched('clusterIPs')) {
      delete next.clusterIP;
      delete next.clusterIPs;
    }
    for (const name of ['ipFamilies', 'ipFamilyPolicy'] as const) if (isUntouched(name)) delete next[name];
  }
  if (usesNodePorts(before) && !usesNodePorts(next)) {
    const had = new Set(nodePortsOf(before));
    if (nodePortsOf(next).every((port) => had.has(port))) for (const port of next.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheck(before) && !needsHealthCheck(next) && isUntouched('healthCheckNodePort'))
    delete next.healthCheckNodePort;
  if (before.type === 'LoadBalancer' && next.type !== 'LoadBalancer')
    for (const name of ['allocateLoadBalancerNodePorts', 'loadBalancerClass'] as const)
      if (isUntouched(name)) delete next[name];
  if (isReachable(before) && !isReachable(next) && isUntouched('externalTrafficPolicy'))
    delete next.externalTrafficPolicy;
}
