import { type FieldError, fieldErrors } from '../../api/index.ts';
import { regex } from '../cel/library/strings.ts';
import { type Former, formerElement, formerField, isUnchanged, uncorrelated } from './correlate.ts';
import { fitsFormat } from './formats.ts';
import { isObject, type SchemaNode } from './node.ts';

/** Upstream's name for a place that has no path. */
export const noPath = '<nil>';

/**
 * Every mistake, in the words that clients of the original see. `former` is the stored value: what did not change since is
 * not held against anybody (ratcheting).
 */
export function validateValue(
  schema: SchemaNode,
  value: unknown,
  path = '',
  former: Former = uncorrelated,
): FieldError[] {
  const mistakes: FieldError[] = [];
  checkNode(schema, value, path, former, mistakes);
  return mistakes;
}

function checkNode(schema: SchemaNode, value: unknown, path: string, former: Former, mistakes: FieldError[]): void {
  const before = mistakes.length;
  checkHere(schema, value, path, former, mistakes);
  if (mistakes.length > before && isUnchanged(value, former)) mistakes.length = before;
}

function checkHere(schema: SchemaNode, value: unknown, path: string, former: Former, mistakes: FieldError[]): void {
  const at = path || noPath;
  if (value === null || value === undefined) {
    if (schema.types.length > 0 && !schema.nullable) mistakes.push(mistyped(at, path, schema.types.join(','), 'null'));
    if (schema.enum && !schema.enum.includes(null)) mistakes.push(notListed(at, null, schema.enum));
    return;
  }
  const type = typeOf(value);
  checkType(schema, type, path, mistakes);
  checkJunctors(schema, value, path, mistakes);
  if (typeof value === 'string') checkText(schema, value, path, mistakes);
  else if (typeof value === 'number' || typeof value === 'bigint') checkNumber(schema, value, path, mistakes);
  else if (Array.isArray(value)) checkList(schema, value, path, former, mistakes);
  if (schema.enum && !schema.enum.some((one) => Bun.deepEquals(one, value, false)))
    mistakes.push(notListed(at, value, schema.enum));
  if (isObject(value)) checkObject(schema, value, path, former, mistakes);
}

const typeOf = (value: unknown): string =>
  Array.isArray(value)
    ? 'array'
    : typeof value === 'number'
      ? Number.isInteger(value)
        ? 'integer'
        : 'number'
      : typeof value === 'bigint'
        ? 'integer'
        : typeof value;

const invalid = (path: string, value: unknown, what: string): FieldError =>
  fieldErrors.invalid(path || noPath, value, `${path} in body ${what}`);
