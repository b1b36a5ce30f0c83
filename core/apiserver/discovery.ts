import type { AnyKind, ServedKind } from './contract.ts';

/** Discovery documents, made from the kinds that are served now. */
const allVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
/** Subresources that speak a kind of another group. */
const subresourceKinds: Readonly<Record<string, { group: string; version: string; kind: string }>> = {
  'pods/binding': { group: '', version: 'v1', kind: 'Binding' },
  'pods/eviction': { group: 'policy', version: 'v1', kind: 'Eviction' },
  'serviceaccounts/token': { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
  'pods/exec': { group: '', version: 'v1', kind: 'PodExecOptions' },
  'pods/attach': { group: '', version: 'v1', kind: 'PodAttachOptions' },
  'pods/portforward': { group: '', version: 'v1', kind: 'PodPortForwardOptions' },
  'pods/proxy': { group: '', version: 'v1', kind: 'PodProxyOptions' },
  'services/proxy': { group: '', version: 'v1', kind: 'ServiceProxyOptions' },
  'nodes/proxy': { group: '', version: 'v1', kind: 'NodeProxyOptions' },
};
const proxyVerbs = ['create', 'delete', 'get', 'patch', 'update'];
const subresourceVerbs: Readonly<Record<string, readonly string[]>> = {
  binding: ['create'],
  eviction: ['create'],
  token: ['create'],
  log: ['get'],
  exec: ['create', 'get'],
  attach: ['create', 'get'],
  portforward: ['create', 'get'],
  proxy: proxyVerbs,
  finalize: ['update'],
};
export interface Extra {
  /** Such as `pods/log`, of the core group. */
  readonly streams: readonly string[];
}

/** Core first, then by name; with the newest version first within a group. */
export function groupsOf(kinds: readonly ServedKind[]): { name: string; versions: string[] }[] {
  const groups = new Map<string, Set<string>>();
  for (const { kind } of kinds)
    (groups.get(kind.group) ?? groups.set(kind.group, new Set()).get(kind.group)!).add(kind.version);
  const names = [...groups.keys()].sort();
  return names.map((name) => ({ name, versions: [...groups.get(name)!].sort(byMaturity) }));
}

/** v2 before v1 before v1beta1. */
function byMaturity(a: string, b: string): number {
  const rank = (text: string) => {
    const [, major = '0', stage, minor = '0'] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(text) ?? [];
    return (stage === undefined ? 2 : stage === 'beta' ? 1 : 0) * 1e6 + Number(major) * 1e3 + Number(minor);
  };
  return rank(b) - rank(a) || (a < b ? -1 : 1);
}

export const apiVersions = (address: string) => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
});

export function apiGroup(group: { name: string; versions: readonly string[] }) {
  const versions = group.versions.map((version) => ({ groupVersion: `${group.name}/${version}`, version }));
  return { name: group.name, versions, preferredVersion: versions[0] };
}
export const apiGroupList = (kinds: readonly ServedKind[]) => ({
  kind: 'APIGroupList',
  apiVersion: 'v1',
  groups: groupsOf(kinds)
    .filter((group) => group.name)
    .map(apiGroup),
});

function subresourcesOf({ kind, strategy, scale }: ServedKind, extra: Extra): string[] {
  const streams = kind.group
    ? []
    : extra.streams
        .filter((path) => path.startsWith(`${kind.plural}/`))
        .map((path) => path.slice(kind.plural.length + 1));
  const own = Object.keys(subresourceKinds)
    .filter(
      (path) =>
        ['binding', 'eviction', 'token'].includes(path.slice(kind.plural.length + 1)) &&
        path.startsWith(`${kind.plural}/`) &&
        !kind.group,
    )
    .map((path) => path.slice(kind.plural.length + 1));
  return [
    ...new Set([
      ...strategy.subresources.filter((name) => name !== 'scale'),
      ...(scale ? ['scale'] : []),
      ...own,
      ...streams,
    ]),
  ].sort();
}
const kindOfSubresource = (kind: AnyKind, subresource: string) =>
  subresource === 'scale'
    ? { group: 'autoscaling', version: 'v1', kind: 'Scale' }
    : (subresourceKinds[`${kind.plural}/${subresource}`] ?? kind);
