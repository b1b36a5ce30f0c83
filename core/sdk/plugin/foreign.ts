import { PintleError } from '#base';
import type { Client } from '#client';
import { isReason } from '../../api/index.ts';
import type { Kind, KubeObject } from '../../api/meta.ts';
import { networkNeed } from './needs.ts';
import { builtinResources } from './resources.ts';

/** Finds the kinds of these names, each `plural.group`. */
export type Discover = (names: readonly string[]) => Promise<readonly Kind<KubeObject>[]>;

/** Names in needs that are neither built in nor the plugin's own. */
export const foreignNames = (needs: object, own: readonly Kind<unknown>[]): string[] =>
  Object.keys(needs).filter(
    (name) =>
      name !== networkNeed &&
      !(name in builtinResources) &&
      !own.some(({ plural, group }) => `${plural}.${group}` === name),
  );
const split = (name: string): [plural: string, group: string] => {
  const at = name.indexOf('.');
  return at < 1 ? [name, ''] : [name.slice(0, at), name.slice(at + 1)];
};

interface Group {
  readonly versions?: readonly { readonly version: string }[];
  readonly preferredVersion?: { readonly version: string };
}
interface Resources {
  readonly resources?: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
}
/** Asks the cluster: the preferred version of the group first. Throws PLUGIN_UNKNOWN_RESOURCE where it serves no such thing. */
export const discoverWith =
  (client: Client): Discover =>
  (names) =>
    Promise.all(names.map((name) => discover(client, name)));

async function discover(client: Client, name: string): Promise<Kind<KubeObject>> {
  const [plural, group] = split(name);
  const ask = <T>(path: string): Promise<T | undefined> =>
    client.request<T>('GET', path).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
  const { preferredVersion, versions = [] } = (group && (await ask<Group>(`/apis/${group}`))) || {};
  for (const version of new Set([preferredVersion, ...versions].flatMap((one) => one?.version ?? []))) {
    const served = await ask<Resources>(`/apis/${group}/${version}`);
    const found = served?.resources?.find((one) => one.name === plural);
    if (found) return kindOf(plural, group, { version, ...found });
  }
  throw new PintleError(
    'PLUGIN_UNKNOWN_RESOURCE',
    `the plugin needs ${name}, and this cluster serves no such resource`,
    'needs name a plural, with its group: leases.coordination.k8s.io; install what brings it first',
  );
}
const kindOf = (
  plural: string,
  group: string,
  { version, kind, namespaced }: { version: string; kind: string; namespaced: boolean },
): Kind<KubeObject> => ({
  group,
  version,
  kind,
  plural,
  singular: kind.toLowerCase(),
  namespaced,
  type: `${group}/${version}.${kind}`,
});

/** Where there is no cluster to ask: while a plugin is built. */
export const assumeKinds: Discover = async (names) =>
  names.map((name) => {
    const [plural, group] = split(name);
    return kindOf(plural, group, { version: 'v1', kind: plural, namespaced: true });
  });
