import { isReason } from '#api';
import type { ApiPartContext } from './parts.ts';
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
