import {
  type Kind,
  namespaceKind,
  persistentVolumeClaimKind,
  persistentVolumeKind,
  podDisruptionBudgetKind,
  storageClassKind,
} from '#api';
import type { Cache, Informer, InformerFactory } from '#client';
import type { ClusterView, RetryOn } from '#sdk';

/** What rules may ask for besides nodes and pods, from informers. `changed` hears of what could help refused pods. */
export function watchCluster(
  informers: InformerFactory,
  changed: (what: RetryOn) => void,
): { readonly view: ClusterView; readonly synced: Promise<unknown>; [Symbol.dispose](): void } {
  const handlers: Disposable[] = [];
  const synced: Promise<void>[] = [];
  const follow = <T>(kind: Kind<T>, what?: RetryOn): Cache<T> => {
    const informer: Informer<T> = informers.informer(kind);
    synced.push(informer.synced);
    if (what) handlers.push(informer.onChange(() => changed(what)));
    return informer.cache;
  };
  const namespaces = follow(namespaceKind, 'namespace');
  const claims = follow(persistentVolumeClaimKind, 'volume');
  const volumes = follow(persistentVolumeKind, 'volume');
  const classes = follow(storageClassKind, 'volume');
  const budgets = follow(podDisruptionBudgetKind);
  return {
    view: {
      namespaceLabels: (name) => namespaces.get({ name })?.metadata.labels,
      claim: (namespace, name) => claims.get({ namespace, name }),
      volume: (name) => volumes.get({ name }),
      volumes: () => volumes.list(),
      storageClass: (name) => classes.get({ name }),
      budgets: () => budgets.list(),
    },
    synced: Promise.all(synced),
    [Symbol.dispose]: () => {
      for (const handler of handlers) handler[Symbol.dispose]();
    },
  };
}
