import { CelError, type Node } from './ast.ts';
import { parseGoDuration, parseTimestamp } from './library/conversions.ts';
import { regex } from './library/strings.ts';
import { clauseMistake } from './library/text-format.ts';
import type { Overload } from './overload.ts';
import { dotted } from './parser.ts';
import {
  type Bindings,
  bool,
  bytes,
  double,
  duration,
  dyn,
  fits,
  int,
  join,
  list,
  map,
  nullType,
  optional,
  plain,
  string,
  substitute,
  type Type,
  timestamp,
  typeOf,
  typeText,
  uint,
} from './types.ts';

/** What an expression may name. */
export interface Environment {
  readonly variables: ReadonlyMap<string, Type>;
  readonly overloads: ReadonlyMap<string, readonly Overload[]>;
  /** Messages that expressions may make, by name. */
  readonly structs?: (name: string) => Extract<Type, { k: 'object' }> | undefined;
}
export interface Checked {
  readonly node: Node;
  readonly type: Type;
  /** The type of each node. */
  readonly types: ReadonlyMap<Node, Type>;
  /** The overloads that a call may turn out to be: one where the types decide it. */
  readonly calls: ReadonlyMap<Node, readonly Overload[]>;
}

/** Types of every node. Throws CelError with every mistake, in the words of other CEL checkers. */
export function check(node: Node, environment: Environment, source: string): Checked {
  const checker = new Checker(environment);
  const type = checker.type(node, environment.variables);
  const problems = checker.problems.length ? checker.problems : [...literalProblems(checker), ...checker.mixed];
  if (problems.length) throw new CelError(problems, source);
  return { node, type, types: checker.types, calls: checker.calls };
}

type Scope = ReadonlyMap<string, Type>;
const typeNames: Readonly<Record<string, Type>> = {
  bool,
  int,
  uint,
  double,
  string,
  bytes,
  list: list(dyn),
  map: map(dyn, dyn),
  null_type: nullType,
  type: typeOf(dyn),
  dyn,
  'google.protobuf.Timestamp': timestamp,
  'google.protobuf.Duration': duration,
};

class Checker {
  readonly problems: { at: number; message: string }[] = [];
  readonly types = new Map<Node, Type>();
  readonly calls = new Map<Node, readonly Overload[]>();
  /** Lists and maps of unlike things: told when all else is right. Only what is to be formatted may be so. */
  readonly mixed: { at: number; message: string }[] = [];
  #formats = 0;
  constructor(private readonly environment: Environment) {}

