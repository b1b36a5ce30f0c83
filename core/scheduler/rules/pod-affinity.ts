import { matchesLabels, type Pod, type PodAffinityTerm, selectorOf } from '#api';
import { accept, refuse, type SchedulerPlugin } from '#sdk';

interface Domains {
  /** For each required term of the pod: topology values where a matching pod runs. */
  readonly near: readonly { readonly key: string; readonly values: ReadonlySet<string>; readonly isFirst: boolean }[];
  readonly apart: readonly { readonly key: string; readonly values: ReadonlySet<string> }[];
  /** `key=value` domains that running pods keep clear of this one. */
  readonly guarded: ReadonlySet<string>;
}

function matches(term: PodAffinityTerm, holder: Readonly<Pod>, other: Readonly<Pod>): boolean {
  const hasSelector = term.namespaceSelector !== undefined;
  // Labels of namespaces are not known here: an empty namespaceSelector means all, another one the pod's own namespace.
  const isEveryNamespace = hasSelector && Object.keys(term.namespaceSelector ?? {}).length === 0;
  const names = term.namespaces?.length ? term.namespaces : [holder.metadata.namespace ?? ''];
  if (!isEveryNamespace && !names.includes(other.metadata.namespace ?? '')) return false;
  return !!term.labelSelector && matchesLabels(selectorOf(term.labelSelector), other.metadata.labels);
}

/** Required inter-pod affinity and anti-affinity, in both directions. */
export const podAffinity: SchedulerPlugin = {
  name: 'InterPodAffinity',
  retryOn: ['node', 'pod', 'pod-deleted'],
  preFilter(pod, state) {
    const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
    const valuesOf = (term: PodAffinityTerm) => {
      const values = new Set<string>();
      for (const { node, pods } of state.nodes) {
        const value = node.metadata.labels?.[term.topologyKey];
        if (value !== undefined && pods.some((other) => matches(term, pod, other))) values.add(value);
      }
      return values;
    };
    const guarded = new Set<string>();
    for (const { node, pods } of state.nodes)
      for (const other of pods)
        for (const term of other.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ??
          []) {
          const value = node.metadata.labels?.[term.topologyKey];
          if (value !== undefined && matches(term, other, pod)) guarded.add(`${term.topologyKey}=${value}`);
        }
    const domains: Domains = {
      near: (podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((term) => {
        const values = valuesOf(term);
        // The first of a group that wants to be together may go anywhere.
        return { key: term.topologyKey, values, isFirst: values.size === 0 && matches(term, pod, pod) };
      }),
      apart: (podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((term) => ({
        key: term.topologyKey,
        values: valuesOf(term),
      })),
      guarded,
    };
    state.data.set('pod-affinity', domains);
  },
  filter(_pod, { node }, state) {
    const { near, apart, guarded } = state.data.get('pod-affinity') as Domains;
    const at = (key: string) => node.metadata.labels?.[key];
    for (const { key, values, isFirst } of near) {
      const value = at(key);
      if (value === undefined || !(isFirst || values.has(value)))
        return refuse("node(s) didn't match pod affinity rules");
    }
    if (apart.some(({ key, values }) => at(key) !== undefined && values.has(at(key)!)))
      return refuse("node(s) didn't match pod anti-affinity rules", true);
    if (
      [...guarded].some((domain) => at(domain.slice(0, domain.indexOf('='))) === domain.slice(domain.indexOf('=') + 1))
    )
      return refuse("node(s) didn't satisfy existing pods anti-affinity rules", true);
    return accept;
  },
};
