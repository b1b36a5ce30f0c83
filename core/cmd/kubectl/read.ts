import { stringify } from 'yaml';
import { type AnyObject, type Api, apiVersionOf, pathOf, type Resource, ServerError } from './api.ts';
import { type Arguments, flagOf, isSet, onlyStock } from './arguments.ts';
import { readManifests } from './manifests.ts';

export interface Target {
  readonly resource: Resource;
  readonly names: readonly string[];
}

/** `pods`, `pod web`, `pod/web svc/web`, `rc,svc`. */
export async function targetsOf(api: Api, words: readonly string[]): Promise<Target[]> {
  if (words.length === 0) throw new ServerError(400, 'error: you must name a resource type, such as pods');
  if (words[0]!.includes('/'))
    return Promise.all(
      words.map(async (word) => {
        const [type, name, more] = word.split('/');
        if (!name || more !== undefined) throw new ServerError(400, `error: ${word} is not TYPE/NAME`);
        return { resource: await api.resource(type!), names: [name] };
      }),
    );
  const types = words[0]!.split(',');
  return Promise.all(types.map(async (type) => ({ resource: await api.resource(type), names: words.slice(1) })));
}
export const namespaceOf = (args: Arguments): string => flagOf(args, 'namespace') ?? 'default';

/** Of manifests when -f is given, else of the words. */
export async function targetsWithFiles(api: Api, args: Arguments): Promise<(Target & { namespace?: string })[]> {
  const files = args.flags.get('filename') ?? [];
  if (files.length === 0) return targetsOf(api, args.words);
  const objects = await readManifests(files);
  return Promise.all(
    objects.map(async (object) => ({
      resource: await api.resourceOfKind(object),
      names: [object.metadata.name ?? ''],
      namespace: object.metadata.namespace,
    })),
  );
}

export async function get(api: Api, args: Arguments): Promise<string> {
  const output = flagOf(args, 'output') ?? '';
  if (!['', 'wide', 'json', 'yaml', 'name'].includes(output)) throw onlyStock(`the output ${output}`);
  const targets = await targetsWithFiles(api, args);
  if (output === 'json' || output === 'yaml' || output === 'name') return objectsText(api, args, targets, output);
  const parts: string[] = [];
  for (const target of targets) {
    const text = await tableText(api, args, target, targets.length > 1, output === 'wide');
    if (text !== '') parts.push(text);
  }
  if (parts.length === 0) {
    const everywhere = isSet(args, 'all-namespaces') || !targets.some(({ resource }) => resource.namespaced);
    process.stderr.write(
      everywhere ? 'No resources found\n' : `No resources found in ${namespaceOf(args)} namespace.\n`,
    );
  }
  return parts.join('\n');
}

const query = (args: Arguments): string => {
  const selector = flagOf(args, 'selector');
  return selector === undefined ? '' : `?labelSelector=${encodeURIComponent(selector)}`;
};
const placeOf = (args: Arguments, target: { namespace?: string }): string | undefined =>
  isSet(args, 'all-namespaces') ? undefined : (target.namespace ?? namespaceOf(args));

async function objectsText(
  api: Api,
  args: Arguments,
  targets: readonly (Target & { namespace?: string })[],
  output: 'json' | 'yaml' | 'name',
): Promise<string> {
  const objects: AnyObject[] = [];
  for (const target of targets) {
    const found = await objectsOf(api, args, target);
    objects.push(...found);
    if (output === 'name') continue;
  }
  if (output === 'name') {
    const resources = await api.resources();
    const group = (object: AnyObject) =>
      resources.find((one) => one.kind === object.kind && apiVersionOf(one) === object.apiVersion)?.group;
    return objects
      .map(
        (object) =>
          `${object.kind!.toLowerCase()}${group(object) ? `.${group(object)}` : ''}/${object.metadata.name}\n`,
      )
      .join('');
  }
  const single = targets.length === 1 && targets[0]!.names.length === 1;
  const whole = single
    ? objects[0]
    : { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: objects };
  if (whole === undefined) return '';
  return output === 'json' ? `${JSON.stringify(whole, null, 4)}\n` : stringify(whole, { aliasDuplicateObjects: false });
}

