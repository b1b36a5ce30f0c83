import {
  type Amounts,
  addTo,
  builtinKinds,
  compareQuantities,
  type Kind,
  type KubeObject,
  podKind,
  quotaCovers,
  quotaUsage,
  type ResourceQuota,
  resourceQuotaKind,
} from '#api';
import type { InformerFactory } from '#client';
import type { ControllerSpec } from '#sdk';

type Quota = ResourceQuota & KubeObject;
/** Kinds that nobody tells us about are counted again after this long. */
const recountMs = 60_000;
/**
 * A charge is written before the object it is for. Counting in between would take it back, and one object too many be
 * let in: a quota is only lowered when nothing was charged for so long.
 */
const settleMs = 1_000;
const followed = ['services', 'persistentvolumeclaims', 'configmaps', 'secrets', 'replicationcontrollers'];
const countable = builtinKinds.filter((kind) => kind.namespaced && !kind.virtual && !kind.storedAs);
const kindOf = (plural: string) => countable.find((kind) => !kind.group && kind.plural === plural) as Kind<KubeObject>;

const quotasNear = (object: KubeObject, informers: InformerFactory) =>
  informers
    .informer(resourceQuotaKind)
    .cache.list()
    .filter((quota) => quota.metadata.namespace === object.metadata.namespace)
    .map((quota) => ({ namespace: quota.metadata.namespace, name: quota.metadata.name! }));

/** Counts what a namespace uses: the apiserver charges quotas as objects come, this one sees what left. */
export const resourceQuotaController: ControllerSpec<Quota> = {
  name: 'resourcequota-controller',
  watches: resourceQuotaKind,
  alsoOn: [podKind as Kind<KubeObject>, ...followed.map(kindOf)].map((kind) => ({ kind, keys: quotasNear })),
  reconciler: {
    async reconcile({ namespace }, current, { client, informers, clock }) {
      if (!current || current.metadata.deletionTimestamp) return;
      const sinceMs = seenMs.get(current) ?? clock.monotonicMs();
      seenMs.set(current, sinceMs);
      const hard = current.spec?.hard ?? {};
      const kinds = kindsOf(Object.keys(hard));
      // A kind that nobody followed before has an empty cache for a moment.
      await Promise.all(kinds.map((kind) => informers.informer(kind).synced));
      const used = count(current, kinds, clock.now(), (kind) =>
        informers
          .informer(kind)
          .cache.list()
          .filter((object) => object.metadata.namespace === namespace),
      );
      const status = { hard, used };
      const same = (a: Amounts | undefined, b: Amounts): boolean =>
        JSON.stringify(Object.entries(a ?? {}).sort()) === JSON.stringify(Object.entries(b).sort());
      if (same(current.status?.hard, hard) && same(current.status?.used, used)) return { requeueAfterMs: recountMs };
      const quietMs = clock.monotonicMs() - sinceMs;
      if (isLower(used, current.status?.used) && quietMs < settleMs) return { requeueAfterMs: settleMs - quietMs };
      await client.update(resourceQuotaKind, { ...current, status }, { subresource: 'status' });
      return { requeueAfterMs: recountMs };
    },
  },
};
/** When this state of a quota was first seen; each change of it is another object of the cache. */
const seenMs = new WeakMap<Readonly<Quota>, number>();

/** Something is counted less than what was charged for it. Pure. */
export const isLower = (counted: Amounts, charged: Amounts | undefined): boolean =>
  Object.entries(counted).some(([name, value]) => charged?.[name] && compareQuantities(value, charged[name]) < 0);

/** The kinds whose objects count for any of these resources. */
export function kindsOf(names: readonly string[]): Kind<KubeObject>[] {
  const wanted = new Set<string>();
  for (const name of names) {
    const counted = /^count\/(.+)$/.exec(name)?.[1];
    if (counted !== undefined) wanted.add(counted);
    else if (/^services(\.|$)/.test(name)) wanted.add('services');
    else if (name === 'requests.storage' || /persistentvolumeclaims$|storageclass\.storage\.k8s\.io\//.test(name))
      wanted.add('persistentvolumeclaims');
    else if (['configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas'].includes(name)) wanted.add(name);
    else wanted.add('pods');
  }
  return countable.filter((kind) => wanted.has(`${kind.plural}${kind.group && `.${kind.group}`}`));
}

/** What is used of everything that the quota bounds. Pure. */
export function count(
  quota: Readonly<Quota>,
  kinds: readonly Kind<KubeObject>[],
  nowMs: number,
  objectsOf: (kind: Kind<KubeObject>) => readonly Readonly<KubeObject>[],
): Amounts {
  const sum: Amounts = {};
  for (const kind of kinds)
    for (const object of objectsOf(kind))
      if (quotaCovers(quota, kind, object)) addTo(sum, quotaUsage(kind, object, nowMs));
  return Object.fromEntries(Object.keys(quota.spec?.hard ?? {}).map((name) => [name, sum[name] ?? '0']));
}
