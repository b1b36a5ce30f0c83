import { type PodSpec, parseNano, type ResourceRequirements } from '#api';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

/** Guaranteed: every container has equal, non-zero requests and limits of cpu and memory. BestEffort: none has any. */
export function qosClassOf(spec: Readonly<PodSpec>): QosClass {
  if (spec.resources) return classOf(spec.resources);
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const classes = new Set(containers.map((container) => classOf(container.resources)));
  if (classes.size === 0) return 'BestEffort';
  return classes.size === 1 ? [...classes][0]! : 'Burstable';
}

function classOf(resources: Readonly<ResourceRequirements> | undefined): QosClass {
  const classes = new Set(['cpu', 'memory'].map((name) => resourceClass(resources, name)));
  return classes.size === 1 ? [...classes][0]! : 'Burstable';
}
function resourceClass(resources: Readonly<ResourceRequirements> | undefined, name: string): QosClass {
  const request = parseNano(resources?.requests?.[name] ?? '0');
  const limit = parseNano(resources?.limits?.[name] ?? '0');
  if (request !== limit) return 'Burstable';
  return request === 0n ? 'BestEffort' : 'Guaranteed';
}
