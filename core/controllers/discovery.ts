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
  const all = ['v1', ...versions];
  const answers = await Promise.all(
    all.map(async (groupVersion) => {
      const path = groupVersion === 'v1' ? '/api/v1' : `/apis/${groupVersion}`;
      return client.request<APIResourceList>('GET', path).then(
        (list) => ({ groupVersion, list }),
        (error: unknown) => ({ groupVersion, error }),
      );
    }),
  );
  const failures = answers.flatMap((answer) => ('list' in answer ? [] : [answer]));
  const kinds = answers.flatMap((answer) => ('list' in answer ? kindsOf(answer.groupVersion, answer.list) : []));
  return { kinds, failures };
}

function kindsOf(groupVersion: string, { resources }: APIResourceList): Discovered['kinds'] {
  const slash = groupVersion.indexOf('/');
  return resources
    .filter(({ name }) => !name.includes('/'))
    .map((resource) => ({
      group: slash < 0 ? '' : groupVersion.slice(0, slash),
      version: groupVersion.slice(slash + 1),
      kind: resource.kind,
      plural: resource.name,
      singular: resource.singularName,
      namespaced: resource.namespaced,
      type: '',
      verbs: resource.verbs,
    }));
}
