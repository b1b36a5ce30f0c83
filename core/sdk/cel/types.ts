/** Types of expressions. `dyn` fits everything; a `param` stands for one type within a call. */
export type Type =
  | {
      readonly k:
        | 'dyn'
        | 'null_type'
        | 'bool'
        | 'int'
        | 'uint'
        | 'double'
        | 'string'
        | 'bytes'
        | 'duration'
        | 'timestamp';
    }
  | { readonly k: 'list'; readonly item: Type; readonly bounds?: Bounds }
  | { readonly k: 'map'; readonly key: Type; readonly value: Type; readonly bounds?: Bounds }
  | { readonly k: 'type'; readonly of: Type }
  | { readonly k: 'optional'; readonly of: Type }
  | {
      readonly k: 'object';
      readonly name: string;
      readonly fields: ReadonlyMap<string, Type>;
      /** Where a field's name had to be escaped: the escaped one → the one in the object. */
      readonly realNames?: ReadonlyMap<string, string>;
      readonly bounds?: Bounds;
    }
  | { readonly k: 'opaque'; readonly name: string }
  | { readonly k: 'param'; readonly name: string }
  | { readonly k: 'sized'; readonly type: Type; readonly bounds: Bounds };
/** Least and most elements, characters or bytes, as the schema declares them; for the estimate of cost. */
export interface Bounds {
  readonly max: number;
}

const simple = <
  K extends 'dyn' | 'null_type' | 'bool' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'duration' | 'timestamp',
>(
  k: K,
) => ({ k }) as { readonly k: K };
export const dyn = simple('dyn');
export const nullType = simple('null_type');
export const bool = simple('bool');
export const int = simple('int');
export const uint = simple('uint');
export const double = simple('double');
export const string = simple('string');
export const bytes = simple('bytes');
export const duration = simple('duration');
export const timestamp = simple('timestamp');
export const list = (item: Type, bounds?: Bounds): Type => ({ k: 'list', item, bounds });
export const map = (key: Type, value: Type, bounds?: Bounds): Type => ({ k: 'map', key, value, bounds });
export const optional = (of: Type): Type => ({ k: 'optional', of });
export const typeOf = (of: Type): Type => ({ k: 'type', of });
export const opaque = (name: string): Type => ({ k: 'opaque', name });
export const param = (name: string): Type => ({ k: 'param', name });
/** A string or bytes with a limit of its length. */
export const sized = (type: Type, max: number): Type => ({ k: 'sized', type, bounds: { max } });
export const plain = (type: Type): Exclude<Type, { k: 'sized' }> =>
  (type.k === 'sized' ? plain(type.type) : type) as Exclude<Type, { k: 'sized' }>;

export function typeText(given: Type): string {
  const type = plain(given);
  switch (type.k) {
    case 'list':
      return `list(${typeText(type.item)})`;
    case 'map':
      return `map(${typeText(type.key)}, ${typeText(type.value)})`;
    case 'type':
      return `type(${typeText(type.of)})`;
    case 'optional':
      return `optional_type(${typeText(type.of)})`;
    case 'object':
    case 'opaque':
    case 'param':
      return type.name;
    case 'null_type':
      return 'null';
    default:
      return type.k;
  }
}

export type Bindings = Map<string, Type>;
/** Whether a value of type `have` may stand where `want` is asked; parameters are bound on the way. */
export function fits(haveGiven: Type, wantGiven: Type, bound: Bindings): boolean {
  const [have, want] = [resolve(haveGiven, bound), resolve(wantGiven, bound)];
  if (want.k === 'param') {
    bound.set(want.name, have);
    return true;
  }
  if (have.k === 'param') {
    bound.set(have.name, want);
    return true;
  }
  if (have.k === 'dyn' || want.k === 'dyn') return true;
  // A wrapper of nothing: null stands for messages, durations, timestamps and opaque values.
  if (have.k === 'null_type') return /^(null_type|object|duration|timestamp|opaque|optional)$/.test(want.k);
  if (have.k !== want.k) return want.k === 'null_type' && /^(object|duration|timestamp|opaque)$/.test(have.k);
  switch (have.k) {
    case 'list':
      return fits(have.item, (want as typeof have).item, bound);
    case 'map':
      return fits(have.key, (want as typeof have).key, bound) && fits(have.value, (want as typeof have).value, bound);
    case 'optional':
      return fits(have.of, (want as typeof have).of, bound);
    case 'type':
      return true;
    case 'object':
      return have.fields === (want as typeof have).fields; // two places of a schema are two types, however alike
    case 'opaque':
      return have.name === (want as typeof have).name;
    default:
      return true;
  }
}
function resolve(given: Type, bound: Bindings): Exclude<Type, { k: 'sized' }> {
  let type = plain(given);
  for (let rounds = 0; type.k === 'param' && bound.has(type.name) && rounds < 100; rounds++)
    type = plain(bound.get(type.name)!);
  return type;
}
/** The type with its parameters replaced; what stayed free is dyn. */
export function substitute(given: Type, bound: Bindings): Type {
  const type = resolve(given, bound);
  switch (type.k) {
    case 'param':
      return dyn;
    case 'list':
      return list(substitute(type.item, bound), type.bounds);
    case 'map':
      return map(substitute(type.key, bound), substitute(type.value, bound), type.bounds);
    case 'optional':
      return optional(substitute(type.of, bound));
    case 'type':
      return typeOf(substitute(type.of, bound));
    default:
      return given.k === 'sized' ? given : type;
  }
}
/** The one type that both are, or dyn. */
export function join(a: Type, b: Type): Type | undefined {
  const [x, y] = [plain(a), plain(b)];
  if (x.k === 'dyn' || y.k === 'dyn') return dyn;
  const bound: Bindings = new Map();
  if (fits(a, b, bound)) return x.k === 'null_type' ? b : a;
  return undefined;
}
