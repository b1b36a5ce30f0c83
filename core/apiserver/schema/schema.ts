import { addFacts, type FieldError, facts, type TypeFacts } from '#api';
import type { JsonObject, SchemaEngine } from '../contract.ts';
import { createCompiler, type Shape, type Struct } from './compile.ts';
import { decodeStruct } from './decode.ts';

/** The schema engine over the facts table. Types of custom kinds are added with `define`. */
export interface DefinableSchema extends SchemaEngine {
  /** Adds or replaces a type; `id` must not be one of the built-in table. Its required fields and enums are checked by validate(). */
  define(id: string, type: TypeFacts): void;
  /** Adds types to the facts table itself: everything that reads it knows them from now on. */
  addTypes(types: Readonly<Record<string, TypeFacts>>): void;
}

export function createSchemaEngine(): DefinableSchema {
  const builtin = facts();
  const compiler = createCompiler(builtin);
  const needed = (typeId: string): Struct => {
    const struct = compiler.struct(typeId);
    if (!struct) throw new Error(`no type ${typeId} in the schema table`);
    return struct;
  };
  return {
    has: (typeId) => compiler.struct(typeId) !== undefined,
    define(id, type) {
      if (builtin.types[id]) throw new Error(`type ${id} is built in`);
      compiler.define(id, type);
    },
    addTypes(types) {
      addFacts(types);
      for (const [id, type] of Object.entries(types)) compiler.define(id, type);
    },
    decode: (typeId, object) => decodeStruct(needed(typeId), object),
    default: (typeId, object) => defaultStruct(needed(typeId), object),
    validate(typeId, object) {
      // The strategies of built-in kinds say "Required value" themselves, at the places where upstream does.
      if (builtin.types[typeId]) return [];
      const mistakes: FieldError[] = [];
      validateStruct(needed(typeId), object, '', mistakes);
      return mistakes;
    },
  };
}

function defaultStruct(struct: Struct, object: JsonObject): void {
  for (const [name, shape] of struct.defaults) {
    if (object[name] === undefined) object[name] = freshDefault(shape);
  }
  for (const key in object) {
    const shape = struct.fields.get(key);
    if (shape !== undefined && holdsStructs(shape)) defaultValue(shape, object[key]);
  }
}
const freshDefault = (shape: Shape): unknown =>
  typeof shape.default !== 'object' || shape.default === null
    ? shape.default
    : Object.keys(shape.default).length === 0 && !Array.isArray(shape.default)
      ? {} // almost all of them; a general clone takes a microsecond
      : structuredClone(shape.default);
const holdsStructs = (shape: Shape): boolean => shape.type === 'struct' || shape.items !== undefined;

function defaultValue(shape: Shape, value: unknown): void {
  if (shape.type === 'struct') {
    if (typeof value === 'object' && value !== null) defaultStruct(shape.struct!, value as JsonObject);
    return;
  }
  const items = shape.items;
  if (!items || !holdsStructs(items) || typeof value !== 'object' || value === null) return;
  for (const element of Object.values(value)) defaultValue(items, element);
}

function validateStruct(struct: Struct, object: JsonObject, path: string, mistakes: FieldError[]): void {
  const at = (name: string): string => (path ? `${path}.${name}` : name);
  for (const name of struct.required) {
    if (object[name] === undefined)
      mistakes.push({ type: 'FieldValueRequired', field: at(name), message: 'Required value' });
  }
  for (const key in object) {
    const shape = struct.fields.get(key);
    if (shape) validateValue(shape, object[key], at(key), mistakes);
  }
}

function validateValue(shape: Shape, value: unknown, path: string, mistakes: FieldError[]): void {
  if (shape.enum && typeof value === 'string' && !shape.enum.includes(value)) {
    const valid = shape.enum.map((text) => JSON.stringify(text)).join(', ');
    mistakes.push({
      type: 'FieldValueNotSupported',
      field: path,
      message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${valid}`,
    });
  } else if (shape.type === 'struct') validateStruct(shape.struct!, value as JsonObject, path, mistakes);
  else if (shape.items && typeof value === 'object' && value !== null) {
    for (const [key, element] of Object.entries(value))
      validateValue(shape.items, element, `${path}[${key}]`, mistakes);
  }
}
