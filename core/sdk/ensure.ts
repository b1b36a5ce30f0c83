import { type CustomResourceDefinition, isReason, type KubeObject } from '#api';
import type { ApiPartContext } from './parts.ts';
import { definitionKind } from './schema/index.ts';
import type { AnyKind, AnyObject } from './serving.ts';

/**
 * An object that a part of the API server brings along: created when it is not there; of one that is, `fields` are brought to
 * what this version wants, and the rest stays as people left it. Rejects with StatusError.
 */
export async function ensureObject(
  { objects, reader }: Pick<ApiPartContext, 'objects' | 'reader'>,
  kind: AnyKind,
  wanted: AnyObject,
  fields: readonly string[] = ['rules', 'subjects'],
): Promise<void> {
  const { name = '', namespace = '' } = wanted.metadata;
  try {
    // Asked first: to create a service that is there is refused for its address, before its name is looked at.
    if (!reader.get(kind, namespace, name)) return await objects.create(kind, wanted);
  } catch (error) {
    if (!isReason(error, 'AlreadyExists') && !reader.get(kind, namespace, name)) throw error; // else another API server was faster
  }
  await objects.update(kind, { namespace, name }, (draft) => {
    const stale = fields.filter((field) => !Bun.deepEquals(draft[field], wanted[field]));
    for (const field of stale) draft[field] = wanted[field];
    return stale.length > 0;
  });
}

const servedMsMax = 9_000; // a part has ten seconds to start
const lookEveryMs = 10;

/** A custom kind that a part of the API server brings along: resolves once it is served. Needs the plugin `crd`. */
export async function serveDefinition(
  { client, kinds, clock, scope, reader }: ApiPartContext,
  kind: AnyKind,
  definition: CustomResourceDefinition & KubeObject,
  fieldManager: string,
): Promise<void> {
  await client.apply(definitionKind, definition, { fieldManager, force: true });
  const endMs = clock.monotonicMs() + servedMsMax;
  const isServed = () =>
    kinds.all().some(({ kind: one }) => one.type === kind.type) &&
    reader
      .get(definitionKind, '', definition.metadata.name!)
      ?.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True');
  while (!isServed()) {
    if (clock.monotonicMs() > endMs || scope.signal.aborted)
      throw new Error(`${definition.metadata.name} is not served after ${servedMsMax} ms; see its conditions`);
    await clock.sleep(lookEveryMs, scope.signal);
  }
}
