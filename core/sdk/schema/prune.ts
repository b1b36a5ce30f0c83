import { isObject, type JsonObject, type SchemaNode } from './node.ts';

/** Unknown fields beyond this many are removed without a message each. */
const unknownMax = 100;
/** What every resource has; its metadata is somebody else's to check. */
const typeFields = new Set(['apiVersion', 'kind', 'metadata']);

/** Removes in place what the schema does not know; gives the paths, such as `spec.items[0].x`. */
export function prune(schema: SchemaNode, object: JsonObject): string[] {
  const removed: string[] = [];
  walk(schema, object, '', true, removed);
  return removed;
}

/** The same for a value inside of an object, such as a default. */
export function pruneValue(schema: SchemaNode, value: unknown): string[] {
  const removed: string[] = [];
  walk(schema, value, '', schema.embedded, removed);
  return removed;
}

function walk(schema: SchemaNode | undefined, value: unknown, path: string, isRoot: boolean, removed: string[]): void {
  if (Array.isArray(value)) {
    const list: unknown[] = value;
    if (!schema?.items && schema?.preserveUnknown) return;
    for (const [index, element] of list.entries())
      walk(schema?.items, element, `${path}[${index}]`, schema?.items?.embedded ?? false, removed);
    return;
  }
  if (!isObject(value)) return;
  for (const key of Object.keys(value)) {
    if (isRoot && typeFields.has(key)) continue;
    const at = path ? `${path}.${key}` : key;
    const property = schema?.properties?.get(key);
    const additional = schema?.additional;
    if (property) walk(property, value[key], at, property.embedded, removed);
    else if (typeof additional === 'object') walk(additional, value[key], at, additional.embedded, removed);
    else if (schema?.preserveUnknown) continue;
    else if (additional === true) walk(undefined, value[key], at, false, removed);
    else {
      if (removed.length < unknownMax) removed.push(at);
      delete value[key];
    }
  }
}
