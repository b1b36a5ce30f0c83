import type { ObjectMeta } from '#api';

/**
 * Field owners have keys such as `k:{"name":"web"}`. One key that needs an escape takes JSON.stringify off its fast path for the
 * whole object (1.9 KB: 20 us instead of 4), so their text is made here and put where it stood.
 */
const mark = '"managedFields":0';

/** What JSON.stringify gives, of an object whose metadata may hold field owners. */
export function objectText(object: { readonly metadata: ObjectMeta; readonly [field: string]: unknown }): string {
  const managed = object.metadata.managedFields;
  if (!Array.isArray(managed) || managed.length === 0) return JSON.stringify(object);
  const text = JSON.stringify({ ...object, metadata: { ...object.metadata, managedFields: 0 } });
  const at = text.indexOf(mark); // in a text value its quotes would be escaped, and nothing of metadata is a number under that name
  return `${text.slice(0, at + mark.length - 1)}[${managed.map(entryText).join(',')}]${text.slice(at + mark.length)}`;
}

const treeMark = '"fieldsV1":0';
function entryText(entry: object): string {
  const { fieldsV1 } = entry as { readonly fieldsV1?: unknown };
  if (fieldsV1 === undefined) return JSON.stringify(entry);
  const text = JSON.stringify({ ...entry, fieldsV1: 0 });
  const at = text.indexOf(treeMark); // as above: what is a number under that name is the one that was put there
  return text.slice(0, at + treeMark.length - 1) + wholeText(fieldsV1) + text.slice(at + treeMark.length);
}

/** Of trees that many objects share; nobody changes them. */
const sharedTexts = new WeakMap<object, string>();
export const shareText = (tree: object): void => void sharedTexts.set(tree, ownersText(tree));

/** Most writes leave the owners as they were, and their tree is the very one that was written before. */
function wholeText(tree: unknown): string {
  const text = ownersText(tree);
  if (typeof tree === 'object' && tree !== null && !sharedTexts.has(tree)) sharedTexts.set(tree, text);
  return text;
}

const needsEscape = /["\\\u0000-\u001f\ud800-\udfff]/;
function ownersText(tree: unknown, depth = 0): string {
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) return JSON.stringify(tree);
  const known = depth < 2 ? sharedTexts.get(tree) : undefined;
  if (known !== undefined) return known;
  let text = '';
  for (const key in tree) {
    const child = (tree as Record<string, unknown>)[key];
    if (child === undefined) continue;
    const name = needsEscape.test(key) ? JSON.stringify(key) : `"${key}"`;
    text += `${text === '' ? '' : ','}${name}:${ownersText(child, depth + 1)}`;
  }
  return `{${text}}`;
}
