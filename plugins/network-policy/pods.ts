import type { PodFacts } from './facts.ts';

/**
 * All pods, and whose an address is. One that was given back and given away again may be claimed by two for a while: it is
 * the later one's, because the earlier one has ended and only its status has not caught up.
 */
export class Pods {
  readonly #pods = new Map<string, { facts: PodFacts; sequence: number }>();
  readonly #byNamespace = new Map<string, Set<string>>();
  readonly #claims = new Map<string, Set<string>>();
  #sequence = 0;

  get(key: string): PodFacts | undefined {
    return this.#pods.get(key)?.facts;
  }
  all(): Iterable<PodFacts> {
    return [...this.#pods.values()].map(({ facts }) => facts);
  }
  inNamespace(namespace: string): PodFacts[] {
    return [...(this.#byNamespace.get(namespace) ?? [])].map((key) => this.#pods.get(key)!.facts);
  }

  /** Replaces or removes one; resolves to the pods whose addresses may be others now, itself included. `isNew`: another pod of the name. */
  set(key: string, facts: PodFacts | undefined, isNew = false): Set<string> {
    const former = this.#pods.get(key);
    const touched = new Set([key]);
    for (const ip of former?.facts.ips ?? []) this.#claims.get(ip)?.delete(key);
    if (facts) {
      const claimsMore = facts.ips.some((ip) => !former?.facts.ips.includes(ip));
      const sequence = former && !isNew && !claimsMore ? former.sequence : ++this.#sequence;
      this.#pods.set(key, { facts, sequence });
      membersOf(this.#byNamespace, facts.namespace).add(key);
      for (const ip of facts.ips) membersOf(this.#claims, ip).add(key);
    } else {
      this.#pods.delete(key);
      if (former) dropFrom(this.#byNamespace, former.facts.namespace, key);
    }
    for (const ip of [...(former?.facts.ips ?? []), ...(facts?.ips ?? [])]) {
      for (const other of this.#claims.get(ip) ?? []) touched.add(other);
      if (this.#claims.get(ip)?.size === 0) this.#claims.delete(ip);
    }
    return touched;
  }

  /** The addresses that are this pod's own. */
  ipsOf(key: string): readonly string[] {
    return (this.#pods.get(key)?.facts.ips ?? []).filter((ip) => this.#ownerOf(ip) === key);
  }
  #ownerOf(ip: string): string | undefined {
    let owner: string | undefined;
    for (const key of this.#claims.get(ip) ?? [])
      if (owner === undefined || this.#pods.get(key)!.sequence > this.#pods.get(owner)!.sequence) owner = key;
    return owner;
  }
}

export function membersOf<T>(map: Map<string, Set<T>>, key: string): Set<T> {
  let members = map.get(key);
  if (!members) map.set(key, (members = new Set()));
  return members;
}
export function dropFrom<T>(map: Map<string, Set<T>>, key: string, member: T): void {
  const members = map.get(key);
  members?.delete(member);
  if (members?.size === 0) map.delete(key);
}