/** The named ones, or all that the selector matches. */
export async function objectsOf(
  api: Api,
  args: Arguments,
  target: Target & { namespace?: string },
): Promise<AnyObject[]> {
  const { resource, names } = target;
  const place = placeOf(args, target);
  if (names.length === 0) {
    const list = await api.json<{ items: AnyObject[] }>('GET', pathOf(resource, place) + query(args));
    return list.items.map((item) => ({ ...item, apiVersion: apiVersionOf(resource), kind: resource.kind }));
  }
  const found = await Promise.all(
    names.map(async (name) => {
      try {
        return [await api.json<AnyObject>('GET', pathOf(resource, place, name))];
      } catch (error) {
        if (error instanceof ServerError && error.status === 404 && isSet(args, 'ignore-not-found')) return [];
        throw error;
      }
    }),
  );
  return found.flat();
}

interface Table {
  readonly columnDefinitions: readonly { name: string; priority: number }[];
  readonly rows: readonly { cells: readonly unknown[]; object?: { metadata?: { namespace?: string } } }[];
}
async function tableText(
  api: Api,
  args: Arguments,
  target: Target & { namespace?: string },
  prefixed: boolean,
  wide: boolean,
): Promise<string> {
  const { resource, names } = target;
  const place = placeOf(args, target);
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  const paths =
    names.length === 0 ? [pathOf(resource, place) + query(args)] : names.map((name) => pathOf(resource, place, name));
  const tables = await Promise.all(paths.map((path) => api.json<Table>('GET', path, { accept })));
  const columns = tables[0]!.columnDefinitions;
  const shown = columns.flatMap((column, index) => (wide || column.priority === 0 ? [index] : []));
  const withNamespace = isSet(args, 'all-namespaces') && resource.namespaced;
  const rows = tables
    .flatMap((table) => table.rows)
    .map(({ cells, object }) => [
      ...(withNamespace ? [object?.metadata?.namespace ?? ''] : []),
      ...shown.map(
        (index) => (prefixed && index === 0 ? `${shownPrefix(resource)}/` : '') + String(cells[index] ?? ''),
      ),
    ]);
  if (rows.length === 0) return '';
  const head = [...(withNamespace ? ['NAMESPACE'] : []), ...shown.map((index) => columns[index]!.name.toUpperCase())];
  return align(isSet(args, 'no-headers') ? rows : [head, ...rows]);
}
const shownPrefix = ({ kind, group }: Resource): string => kind.toLowerCase() + (group && `.${group}`);

/** Columns three blanks apart, as kubectl sets them. Pure. */
export function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_cell, index) => Math.max(...rows.map((row) => row[index]!.length)));
  const line = (row: readonly string[]) =>
    row.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index]! + 3))).join('');
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** What is known of each object, and its events. */
export async function describe(api: Api, args: Arguments): Promise<string> {
  const parts: string[] = [];
  for (const target of await targetsOf(api, args.words))
    for (const object of await objectsOf(api, args, target)) parts.push(await describeOne(api, object));
  return parts.join('\n\n');
}

async function describeOne(api: Api, object: AnyObject): Promise<string> {
  const { apiVersion: _version, kind, metadata, ...rest } = object;
  const { name, namespace, labels, annotations, creationTimestamp, uid } = metadata as AnyObject['metadata'] &
    Record<string, unknown>;
  const hidden =
    kind === 'Secret'
      ? Object.fromEntries(
          Object.entries((rest['data'] ?? {}) as Record<string, string>).map(([key, value]) => [
            key,
            `${Buffer.from(value, 'base64').length} bytes`,
          ]),
        )
      : undefined;
  const shown = hidden ? { ...rest, data: hidden } : rest;
  const head = {
    Name: name,
    ...(namespace ? { Namespace: namespace } : {}),
    Labels: labels ?? '<none>',
    Annotations: annotations ?? '<none>',
    Created: creationTimestamp,
  };
  const events = await api.json<{
    items: {
      type: string;
      reason: string;
      message: string;
      count?: number;
      lastTimestamp?: string;
      eventTime?: string;
    }[];
  }>(
    'GET',
    `/api/v1${namespace ? `/namespaces/${namespace}` : ''}/events?fieldSelector=${encodeURIComponent(`involvedObject.uid=${uid}`)}`,
  );
  const rows = events.items.map((event) => [
    `  ${event.type}`,
    event.reason,
    event.lastTimestamp ?? event.eventTime ?? '',
    event.message,
  ]);
  const eventText =
    rows.length === 0
      ? 'Events:  <none>\n'
      : `Events:\n${align([['  TYPE', 'REASON', 'LAST SEEN', 'MESSAGE'], ...rows])}`;
  return (
    stringify(head, { aliasDuplicateObjects: false }) + stringify(shown, { aliasDuplicateObjects: false }) + eventText
  );
}
