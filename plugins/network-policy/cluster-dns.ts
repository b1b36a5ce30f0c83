import { canonicalIp, type EndpointSlice, type KubeObject, type Service } from '#sdk';
import { type PodFacts, protocolOf } from './facts.ts';

export const dnsPlace = { namespace: 'kube-system', name: 'kube-dns' } as const;

/**
 * Policies let pods ask for names by the labels of the cluster's DNS pods and port 53. Where nodes answer themselves there
 * are no such pods, and another port: what stands behind the service is taken for pods with the service's labels.
 */
export function dnsFacts(
  service: Readonly<Service & KubeObject> | undefined,
  slices: readonly Readonly<EndpointSlice & KubeObject>[],
): PodFacts[] {
  const facts = new Map<string, PodFacts>();
  for (const { ports = [], endpoints = [] } of service ? slices : [])
    for (const { addresses, targetRef } of endpoints)
      for (const text of targetRef?.kind === 'Pod' ? [] : addresses) {
        const ip = canonicalIp(text);
        if (ip === undefined) continue;
        const key = `${dnsPlace.namespace}/endpoint of ${dnsPlace.name} ${ip}`; // no name of a pod
        const translated = ports.flatMap(({ name, protocol, port: realPort }) => {
          const outer = service?.spec?.ports?.find((each) => (each.name ?? '') === (name ?? ''));
          const real = protocolOf(protocol);
          return outer && real && realPort ? [{ protocol: real, port: outer.port, realPort }] : [];
        });
        facts.set(key, {
          key,
          namespace: dnsPlace.namespace,
          labels: service?.metadata.labels ?? {},
          ips: [ip],
          isLocal: false, // it is the host itself: nobody's policies are about it
          ports: ports.flatMap(({ name, protocol: text, port }) => {
            const protocol = protocolOf(text);
            return name && protocol && port ? [{ name, protocol, port }] : [];
          }),
          translated: [...(facts.get(key)?.translated ?? []), ...translated],
        });
      }
  return [...facts.values()];
}
