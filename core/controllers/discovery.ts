import type { APIResourceList, Kind, KubeObject } from '#api';
import type { Client } from '#client';

export interface Discovered {
  readonly kinds: readonly (Kind<KubeObject> & { readonly verbs: readonly string[] })[];
  /** Group versions that did not answer, with the reason. */
  readonly failures: readonly { readonly groupVersion: string; readonly error: unknown }[];
}

/** Every kind that the server serves, each in its group's preferred version. A dead group is a failure in the list, not of the whole. */
export async function discoverKinds(client: Client): Promise<Discovered> {
  const groups = await client.request<{ groups?: { preferredVersion?: { groupVersion: string } }[] }>('GET', '/apis');
  const versions = (groups.groups ?? []).flatMap((group) => group.preferredVersion?.groupVersion ?? []);
  const kinds: (Kind<KubeObject> & { verbs: readonly string[] })[] = [];
  const failures: { groupVersion: string; error: unknown }[] = [];
  for (const groupVersion of ['v1', ...versions]) {
    try {
      const path = groupVersion === 'v1' ? '/api/v1' : `/apis/${groupVersion}`;
      const list = await client.request<APIResourceList>('GET', path);
      const slash = groupVersion.indexOf('/');
      for (const resource of list.resources)
        if (!resource.name.includes('/'))
          kinds.push({
            group: slash < 0 ? '' : groupVersion.slice(0, slash),
            version: groupVersion.slice(slash + 1),
            kind: resource.kind,
            plural: resource.name,
            singular: resource.singularName,
            namespaced: resource.namespaced,
            type: '',
            verbs: resource.verbs,
          });
    } catch (error) {
      failures.push({ groupVersion, error });
    }
  }
  return { kinds, failures };
}
