/** The facts table of the built-in kinds: one data file that drives schemas, validation, pruning, patches and OpenAPI. */
export interface Field {
  readonly type:
    | 'string'
    | 'integer'
    | 'number'
    | 'boolean'
    | 'object'
    | 'any'
    | 'array'
    | 'map'
    | 'ref'
    | 'struct'
    | 'quantity'
    | 'int-or-string';
  /** `date-time`, `micro-time`, `int32`, `int64`, `byte`, `double` */
  readonly format?: string;
  /** With type `ref`: the full id of a type in the table. */
  readonly ref?: string;
  /** With type `struct`, of custom kinds: the fields, in place. */
  readonly fields?: Readonly<Record<string, Field>>;
  /** With `struct`: how fields are seen that are not named; absent: as one piece. */
  readonly rest?: Field;
  /** With `array` and `map`: the element. */
  readonly items?: Field;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  /** `atomic`, `set` or `map` (with listMapKeys), as server-side apply sees it. */
  readonly listType?: string;
  readonly listMapKeys?: readonly string[];
  /** Strategic merge patch. */
  readonly mergeKey?: string;
  readonly patchStrategy?: string;
  readonly mapType?: string;
  /** Left out of JSON when zero, false or empty. */
  readonly omitZero?: boolean;
}

export interface TypeFacts {
  readonly fields: Readonly<Record<string, Field>>;
  readonly required?: readonly string[];
  /** No fields are known: anything is kept. */
  readonly open?: boolean;
  readonly mapType?: string;
  readonly gvk?: { readonly group: string; readonly version: string; readonly kind: string };
}

export interface Facts {
  readonly version: string;
  readonly types: Readonly<Record<string, TypeFacts>>;
}

let loaded: Facts | undefined;
/** Reads facts.json on first use; about 5 ms. Only the apiserver and the tests need it. */
export function facts(): Facts {
  loaded ??= require('./gen/facts.json') as Facts;
  return loaded;
}

/** Types of groups that a plugin of the distribution brings. Adding the same again changes nothing. */
export function addFacts(types: Readonly<Record<string, TypeFacts>>): void {
  Object.assign(facts().types, types);
}
