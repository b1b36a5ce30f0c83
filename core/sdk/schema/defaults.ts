import { isObject, type SchemaNode } from './node.ts';

/**
 * Fills in place what is absent, or null where null may not stand; a null that may not stand and has no default goes.
 * True: something changed.
 */
export function applyDefaults(schema: SchemaNode, value: unknown): boolean {
  let changed = false;
  if (Array.isArray(value)) {
    if (schema.items)
      for (const element of value as unknown[]) if (applyDefaults(schema.items, element)) changed = true;
    return changed;
  }
  if (!isObject(value)) return false;
  for (const [name, property] of schema.properties ?? []) {
    const has = Object.hasOwn(value, name) && value[name] !== undefined;
    const isWrongNull = has && value[name] === null && !property.nullable && property.type !== '';
    if (property.default !== undefined && (!has || isWrongNull)) {
      value[name] = fresh(property.default);
      changed = true;
    } else if (isWrongNull) {
      delete value[name];
      changed = true;
      continue;
    } else if (!has) continue;
    if (applyDefaults(property, value[name])) changed = true;
  }
  const { additional } = schema;
  if (typeof additional !== 'object') return changed;
  for (const key of Object.keys(value)) {
    if (schema.properties?.has(key)) continue;
    if (value[key] === null && !additional.nullable && additional.type !== '') {
      if (additional.default === undefined) delete value[key];
      else value[key] = fresh(additional.default);
      changed = true;
    }
    if (applyDefaults(additional, value[key])) changed = true;
  }
  return changed;
}

const fresh = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? structuredClone(value) : value;
