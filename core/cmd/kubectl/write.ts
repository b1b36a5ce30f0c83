import { waitUntil } from '../processes.ts';
import { type AnyObject, type Api, pathOf, type Resource, ServerError, shownKind } from './api.ts';
import { type Arguments, flagOf, isSet } from './arguments.ts';
import { readManifests } from './manifests.ts';
import { namespaceOf, objectsOf, type Target, targetsOf, targetsWithFiles } from './read.ts';

const goneWithinMs = 10 * 60_000;
const manager = 'kubectl';

/** By server-side apply: what stock kubectl keeps in an annotation, the server keeps as the manager's fields. */
export async function apply(api: Api, args: Arguments): Promise<string> {
  const files = args.flags.get('filename') ?? [];
  if (files.length === 0) throw new ServerError(400, 'error: must specify one of -f and -k');
  const lines: string[] = [];
  for (const object of await readManifests(files)) {
    const resource = await api.resourceOfKind(object);
    const name = object.metadata?.name;
    if (!name) throw new ServerError(400, 'error: resource name may not be empty');
    const path = pathOf(resource, object.metadata.namespace ?? namespaceOf(args), name);
    const former = await versionOf(api, path);
    const answer = await api.json<AnyObject>(
      'PATCH',
      `${path}?fieldManager=${manager}&force=true&fieldValidation=Strict`,
      {
        type: 'application/apply-patch+yaml',
        body: JSON.stringify(object),
      },
    );
    const outcome =
      former === undefined ? 'created' : former === answer.metadata.resourceVersion ? 'unchanged' : 'configured';
    lines.push(`${shownKind(resource)}/${name} ${outcome}\n`);
    process.stdout.write(lines.at(-1)!); // told as it happens: a later one may fail
  }
  return '';
}

async function versionOf(api: Api, path: string): Promise<string | undefined> {
  try {
    return (await api.json<AnyObject>('GET', path)).metadata.resourceVersion;
  } catch (error) {
    if (error instanceof ServerError && error.status === 404) return undefined;
    throw error;
  }
}

export async function remove(api: Api, args: Arguments): Promise<string> {
  const grace = flagOf(args, 'grace-period');
  const body = JSON.stringify({
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy: 'Background',
    ...(grace === undefined ? {} : { gracePeriodSeconds: Number(grace) }),
  });
  const pending: { path: string; uid: unknown }[] = [];
  for (const target of await targetsWithFiles(api, args)) {
    if (target.names.length === 0 && !isSet(args, 'all') && flagOf(args, 'selector') === undefined)
      throw new ServerError(400, 'error: resource(s) were provided, but no name was specified');
    for (const { path, name } of await namedOf(api, args, target)) {
      const object = await deleteOne(api, path, body, isSet(args, 'ignore-not-found'));
      if (!object) continue;
      process.stdout.write(`${shownKind(target.resource)} "${name}" deleted\n`);
      pending.push({ path, uid: object.metadata?.['uid'] });
    }
  }
  if (flagOf(args, 'wait') === 'false') return '';
  for (const { path, uid } of pending)
    await waitUntil(
      async () => {
        const now = await deleteLook(api, path);
        return now === undefined || (uid !== undefined && now !== uid);
      },
      goneWithinMs,
      100,
    );
  return '';
}

async function namedOf(
  api: Api,
  args: Arguments,
  target: Target & { namespace?: string },
): Promise<{ path: string; name: string }[]> {
  const { resource, names } = target;
  const place = target.namespace ?? namespaceOf(args);
  if (names.length > 0) return names.map((name) => ({ name, path: pathOf(resource, place, name) }));
  return (await objectsOf(api, args, target)).map(({ metadata }) => ({
    name: metadata.name!,
    path: pathOf(resource, metadata.namespace, metadata.name),
  }));
}
async function deleteOne(
  api: Api,
  path: string,
  body: string,
  missingAllowed: boolean,
): Promise<AnyObject | undefined> {
  try {
    const answer = await api.json<AnyObject & { details?: { uid?: string } }>('DELETE', path, { body });
    return answer.kind === 'Status' ? { metadata: { uid: answer.details?.uid } } : answer;
  } catch (error) {
    if (missingAllowed && error instanceof ServerError && error.status === 404) return undefined;
    throw error;
  }
}
/** The uid of what is there. */
async function deleteLook(api: Api, path: string): Promise<unknown> {
  try {
    return (await api.json<AnyObject>('GET', path)).metadata['uid'];
  } catch (error) {
    if (error instanceof ServerError && error.status === 404) return undefined;
    throw error;
  }
}

export async function scale(api: Api, args: Arguments): Promise<string> {
  const replicas = Number(flagOf(args, 'replicas'));
  if (!Number.isInteger(replicas) || replicas < 0)
    throw new ServerError(400, 'error: --replicas=N must be a whole number');
  const told: string[] = [];
  for (const { resource, names } of await targetsOf(api, args.words)) {
    if (names.length === 0) throw new ServerError(400, 'error: resource(s) were provided, but no name was specified');
    for (const name of names) told.push(await scaleOne(api, resource, namespaceOf(args), name, replicas));
  }
  return told.join('');
}
async function scaleOne(
  api: Api,
  resource: Resource,
  namespace: string,
  name: string,
  replicas: number,
): Promise<string> {
  await api.json('PATCH', `${pathOf(resource, namespace, name, 'scale')}?fieldManager=${manager}`, {
    type: 'application/merge-patch+json',
    body: JSON.stringify({ spec: { replicas } }),
  });
  return `${shownKind(resource)}/${name} scaled\n`;
}
