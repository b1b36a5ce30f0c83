import type { Facts, Field, TypeFacts } from '#api';

/** One field or element, ready to walk: references are resolved, so that no lookup by text happens per object. */
export interface Shape {
  readonly type: Exclude<Field['type'], 'ref' | 'object'> | 'struct';
  readonly format?: string;
  /** Struct only; filled after all shapes exist, because types refer to themselves. */
  struct?: Struct;
  readonly items?: Shape;
  /** A value that an object without this field gets; undefined for none. */
  readonly default?: unknown;
  readonly enum?: readonly string[];
  /** Absent in what is stored when empty, zero or false. */
  readonly omitZero: boolean;
  /** How upstream's decoder names the Go type in its errors. */
  readonly goType: string;
}
export interface Struct {
  readonly id: string;
  readonly name: string;
  /** No fields are known: anything is kept. */
  readonly open: boolean;
  readonly fields: Map<string, Shape>;
  readonly defaults: readonly (readonly [name: string, shape: Shape])[];
  readonly required: readonly string[];
}

const shortName = (id: string): string => id.slice(id.lastIndexOf('.') + 1);
const packagedName = (id: string): string => id.split('.').slice(-2).join('.');

function goTypeOf(field: Field): string {
  switch (field.type) {
    case 'ref':
      return packagedName(field.ref!);
    case 'array':
      return `[]${goTypeOf(field.items!)}`;
    case 'map':
      return `map[string]${goTypeOf(field.items!)}`;
    case 'integer':
      return field.format ?? 'int64';
    case 'int-or-string':
      return 'int32';
    case 'number':
      return 'float64';
    case 'boolean':
      return 'bool';
    default:
      return 'string';
  }
}

/** Compiles types on first use; the table has 500 of them and a request needs a few. */
export function createCompiler(facts: Facts): {
  struct(id: string): Struct | undefined;
  define(id: string, type: TypeFacts): void;
} {
  const types = new Map(Object.entries(facts.types));
  const compiled = new Map<string, Struct>();

  function shapeOf(field: Field, required: boolean): Shape {
    const goType = goTypeOf(field);
    const list = field.type === 'array' || field.type === 'map';
    const base = { format: field.format, default: field.default, enum: field.enum, goType };
    if (field.type === 'ref') {
      const struct = structOf(field.ref!);
      if (!struct || struct.open) return { ...base, type: 'any', omitZero: false };
      return { ...base, type: 'struct', struct, omitZero: false };
    }
    if (field.type === 'object') return { ...base, type: 'any', omitZero: false };
    return {
      ...base,
      type: field.type,
      items: field.items && shapeOf(field.items, true),
      omitZero: field.omitZero ?? (list && !required),
    };
  }

  function structOf(id: string): Struct | undefined {
    const known = compiled.get(id);
    if (known) return known;
    const type = types.get(id);
    if (!type) return undefined;
    const fields = new Map<string, Shape>();
    const defaults: [string, Shape][] = [];
    const struct: Struct = {
      id,
      name: shortName(id),
      open: type.open ?? false,
      fields,
      defaults,
      required: type.required ?? [],
    };
    compiled.set(id, struct);
    for (const [name, field] of Object.entries(type.fields)) {
      const shape = shapeOf(field, type.required?.includes(name) ?? false);
      fields.set(name, shape);
      // A zero that is left out anyway is no default, only how the documents describe Go's zero value.
      const zero = shape.omitZero && !shape.default;
      if (shape.default !== undefined && !zero) defaults.push([name, shape]);
    }
    return struct;
  }

  return {
    struct: structOf,
    define(id, type) {
      types.set(id, type);
      compiled.delete(id);
    },
  };
}