const isForeign = (kind: AnyKind, other: { group: string; version: string }): boolean =>
  other.group !== kind.group || other.version !== kind.version;
const verbsOfSubresource = (subresource: string) => subresourceVerbs[subresource] ?? ['get', 'patch', 'update'];

export function apiResourceList(kinds: readonly ServedKind[], group: string, version: string, extra: Extra) {
  const resources = kinds
    .filter(({ kind }) => kind.group === group && kind.version === version)
    .sort((a, b) => (a.kind.plural < b.kind.plural ? -1 : 1))
    .flatMap((served) => {
      const { kind } = served;
      const own = {
        name: kind.plural,
        singularName: kind.singular,
        namespaced: kind.namespaced,
        kind: kind.kind,
        verbs: verbsOf(kind),
        ...(kind.shortNames?.length ? { shortNames: kind.shortNames } : {}),
        ...(kind.categories?.length ? { categories: kind.categories } : {}),
        ...(verbsOf(kind).includes('watch') ? { storageVersionHash: storageHash(kind) } : {}), // else it is not stored
      };
      const parts = subresourcesOf(served, extra).map((subresource) => {
        const other = kindOfSubresource(kind, subresource);
        return {
          name: `${kind.plural}/${subresource}`,
          singularName: '',
          namespaced: kind.namespaced,
          ...(isForeign(kind, other) ? { group: other.group, version: other.version } : {}),
          kind: other.kind,
          verbs: verbsOfSubresource(subresource),
        };
      });
      return [own, ...parts];
    });
  return {
    kind: 'APIResourceList',
    ...(group ? { apiVersion: 'v1' } : {}), // upstream's oldest document has none
    groupVersion: group ? `${group}/${version}` : version,
    resources,
  };
}
const storageHash = ({ group, version, kind }: AnyKind): string =>
  Buffer.from(Bun.hash(`${group}/${version}/${kind}`).toString(16).padStart(16, '0'), 'hex').toString('base64');
const verbsOf = (kind: AnyKind): readonly string[] => kind.verbs ?? allVerbs;

/** APIGroupDiscoveryList: `core` picks /api (true) or /apis. */
export function aggregated(kinds: readonly ServedKind[], core: boolean, stage: 'v2' | 'v2beta1', extra: Extra) {
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${stage}`,
    metadata: {},
    items: groupsOf(kinds)
      .filter((group) => (group.name === '') === core)
      .map((group) => ({
        metadata: group.name ? { name: group.name } : {},
        versions: group.versions.map((version) => ({
          version,
          freshness: 'Current',
          resources: kinds
            .filter(({ kind }) => kind.group === group.name && kind.version === version)
            .sort((a, b) => (a.kind.plural < b.kind.plural ? -1 : 1))
            .map((served) => aggregatedResource(served, extra)),
        })),
      })),
  };
}

function aggregatedResource(served: ServedKind, extra: Extra) {
  const { kind } = served;
  const subresources = subresourcesOf(served, extra).map((subresource) => {
    const other = kindOfSubresource(kind, subresource);
    const foreign = isForeign(kind, other);
    const responseKind = {
      group: foreign ? other.group : '',
      version: foreign ? other.version : '',
      kind: other.kind,
    };
    return { subresource, responseKind, verbs: verbsOfSubresource(subresource) };
  });
  return {
    resource: kind.plural,
    responseKind: { group: '', version: '', kind: kind.kind }, // empty: as the list around it
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: verbsOf(kind),
    ...(kind.shortNames?.length ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories?.length ? { categories: kind.categories } : {}),
    ...(subresources.length ? { subresources } : {}),
  };
}
