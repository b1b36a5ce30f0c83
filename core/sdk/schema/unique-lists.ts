import { type FieldError, fieldErrors } from '../../api/index.ts';
import { isObject, type SchemaNode } from './node.ts';

/** Lists that are sets or maps hold no element twice. */
export function checkUniqueLists(schema: SchemaNode, value: unknown, path = ''): FieldError[] {
  const mistakes: FieldError[] = [];
  walk(schema, value, path, mistakes);
  return mistakes;
}

function walk(schema: SchemaNode, value: unknown, path: string, mistakes: FieldError[]): void {
  if (!schema.has.uniqueLists) return;
  if (Array.isArray(value)) {
    const list: unknown[] = value;
    if (schema.listType === 'set')
      for (const index of repeated(list)) mistakes.push(fieldErrors.duplicate(`${path}[${index}]`, list[index]));
    if (schema.listType === 'map') checkKeys(schema, list, path, mistakes);
    if (schema.items)
      for (const [index, element] of list.entries()) walk(schema.items, element, `${path}[${index}]`, mistakes);
    return;
  }
  if (!isObject(value)) return;
  for (const [name, inner] of Object.entries(value)) {
    const property = schema.properties?.get(name);
    if (property) walk(property, inner, path ? `${path}.${name}` : name, mistakes);
    else if (typeof schema.additional === 'object') walk(schema.additional, inner, `${path}[${name}]`, mistakes);
  }
}

function checkKeys(schema: SchemaNode, list: readonly unknown[], path: string, mistakes: FieldError[]): void {
  const stranger = list.findIndex((element) => element !== null && !isObject(element));
  if (stranger >= 0) {
    mistakes.push(
      fieldErrors.invalid(`${path}[${stranger}]`, list[stranger], 'must be an object for an array of list-type map'),
    );
    return;
  }
  const keys = list.map((element) =>
    Object.fromEntries(
      schema.listMapKeys
        .filter((key) => isObject(element) && element[key] !== undefined)
        .map((key) => [key, (element as Record<string, unknown>)[key]]),
    ),
  );
  for (const index of repeated(keys)) mistakes.push(fieldErrors.duplicate(`${path}[${index}]`, keys[index]));
}

/** Where an element stands for the second time; a third time is not told again. */
function repeated(list: readonly unknown[]): number[] {
  const seen = new Map<string, number>();
  const found: number[] = [];
  for (const [index, element] of list.entries()) {
    const key = JSON.stringify(sorted(element));
    const times = seen.get(key) ?? 0;
    seen.set(key, times + 1);
    if (times === 1) found.push(index);
  }
  return found;
}
const sorted = (value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, sorted(value[key])]),
      )
    : Array.isArray(value)
      ? value.map(sorted)
      : value;
