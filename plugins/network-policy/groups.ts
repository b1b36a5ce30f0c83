import { type LabelSelector, matchesLabels, selectorOf } from '#sdk';
import type { PodFacts } from './facts.ts';

/** Who is meant by a selector: pods of one namespace, or of those whose labels match. */
export interface GroupSpec {
  readonly namespace?: string;
  readonly namespaceSelector?: LabelSelector;
  readonly podSelector?: LabelSelector;
}
/** Several policies share one when they mean the same. */
export class Group {
  readonly members = new Set<string>();
  /** Members that run on this host. */
  readonly locals = new Set<string>();
  /** Policies that are about these pods. */
  readonly policies = new Set<string>();
  /** Number of policies that name it, as their target or as a peer. */
  uses = 0;
  readonly #pods;
  readonly #namespaces;
  readonly #namespace;

  constructor(
    readonly key: string,
    spec: GroupSpec,
  ) {
    this.#pods = selectorOf(spec.podSelector ?? {});
    this.#namespaces = spec.namespaceSelector && selectorOf(spec.namespaceSelector);
    this.#namespace = spec.namespace;
  }

  /** `namespace`: labels of the pod's; while they are not known no selector holds. */
  matches(pod: PodFacts, namespace: Readonly<Record<string, string>> | undefined): boolean {
    if (this.#namespace !== undefined && pod.namespace !== this.#namespace) return false;
    if (this.#namespaces && !(namespace && matchesLabels(this.#namespaces, namespace))) return false;
    return matchesLabels(this.#pods, pod.labels);
  }
}

/** The same text for selectors that mean the same, whatever the order of their parts. */
export function groupKey({ namespace, namespaceSelector, podSelector }: GroupSpec): string {
  return JSON.stringify([namespace ?? null, sorted(namespaceSelector), sorted(podSelector)]);
}
function sorted(selector: LabelSelector | undefined): unknown {
  if (!selector) return null;
  const labels = Object.entries(selector.matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const expressions = (selector.matchExpressions ?? [])
    .map(({ key, operator, values = [] }) => JSON.stringify([key, operator, [...values].sort()]))
    .sort();
  return [labels, expressions];
}
