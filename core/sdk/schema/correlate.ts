import { isObject, type SchemaNode } from './node.ts';

/** There is no former value to compare with: a creation, or a place that cannot be found again. */
export const uncorrelated: unique symbol = Symbol('uncorrelated');
export type Former = unknown;

export const isUnchanged = (value: unknown, former: Former): boolean =>
  former !== uncorrelated && Bun.deepEquals(value, former, false);

/** The former value of a field or of an entry. */
export const formerField = (schema: SchemaNode | undefined, former: Former, name: string): Former =>
  schema?.mapType !== 'atomic' && isObject(former) && Object.hasOwn(former, name) ? former[name] : uncorrelated;

/** The former value of an element: only lists that are maps say which one it was. */
export function formerElement(schema: SchemaNode, former: Former, element: unknown): Former {
  if (schema.listType !== 'map' || !Array.isArray(former) || !isObject(element)) return uncorrelated;
  const found = (former as unknown[]).find(
    (other) =>
      isObject(other) && schema.listMapKeys.every((key) => keyOf(schema, other, key) === keyOf(schema, element, key)),
  );
  return found === undefined ? uncorrelated : found;
}
const keyOf = (schema: SchemaNode, element: Record<string, unknown>, key: string): unknown =>
  element[key] ?? schema.items?.properties?.get(key)?.default;
