import { matchesLabels, type Pod, type PodAffinityTerm, type Selector } from '#api';
import { accept, type ClusterView, type CycleState, type NodeInfo, refuse, type SchedulerPlugin } from '#sdk';
import { parsedSelector } from './selectors.ts';

interface Term {
  readonly key: string;
  /** undefined: matches no pod. */
  readonly selector?: Selector;
  readonly namespaces: ReadonlySet<string>;
  readonly namespaceSelector?: Selector;
  /** Negative where closeness is unwanted. */
  readonly weight: number;
}
interface Terms {
  readonly near: readonly Term[];
  readonly apart: readonly Term[];
  readonly preferred: readonly Term[];
}
/** Counts by key and value of a topology domain; a domain with none is absent, and a key without domains. */
type Domains = Map<string, Map<string, number>>;
interface Counted {
  readonly terms: Terms;
  /** Pods that match all terms of `near`, in the domains of each term. */
  readonly near: Domains;
  readonly apart: Domains;
  /** Pods that want to be apart from this one. */
  readonly guarded: Domains;
}
const hardWeight = 1; // a running pod's required affinity to the new one, when scores are summed
const name = 'InterPodAffinity';
const [counted, scored] = [name, `${name}/scores`];

function termOf(term: Readonly<PodAffinityTerm>, holder: Readonly<Pod>, weight: number): Term {
  const isOwnOnly = !term.namespaces?.length && !term.namespaceSelector;
  return {
    key: term.topologyKey,
    selector: term.labelSelector && parsedSelector(term.labelSelector),
    namespaces: new Set(isOwnOnly ? [holder.metadata.namespace ?? ''] : term.namespaces),
    namespaceSelector: term.namespaceSelector && parsedSelector(term.namespaceSelector),
    weight,
  };
}
const none: Terms = { near: [], apart: [], preferred: [] };
const known = new WeakMap<Readonly<Pod>, Terms>();
function termsOf(pod: Readonly<Pod>): Terms {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  if (!podAffinity && !podAntiAffinity) return none;
  let terms = known.get(pod);
  if (terms) return terms;
  const required = (list: readonly PodAffinityTerm[] = []) => list.map((term) => termOf(term, pod, hardWeight));
  terms = {
    near: required(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    apart: required(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferred: [
      ...(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((one) =>
        termOf(one.podAffinityTerm, pod, one.weight),
      ),
      ...(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((one) =>
        termOf(one.podAffinityTerm, pod, -one.weight),
      ),
    ],
  };
  known.set(pod, terms);
  return terms;
}
/** Of each node the pods that have terms of their own: most have none, and every cycle asks. Infos are made anew on change. */
const affineOn = new WeakMap<NodeInfo, readonly Readonly<Pod>[]>();
function affine(info: NodeInfo): readonly Readonly<Pod>[] {
  let pods = affineOn.get(info);
  if (!pods) affineOn.set(info, (pods = info.pods.filter((pod) => termsOf(pod) !== none)));
  return pods;
}

function matches(term: Term, pod: Readonly<Pod>, cluster: ClusterView): boolean {
  if (!term.selector) return false;
  const namespace = pod.metadata.namespace ?? '';
  const isInside =
    term.namespaces.has(namespace) ||
    (!!term.namespaceSelector && matchesLabels(term.namespaceSelector, cluster.namespaceLabels(namespace)));
  return isInside && matchesLabels(term.selector, pod.metadata.labels);
}
const valueAt = (key: string, { node }: NodeInfo): string | undefined => node.metadata.labels?.[key];
function amount(domains: Domains, key: string, info: NodeInfo): number {
  const value = valueAt(key, info);
  return value === undefined ? 0 : (domains.get(key)?.get(value) ?? 0);
}
function add(domains: Domains, key: string, info: NodeInfo, by: number): void {
  const value = valueAt(key, info);
  if (value === undefined) return;
  let values = domains.get(key);
  if (!values) domains.set(key, (values = new Map()));
  const count = (values.get(value) ?? 0) + by;
  if (count !== 0) values.set(value, count);
  else if (values.delete(value) && values.size === 0) domains.delete(key);
}

/** What one running pod means for the new one. */
function count(pod: Readonly<Pod>, info: NodeInfo, other: Readonly<Pod>, by: number, state: CycleState): void {
  const { terms, near, apart, guarded } = state.data.get(counted) as Counted;
  const { cluster } = state;
  if (terms.near.length > 0 && terms.near.every((term) => matches(term, other, cluster)))
    for (const term of terms.near) add(near, term.key, info, by);
  for (const term of terms.apart) if (matches(term, other, cluster)) add(apart, term.key, info, by);
  for (const term of termsOf(other).apart) if (matches(term, pod, cluster)) add(guarded, term.key, info, by);
}

/** Required affinity of the pod, its required anti-affinity, that of the pods that run; preferences of both sides score. */
export const podAffinity: SchedulerPlugin = {
  name,
  retryOn: ['node', 'pod', 'pod-deleted', 'namespace'],
  weight: 2,
  preFilter(pod, state) {
    const terms = termsOf(pod);
    state.data.set(counted, { terms, near: new Map(), apart: new Map(), guarded: new Map() } satisfies Counted);
    const all = terms.near.length + terms.apart.length > 0;
    for (const info of state.nodes)
      for (const other of all ? info.pods : affine(info)) count(pod, info, other, 1, state);
    return undefined;
  },
  shift: count,
  filter(pod, info, state) {
    const { terms, near, apart, guarded } = state.data.get(counted) as Counted;
    if (terms.near.length > 0 && !isNear(pod, info, terms.near, near, state.cluster))
      return refuse("node(s) didn't match pod affinity rules");
    if (apart.size > 0 && terms.apart.some((term) => amount(apart, term.key, info) > 0))
      return refuse("node(s) didn't match pod anti-affinity rules", true);
    for (const key of guarded.keys())
      if (amount(guarded, key, info) > 0)
        return refuse("node(s) didn't satisfy existing pods anti-affinity rules", true);
    return accept;
  },
  preScore(pod, _fitting, state) {
    const { preferred } = termsOf(pod);
    const scores: Domains = new Map();
    for (const info of state.nodes)
      for (const other of preferred.length > 0 ? info.pods : affine(info)) {
        for (const term of preferred) if (matches(term, other, state.cluster)) add(scores, term.key, info, term.weight);
        const theirs = termsOf(other);
        for (const term of [...theirs.near, ...theirs.preferred])
          if (matches(term, pod, state.cluster)) add(scores, term.key, info, term.weight);
      }
    state.data.set(scored, scores);
  },
  score(_pod, info, state) {
    let sum = 0;
    const scores = state.data.get(scored) as Domains;
    for (const key of scores.keys()) sum += amount(scores, key, info);
    return sum;
  },
  normalize(scores, _fitting, state) {
    if ((state.data.get(scored) as Domains).size === 0) return;
    const [least, most] = [Math.min(...scores), Math.max(...scores)];
    for (const [index, score] of scores.entries())
      scores[index] = most === least ? 0 : Math.trunc((100 * (score - least)) / (most - least));
  },
};

/** Every term has a matching pod in this node's domain; the first of a group that wants to be together may go anywhere. */
function isNear(
  pod: Readonly<Pod>,
  info: NodeInfo,
  terms: readonly Term[],
  near: Domains,
  cluster: ClusterView,
): boolean {
  if (terms.some((term) => valueAt(term.key, info) === undefined)) return false;
  if (terms.every((term) => amount(near, term.key, info) > 0)) return true;
  return near.size === 0 && terms.every((term) => matches(term, pod, cluster));
}