const mistyped = (at: string, path: string, wanted: string, found: unknown): FieldError => ({
  type: 'FieldValueTypeInvalid',
  field: at,
  message: `Invalid value: ${JSON.stringify(found)}: ${path} in body must be of type ${wanted}: ${JSON.stringify(found)}`,
});
const notListed = (at: string, value: unknown, valid: readonly unknown[]): FieldError => ({
  type: 'FieldValueNotSupported',
  field: at,
  message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${valid
    .map((one) => JSON.stringify(typeof one === 'string' ? one : JSON.stringify(one)))
    .join(', ')}`,
});

function checkType(schema: SchemaNode, type: string, path: string, mistakes: FieldError[]): void {
  const { types } = schema;
  if (types.length === 0) return;
  const fits = types.includes(type) || (type === 'integer' && types.includes('number'));
  if (!fits) mistakes.push(mistyped(path || noPath, path, types.join(','), type));
}

function checkText(schema: SchemaNode, text: string, path: string, mistakes: FieldError[]): void {
  const { minLength, maxLength, pattern, format } = schema;
  const length = minLength === undefined && maxLength === undefined ? 0 : charactersOf(text);
  if (maxLength !== undefined && length > maxLength) mistakes.push(fieldErrors.tooLong(path || noPath, maxLength));
  else if (minLength !== undefined && length < minLength)
    mistakes.push(invalid(path, text, `should be at least ${minLength} chars long`));
  else if (pattern !== undefined && !regex(pattern).matcher(text).find())
    mistakes.push(invalid(path, text, `should match '${pattern}'`));
  if (format && (schema.type === '' || schema.type === 'string') && !fitsFormat(format, text))
    mistakes.push(mistyped(path || noPath, path, format, text));
}
/** What is wrong with a pattern (RE2, so that none takes more than linear time); undefined: nothing. */
export function patternMistake(pattern: string): string | undefined {
  try {
    regex(pattern);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
const charactersOf = (text: string): number => {
  let count = 0;
  for (const _char of text) count++;
  return count;
};

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-2147483648, 2147483647],
  int64: [-(2 ** 63), 2 ** 63],
  float: [-3.4028234663852886e38, 3.4028234663852886e38],
};
/** A bigint is an integer that no number holds. */
function checkNumber(schema: SchemaNode, value: number | bigint, path: string, mistakes: FieldError[]): void {
  const { minimum, maximum, multipleOf } = schema;
  const range = ranges[schema.format];
  if (range && (value < range[0] || value > range[1]))
    mistakes.push(
      fieldErrors.invalid(
        path || noPath,
        value,
        `Checked value must be of type ${schema.type || 'number'} with format ${schema.format} in ${path}`,
      ),
    );
  // Upstream counts in whole numbers where the value is one, and then meets a factor of nothing.
  if (multipleOf !== undefined && Number.isInteger(value) && Math.trunc(multipleOf) <= 0)
    mistakes.push(
      fieldErrors.invalid(
        path || noPath,
        Math.trunc(multipleOf),
        `factor MultipleOf declared for ${path} must be positive: ${Math.trunc(multipleOf)}`,
      ),
    );
  else if (multipleOf !== undefined && !isMultiple(value, multipleOf))
    mistakes.push(invalid(path, value, `should be a multiple of ${multipleOf}`));
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum))
    mistakes.push(
      invalid(path, value, `should be less than ${schema.exclusiveMaximum ? '' : 'or equal to '}${maximum}`),
    );
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum))
    mistakes.push(
      invalid(path, value, `should be greater than ${schema.exclusiveMinimum ? '' : 'or equal to '}${minimum}`),
    );
}
const isMultiple = (value: number | bigint, factor: number): boolean =>
  typeof value === 'bigint'
    ? Number.isInteger(factor) && value % BigInt(factor) === 0n
    : factor < 1
      ? Number.isInteger(Math.round((value / factor) * 1e9) / 1e9)
      : value % factor === 0;

function checkList(
  schema: SchemaNode,
  list: readonly unknown[],
  path: string,
  former: Former,
  mistakes: FieldError[],
): void {
  const { items, minItems, maxItems } = schema;
  if (items)
    for (const [index, element] of list.entries())
      checkNode(items, element, `${path}[${index}]`, formerElement(schema, former, element), mistakes);
  if (minItems !== undefined && list.length < minItems)
    mistakes.push(invalid(path, list.length, `should have at least ${minItems} items`));
  if (maxItems !== undefined && list.length > maxItems) mistakes.push(tooMany(path, list.length, maxItems));
}
const tooMany = (path: string, actual: number, max: number): FieldError => ({
  type: 'FieldValueTooMany',
  field: path || noPath,
  message: `Too many: ${actual}: must have at most ${max} item${max === 1 ? '' : 's'}`,
});

function checkObject(
  schema: SchemaNode,
  object: Readonly<Record<string, unknown>>,
  path: string,
  former: Former,
  mistakes: FieldError[],
): void {
  const { properties, additional, minProperties, maxProperties } = schema;
  const names = Object.keys(object).filter((name) => object[name] !== undefined);
  if (minProperties !== undefined && names.length < minProperties)
    mistakes.push(invalid(path, names.length, `should have at least ${minProperties} properties`));
  if (maxProperties !== undefined && names.length > maxProperties)
    mistakes.push(tooMany(path, names.length, maxProperties));
  for (const name of names) {
    const below = path ? `${path}.${name}` : name;
    const property = properties?.get(name);
    if (property) checkNode(property, object[name], below, formerField(schema, former, name), mistakes);
    else if (typeof additional === 'object')
      checkNode(additional, object[name], below, formerField(schema, former, name), mistakes);
    else if (additional === false)
      mistakes.push(fieldErrors.invalid(path || noPath, '', `${path}.${name} in body is a forbidden property`));
  }
  for (const name of schema.required)
    if (object[name] === undefined) mistakes.push(fieldErrors.required(path ? `${path}.${name}` : name));
}

function checkJunctors(schema: SchemaNode, value: unknown, path: string, mistakes: FieldError[]): void {
  const whole = (what: string) =>
    mistakes.push(fieldErrors.invalid(noPath, '', `${JSON.stringify(path)} must ${what}`));
  if (schema.anyOf.length > 0) {
    const results = schema.anyOf.map((branch) => validateValue(branch, value, path));
    if (!results.some((result) => result.length === 0)) {
      whole('validate at least one schema (anyOf)');
      mistakes.push(...fewest(results));
    }
  }
  if (schema.oneOf.length > 0) {
    const results = schema.oneOf.map((branch) => validateValue(branch, value, path));
    const valid = results.filter((result) => result.length === 0).length;
    if (valid !== 1) {
      whole(
        `validate one and only one schema (oneOf). ${valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`}`,
      );
      if (valid === 0) mistakes.push(...fewest(results));
    }
  }
  if (schema.allOf.length > 0) {
    const results = schema.allOf.map((branch) => validateValue(branch, value, path));
    mistakes.push(...results.flat());
    const valid = results.filter((result) => result.length === 0).length;
    if (valid !== results.length) whole(`validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`);
  }
  if (schema.not && validateValue(schema.not, value, path).length === 0) whole('not validate the schema (not)');
}
/** Of the branch that comes closest. */
const fewest = (results: readonly FieldError[][]): FieldError[] =>
  results.reduce((best, result) => (result.length < best.length ? result : best));
