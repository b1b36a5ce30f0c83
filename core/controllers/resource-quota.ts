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
import type { Client, InformerFactory } from '#client';
import type { ControllerSpec } from '#sdk';
import { discoverKinds } from './discovery.ts';

type Quota = ResourceQuota & KubeObject;
/** Kinds that nobody tells us about are counted again after this long. */
const recountMs = 60_000;
/** Of custom kinds, which come and go and are not followed. */
const recountCustomMs = 5_000;
const pageObjects = 500;
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
      const builtin = count(current, kinds, clock.now(), (kind) =>
        informers
          .informer(kind)
          .cache.list()
          .filter((object) => object.metadata.namespace === namespace),
      );
      const customNames = customCounts(Object.keys(hard));
      const custom = customNames.length > 0 ? await countCustom(client, namespace!, customNames) : {};
      // What is not served now is not known: what was charged for it stands.
      const unknown = customNames.filter((name) => custom[name] === undefined);
      const kept = Object.fromEntries(unknown.map((name) => [name, current.status?.used?.[name] ?? '0']));
      const used: Amounts = { ...builtin, ...kept, ...custom };
      const status = { hard, used };
      const againMs = customNames.length > 0 ? recountCustomMs : recountMs;
      const same = (a: Amounts | undefined, b: Amounts): boolean =>
        JSON.stringify(Object.entries(a ?? {}).sort()) === JSON.stringify(Object.entries(b).sort());
      if (same(current.status?.hard, hard) && same(current.status?.used, used)) return { requeueAfterMs: againMs };
      const quietMs = clock.monotonicMs() - sinceMs;
      if (isLower(used, current.status?.used) && quietMs < settleMs) return { requeueAfterMs: settleMs - quietMs };
      await client.update(resourceQuotaKind, { ...current, status }, { subresource: 'status' });
      return { requeueAfterMs: againMs };
    },
  },
};
/** When this state of a quota was first seen; each change of it is another object of the cache. */
const seenMs = new WeakMap<Readonly<Quota>, number>();

/** `count/foos.example.com` of kinds that are not built in. Pure. */
export const customCounts = (names: readonly string[]): string[] =>
  names.filter((name) => {
    const counted = /^count\/(.+\..+)$/.exec(name)?.[1];
    return counted !== undefined && !countable.some((kind) => `${kind.plural}.${kind.group}` === counted);
  });
async function countCustom(client: Client, namespace: string, names: readonly string[]): Promise<Amounts> {
  const { kinds } = await discoverKinds(client);
  const found: Amounts = {};
  for (const name of names) {
    const kind = kinds.find(({ plural, group, namespaced }) => namespaced && name === `count/${plural}.${group}`);
    if (!kind) continue;
    let counted = 0;
    let next: string | undefined;
    do {
      const page = await client.list(kind, { namespace, limit: pageObjects, ...(next ? { continue: next } : {}) });
      counted += page.items.length;
      next = page.metadata?.continue || undefined;
    } while (next);
    found[name] = String(counted);
  }
  return found;
}

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
