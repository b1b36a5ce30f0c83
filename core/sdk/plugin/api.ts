import type { Client } from '#client';
import type { Kind, KubeObject, ObjectKey } from '../../api/meta.ts';
import { type Needs, networkNeed } from './needs.ts';
import { builtinResources, viewOf } from './resources.ts';

/** The kind of a resource name. `plural.group` of somebody else's custom kinds must be among `others`. */
export function kindOfResource(name: string, others: readonly Kind<unknown>[] = []): Kind<KubeObject> {
  const builtin = (builtinResources as Readonly<Record<string, Kind<unknown>>>)[name];
  const kind = builtin ?? others.find(({ plural, group }) => `${plural}.${group}` === name);
  if (!kind)
    throw new Error(
      `there is no resource "${name}" here; needs name a plural, with its group: leases.coordination.k8s.io`,
    );
  return kind as Kind<KubeObject>;
}

/** The client that `needs` types: one property a resource, one method a verb. */
export function apiOf(
  needs: Needs,
  client: Client,
  manager: string,
  kindOf: (name: string) => Kind<KubeObject>,
): Readonly<Record<string, unknown>> {
  const api: Record<string, unknown> = {};
  for (const [name, verbs] of Object.entries(needs)) {
    if (name === networkNeed) continue;
    const all = methodsOf(kindOf(name), client, manager);
    const names = ((verbs ?? []) as readonly string[]).flatMap((verb) =>
      verb === 'patch' ? ['patch', 'apply'] : [verb],
    );
    const allowed = Object.entries(all).filter(([method]) => names.includes(method));
    api[name] = Object.fromEntries(allowed);
  }
  return api;
}

type Key = ObjectKey | { readonly metadata: { readonly name?: string; readonly namespace?: string } };
const keyFrom = (key: Key): ObjectKey =>
  'metadata' in key ? { namespace: key.metadata.namespace || undefined, name: key.metadata.name ?? '' } : key;

function methodsOf(kind: Kind<KubeObject>, client: Client, fieldManager: string) {
  return {
    get: async (key: Key) => viewOf(await client.get(kind, keyFrom(key))),
    list: async (options?: { namespace?: string; labelSelector?: string; fieldSelector?: string }) =>
      (await client.list(kind, options)).items.map(viewOf),
    create: async (object: KubeObject) => viewOf(await client.create(kind, object, { fieldManager })),
    update: async (object: KubeObject) => viewOf(await client.update(kind, object, { fieldManager })),
    patch: async (key: Key, body: Readonly<Record<string, unknown>>) =>
      viewOf(await client.patch(kind, keyFrom(key), { type: 'merge', body }, { fieldManager })),
    apply: async (object: KubeObject) => viewOf(await client.apply(kind, object, { fieldManager, force: true })),
    delete: (key: Key) => client.delete(kind, keyFrom(key)),
  };
}
