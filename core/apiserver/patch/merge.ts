import type { JsonObject } from '../contract.ts';

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** Never through the prototype, whatever the key is. */
export function setOwn(target: JsonObject, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}
export const hasOwn = (object: JsonObject, key: string): boolean => Object.hasOwn(object, key);

/** RFC 7386: null removes, objects merge, everything else replaces. Shares what it does not change. */
export function applyMergePatch(document: JsonObject, patch: JsonObject): JsonObject {
  const result = { ...document };
  for (const key in patch) {
    const value = patch[key];
    if (value === null) delete result[key];
    else if (isObject(value))
      setOwn(
        result,
        key,
        applyMergePatch(isObject(result[key]) && hasOwn(result, key) ? (result[key] as JsonObject) : {}, value),
      );
    else setOwn(result, key, value);
  }
  return result;
}
