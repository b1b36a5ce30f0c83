import { type Pod, parseNano } from '#api';
import type { PodToAttach } from '#net/pod';

const limits = { least: 1_000, most: 1e15 } as const; // bits a second: 1k and 1P
const names = { ingressBps: 'kubernetes.io/ingress-bandwidth', egressBps: 'kubernetes.io/egress-bandwidth' } as const;

/** What the pod's annotations say of its traffic; undefined for nothing. Throws for what is no rate. */
export function bandwidthOf(pod: Readonly<Pod>): PodToAttach['bandwidth'] {
  const found = Object.entries(names).flatMap(([field, name]) => {
    const text = pod.metadata.annotations?.[name];
    if (text === undefined) return [];
    const nano = parseNano(text);
    const bps = nano === undefined ? Number.NaN : Number(nano) / 1e9;
    if (!(bps >= limits.least && bps <= limits.most))
      throw new Error(
        `the annotation ${name} says ${JSON.stringify(text)}: a rate from 1k to 1P bits a second is wanted, such as 10M`,
      );
    return [[field, bps]];
  });
  return found.length > 0 ? Object.fromEntries(found) : undefined;
}
