import { type Kind, type KubeObject, type ObjectKey, pathOf } from '#api';
import { type Client, type DeleteOptions, deleteBody, type InformerFactory } from '#client';

/** A client whose answers are visible in the informers at once: a reconciler never decides on a state before its own last write. */
export function ownWritesClient(client: Client, informers: InformerFactory): Client {
  const seen = async <T>(kind: Kind<T>, isDryRun: boolean | undefined, answer: Promise<T>): Promise<T> => {
    const object = await answer;
    if (!isDryRun) informers.observe(kind, object);
    return object;
  };
  return {
    get: (kind, key, options) => client.get(kind, key, options),
    list: (kind, options) => client.list(kind, options),
    watch: (kind, options, signal) => client.watch(kind, options, signal),
    request: (method, path, body, options) => client.request(method, path, body, options),
    create: (kind, object, options) => seen(kind, options?.dryRun, client.create(kind, object, options)),
    update: (kind, object, options) => seen(kind, options?.dryRun, client.update(kind, object, options)),
    patch: (kind, key, patch, options) => seen(kind, options?.dryRun, client.patch(kind, key, patch, options)),
    apply: (kind, object, options) => seen(kind, false, client.apply(kind, object, options)),
    delete: (kind, key, options) => deleteSeen(client, informers, kind, key, options ?? {}),
  };
}

async function deleteSeen<T>(
  client: Client,
  informers: InformerFactory,
  kind: Kind<T>,
  key: ObjectKey,
  options: DeleteOptions,
): Promise<void> {
  const path = pathOf(kind, key.namespace, key.name, options.subresource);
  const answer = await client.request<KubeObject & { spec?: { finalizers?: string[] } }>(
    'DELETE',
    path,
    deleteBody(options),
  );
  if (options.dryRun || options.subresource) return;
  if (answer.kind === kind.kind && answer.metadata?.uid) {
    const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = answer.metadata;
    // A namespace waits for the finalizers of its spec as well.
    const held = finalizers?.length || (kind.kind === 'Namespace' && answer.spec?.finalizers?.length);
    const isStillThere = !!deletionTimestamp && ((deletionGracePeriodSeconds ?? 0) > 0 || !!held);
    informers.observe(kind, answer as T, !isStillThere);
  }
  // A Status tells of the request only (with finalizers the object may still be there): the watch will tell.
}