  type(node: Node, scope: Scope): Type {
    const type = this.#typeOf(node, scope);
    this.types.set(node, type);
    return type;
  }
  #fail(at: number, message: string): Type {
    this.problems.push({ at, message });
    return dyn;
  }

  #typeOf(node: Node, scope: Scope): Type {
    switch (node.type) {
      case 'literal':
        return { null: nullType, bool, int, uint, double, string, bytes }[node.value.type];
      case 'ident':
        return (
          this.#named(node.name, scope) ??
          this.#fail(node.at, `undeclared reference to '${node.name}' (in container '')`)
        );
      case 'select':
        return this.#select(node, scope);
      case 'has': {
        const of = plain(this.type(node.of, scope));
        this.#field(of, node.field, node.at);
        return bool;
      }
      case 'call':
        return this.#call(node, scope);
      case 'list':
        return list(
          this.#same(
            node.items.map(({ node: item, optional: may }) => ({
              at: item.at,
              type: this.#unwrapped(item, may, scope),
            })),
          ),
        );
      case 'map': {
        const keys = node.entries.map(({ key }) => ({ at: key.at, type: this.type(key, scope) }));
        const values = node.entries.map(({ value, optional: may }) => ({
          at: value.at,
          type: this.#unwrapped(value, may, scope),
        }));
        return map(this.#same(keys), this.#same(values));
      }
      case 'struct':
        return this.#struct(node, scope);
      case 'comprehension':
        return this.#comprehension(node, scope);
      case 'bind':
        return this.#bind(node, scope);
    }
  }

  #struct(node: Extract<Node, { type: 'struct' }>, scope: Scope): Type {
    const struct = this.environment.structs?.(node.name);
    if (!struct) return this.#fail(node.at, `undeclared reference to '${node.name}' (in container '')`);
    for (const { name, value, optional: may } of node.fields) {
      const have = this.#unwrapped(value, may, scope);
      const want = struct.fields.get(name);
      if (!want) this.#fail(node.at, `undefined field '${name}'`);
      else if (!fits(have, want, new Map()))
        this.#fail(
          value.at,
          `expected type of field '${name}' is '${typeText(want)}' but provided type is '${typeText(have)}'`,
        );
    }
    return struct;
  }
  #named(name: string, scope: Scope): Type | undefined {
    return scope.get(name) ?? (typeNames[name] && typeOf(typeNames[name]));
  }
  #unwrapped(node: Node, isOptional: boolean, scope: Scope): Type {
    const type = plain(this.type(node, scope));
    if (!isOptional) return this.types.get(node)!;
    if (type.k === 'optional') return type.of;
    return type.k === 'dyn'
      ? dyn
      : this.#fail(node.at, `expected type 'optional_type(dyn)' but found '${typeText(type)}'`);
  }
  #same(parts: readonly { at: number; type: Type }[]): Type {
    const [first, ...others] = parts;
    if (!first) return dyn;
    let { type } = first;
    for (const part of others) {
      const isLoose = plain(type).k !== plain(part.type).k && [type, part.type].some((one) => plain(one).k === 'dyn');
      const both = isLoose ? undefined : join(type, part.type);
      if (!both && this.#formats === 0)
        this.mixed.push({
          at: part.at,
          message: `expected type '${typeText(first.type)}' but found '${typeText(part.type)}'`,
        });
      type = both ?? dyn;
    }
    return type;
  }

  #select(node: Extract<Node, { type: 'select' }>, scope: Scope): Type {
    const name = dotted(node);
    const root = name?.split('.')[0];
    // A variable with a dot in its name (`authorizer.requestResource`) hides the field of the one before the dot.
    const known = name && (scope.has(name) || !scope.has(root!)) ? this.#named(name, scope) : undefined;
    if (known) return known;
    const of = plain(this.type(node.of, scope));
    const holder = of.k === 'optional' ? plain(of.of) : of;
    const type = this.#field(holder, node.field, node.at);
    if (!node.optional && of.k !== 'optional') return type;
    return plain(type).k === 'optional' ? type : optional(type);
  }
  #field(of: Exclude<Type, { k: 'sized' }>, field: string, at: number): Type {
    switch (of.k) {
      case 'dyn':
        return dyn;
      case 'map':
        return plain(of.key).k === 'string' || plain(of.key).k === 'dyn'
          ? of.value
          : this.#fail(at, `type '${typeText(of)}' does not support field selection`);
      case 'object':
        return of.fields.get(field) ?? this.#fail(at, `undefined field '${field}'`);
      case 'optional':
        return this.#field(plain(of.of), field, at);
      default:
        return this.#fail(at, `type '${typeText(of)}' does not support field selection`);
    }
  }

  #call(node: Extract<Node, { type: 'call' }>, scope: Scope): Type {
    if (node.name === '_&&_' || node.name === '_||_') {
      for (const arg of node.args) this.#isBool(arg, this.type(arg, scope));
      return bool;
    }
    if (node.name === '_?_:_') return this.#conditional(node, scope);
    const path = node.target && dotted(node.target);
    const qualified = path !== undefined && !scope.has(path.split('.')[0]!) ? `${path}.${node.name}` : undefined;
    const isGlobal = !node.target || (qualified !== undefined && this.environment.overloads.has(qualified));
    const name = isGlobal ? (qualified ?? node.name) : node.name;
    const operands = isGlobal ? node.args : [node.target!, ...node.args];
    const isFormat = name === 'format';
    if (isFormat) this.#formats++;
    const types = operands.map((operand) => this.type(operand, scope));
    if (isFormat) this.#formats--;
    const all = this.environment.overloads.get(name);
    if (!all) return this.#fail(node.at, `undeclared reference to '${name}' (in container '')`);
    const found = all.filter(({ method, args }) => method === !isGlobal && args.length === types.length);
    return this.#resolve(node, name, found, types, !isGlobal);
  }

  #resolve(node: Node, name: string, candidates: readonly Overload[], types: readonly Type[], isMethod: boolean): Type {
    const fitting: { overload: Overload; result: Type }[] = [];
    for (const overload of candidates) {
      const bound: Bindings = new Map();
      if (!overload.args.every((want, i) => fits(types[i]!, want, bound))) continue;
      fitting.push({ overload, result: substitute(overload.result, bound) });
      // Without dyn among the arguments the first that fits is the one.
      if (!types.some(hasDyn)) break;
    }
    if (fitting.length === 0) {
      const texts = types.map(typeText);
      const shown = isMethod ? `${texts[0]}.(${texts.slice(1).join(', ')})` : `(${texts.join(', ')})`;
      return this.#fail(node.at, `found no matching overload for '${name}' applied to '${shown}'`);
    }
    this.calls.set(
      node,
      fitting.map(({ overload }) => overload),
    );
    return fitting.map(({ result }) => result).reduce((a, b) => join(a, b) ?? dyn);
  }

  #isBool(node: Node, have: Type): void {
    if (!fits(have, bool, new Map())) this.#fail(node.at, `expected type 'bool' but found '${typeText(have)}'`);
  }
  #conditional(node: Extract<Node, { type: 'call' }>, scope: Scope): Type {
    const [condition, yes, no] = node.args.map((arg) => this.type(arg, scope));
    const result = join(yes!, no!);
    if (fits(condition!, bool, new Map()) && result) return result;
    return this.#fail(
      node.at,
      `found no matching overload for '_?_:_' applied to '(${typeText(condition!)}, ${typeText(yes!)}, ${typeText(no!)})'`,
    );
  }

  #comprehension(node: Extract<Node, { type: 'comprehension' }>, scope: Scope): Type {
    const range = plain(this.type(node.range, scope));
    const [first, second] = this.#elements(range, node.variables.length, node.range.at);
    const inner = new Map(scope).set(node.variables[0], first);
    if (node.variables.length === 2) inner.set(node.variables[1], second);
    const body = this.type(node.body, inner);
    const result = this.#folded(node, body, first, range);
    switch (node.macro) {
      case 'all':
      case 'exists':
        this.#isBool(node.body, body);
        break;
      case 'existsOne':
        this.#chooses(body, int, node.at);
        break;
      case 'filter':
        this.#chooses(body, result, node.at);
        break;
      default:
        if (node.filter) this.#chooses(this.type(node.filter, inner), result, node.at);
    }
    return result;
  }
  /** What a macro comes to, by the type of its body. */
  #folded(
    { macro }: Extract<Node, { type: 'comprehension' }>,
    body: Type,
    first: Type,
    range: Exclude<Type, { k: 'sized' }>,
  ): Type {
    switch (macro) {
      case 'all':
      case 'exists':
      case 'existsOne':
        return bool;
      case 'filter':
        return list(first);
      case 'map':
      case 'transformList':
        return list(body);
      case 'transformMap':
        return map(range.k === 'map' ? range.key : int, body);
      case 'transformMapEntry': {
        const entry = plain(body);
        return entry.k === 'map' ? map(entry.key, entry.value) : map(dyn, dyn);
      }
    }
  }
  /** A filter is a conditional between what was gathered with and without this element. */
  #chooses(type: Type, gathered: Type, at: number): void {
    if (fits(type, bool, new Map())) return;
    const text = typeText(gathered);
    this.#fail(at, `found no matching overload for '_?_:_' applied to '(${typeText(type)}, ${text}, ${text})'`);
  }
  /** Lists give elements (or index and element), maps keys (or key and value). */
  #elements(range: Exclude<Type, { k: 'sized' }>, count: number, at: number): [Type, Type] {
    if (range.k === 'list') return count === 2 ? [int, range.item] : [range.item, dyn];
    if (range.k === 'map') return [range.key, range.value];
    if (range.k !== 'dyn')
      this.#fail(
        at,
        `expression of type '${typeText(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
      );
    return [dyn, dyn];
  }

  #bind(node: Extract<Node, { type: 'bind' }>, scope: Scope): Type {
    const value = plain(this.type(node.value, scope));
    if (node.of === 'value') return this.type(node.body, new Map(scope).set(node.name, this.types.get(node.value)!));
    if (value.k !== 'optional' && value.k !== 'dyn')
      return this.#fail(node.at, `found no matching overload for '${node.of}' applied to '${typeText(value)}'`);
    const body = this.type(node.body, new Map(scope).set(node.name, value.k === 'optional' ? value.of : dyn));
    return node.of === 'optMap' ? optional(body) : body;
  }
}

/** What a written argument can never be. */
const literals: Readonly<Record<string, (text: string) => boolean>> = {
  duration: (text) => parseGoDuration(text) !== undefined,
  timestamp: (text) => parseTimestamp(text) !== undefined,
  matches: isPattern,
};
function isPattern(text: string): boolean {
  try {
    regex(text);
    return true;
  } catch {
    return false;
  }
}
function literalProblems({ calls, types }: Checker): { at: number; message: string }[] {
  const problems: { at: number; message: string }[] = [];
  for (const node of calls.keys()) {
    if (node.type !== 'call') continue;
    const [argument] = node.args;
    if (node.name === 'format') problems.push(...formatProblems(node, (arg) => types.get(arg) ?? dyn));
    if (argument?.type !== 'literal' || argument.value.type !== 'string') continue;
    if (literals[node.name]?.(argument.value.value) === false)
      problems.push({ at: argument.at, message: `invalid ${node.name} argument` });
  }
  return problems;
}

/** A written pattern against a written list. */
function formatProblems(
  node: Extract<Node, { type: 'call' }>,
  typeOfArgument: (node: Node) => Type,
): { at: number; message: string }[] {
  const [list] = node.args;
  const pattern = node.target;
  if (pattern?.type !== 'literal' || pattern.value.type !== 'string' || list?.type !== 'list') return [];
  const types = list.items.map(({ node: item }) => plain(typeOfArgument(item)).k);
  const wrong = clauseMistake(pattern.value.value, types);
  if (!wrong) return [];
  return [{ at: wrong.argument === undefined ? node.at : list.items[wrong.argument]!.node.at, message: wrong.message }];
}

function hasDyn(given: Type): boolean {
  const type = plain(given);
  switch (type.k) {
    case 'dyn':
      return true;
    case 'list':
      return hasDyn(type.item);
    case 'map':
      return hasDyn(type.key) || hasDyn(type.value);
    case 'optional':
      return hasDyn(type.of);
    default:
      return false;
  }
}
