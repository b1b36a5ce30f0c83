import { type ClusterRole, clusterRoleKind, type KubeObject, matchesLabels, type PolicyRule, selectorOf } from '#api';
import type { ControllerSpec } from '#sdk';

/** Rules of roles with an aggregationRule are those of the roles that it selects. */
export const clusterRoleAggregationController: ControllerSpec<ClusterRole & KubeObject> = {
  name: 'clusterrole-aggregation-controller',
  watches: clusterRoleKind,
  alsoOn: [
    {
      kind: clusterRoleKind,
      // Any role may be selected by any of the few that aggregate; labels may have changed, so all of them look.
      keys: (_role: KubeObject, caches) =>
        caches
          .informer(clusterRoleKind)
          .cache.list()
          .filter((role) => role.aggregationRule)
          .map((role) => ({ name: role.metadata.name! })),
    },
  ],
  reconciler: {
    async reconcile(_key, current, { client, informers }) {
      if (!current?.aggregationRule || current.metadata.deletionTimestamp) return;
      const rules = aggregate(current, informers.informer(clusterRoleKind).cache.list());
      if (JSON.stringify(rules) === JSON.stringify(current.rules ?? [])) return;
      await client.update(clusterRoleKind, { ...current, rules });
    },
  },
};

/** Selected roles by name; a rule that came already is not repeated. Pure. */
export function aggregate(
  role: Readonly<ClusterRole & KubeObject>,
  all: readonly Readonly<ClusterRole & KubeObject>[],
): PolicyRule[] {
  const selectors = (role.aggregationRule?.clusterRoleSelectors ?? []).map(selectorOf);
  const rules = new Map<string, PolicyRule>();
  const byName = [...all].sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1));
  for (const selector of selectors)
    for (const other of byName) {
      if (other.metadata.name === role.metadata.name || !matchesLabels(selector, other.metadata.labels)) continue;
      for (const rule of other.rules ?? []) rules.set(JSON.stringify(rule), rule as PolicyRule);
    }
  return [...rules.values()];
}
