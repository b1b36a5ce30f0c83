import { type Clock, endpointSliceKind, type InformerFactory, namespaceKind, serviceKind } from '#sdk';
import { type ClusterView, serviceNameLabel } from './cluster-zone.ts';

export interface LiveView extends ClusterView, Disposable {
  /** After the first full lists. */
  readonly synced: Promise<void>;
  /** Differs after every change. */
  readonly version: number;
  /** Seconds since the epoch of the last change. */
  readonly serial: number;
}

/** The zone's view of informers that others use as well: it keeps nothing of its own but three indexes. */
export function liveView(informers: InformerFactory, clock: Clock): LiveView {
  const services = informers.informer(serviceKind);
  const slices = informers.informer(endpointSliceKind);
  const namespaces = informers.informer(namespaceKind);
  slices.addIndex('dns-service', (slice) => {
    const name = slice.metadata.labels?.[serviceNameLabel];
    return name === undefined ? [] : [`${slice.metadata.namespace}/${name}`];
  });
  slices.addIndex('dns-address', (slice) => (slice.endpoints ?? []).flatMap(({ addresses }) => addresses));
  services.addIndex('dns-address', ({ spec }) => spec?.clusterIPs ?? []);
  let version = 0;
  let serial = Math.floor(clock.now() / 1000);
  const changed = () => {
    version++;
    serial = Math.floor(clock.now() / 1000);
  };
  const handlers = [services.onChange(changed), slices.onChange(changed), namespaces.onChange(changed)];
  return {
    synced: Promise.all([services.synced, slices.synced, namespaces.synced]).then(() => {}),
    get version() {
      return version;
    },
    get serial() {
      return serial;
    },
    hasNamespace: (name) => namespaces.cache.get({ name }) !== undefined,
    service: (namespace, name) => services.cache.get({ namespace, name }),
    slices: (namespace, name) => slices.cache.byIndex('dns-service', `${namespace}/${name}`),
    servicesAt: (address) => services.cache.byIndex('dns-address', address),
    slicesAt: (address) => slices.cache.byIndex('dns-address', address),
    [Symbol.dispose]() {
      for (const handler of handlers) handler[Symbol.dispose]();
    },
  };
}
