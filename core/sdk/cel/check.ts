import { CelError, type Node } from './ast.ts';
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
  if (checker.problems.length) throw new CelError(checker.problems, source);
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
            node.items.map(({ node: item, optional: may }) => this.#unwrapped(item, may, scope)),
            node.at,
          ),
        );
      case 'map': {
        const keys = node.entries.map(({ key }) => this.type(key, scope));
        const values = node.entries.map(({ value, optional: may }) => this.#unwrapped(value, may, scope));
        return map(this.#same(keys, node.at), this.#same(values, node.at));
      }
      case 'struct':
        return this.#fail(node.at, `undeclared reference to '${node.name}' (in container '')`);
      case 'comprehension':
        return this.#comprehension(node, scope);
      case 'bind':
        return this.#bind(node, scope);
    }
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
  #same(types: readonly Type[], at: number): Type {
    if (types.length === 0) return dyn;
    return types.reduce(
      (a, b) => join(a, b) ?? this.#fail(at, `expected type '${typeText(a)}' but found '${typeText(b)}'`),
    );
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
      for (const arg of node.args) this.#expect(arg, bool, scope, node);
      return bool;
    }
    if (node.name === '_?_:_') return this.#conditional(node, scope);
    const path = node.target && dotted(node.target);
    const qualified = path !== undefined && !scope.has(path.split('.')[0]!) ? `${path}.${node.name}` : undefined;
    const isGlobal = !node.target || (qualified !== undefined && this.environment.overloads.has(qualified));
    const name = isGlobal ? (qualified ?? node.name) : node.name;
    const operands = isGlobal ? node.args : [node.target!, ...node.args];
    const types = operands.map((operand) => this.type(operand, scope));
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

  #expect(node: Node, want: Type, scope: Scope, call: Extract<Node, { type: 'call' }>): void {
    const have = this.type(node, scope);
    if (!fits(have, want, new Map())) {
      const texts = call.args.map((arg) => typeText(this.types.get(arg) ?? want));
      this.#fail(call.at, `found no matching overload for '${call.name}' applied to '(${texts.join(', ')})'`);
    }
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
    const needsBool = (part: Node) => {
      const type = this.type(part, inner);
      if (!fits(type, bool, new Map())) this.#fail(part.at, `expected type 'bool' but found '${typeText(type)}'`);
    };
    if (node.filter) needsBool(node.filter);
    switch (node.macro) {
      case 'all':
      case 'exists':
      case 'existsOne':
        needsBool(node.body);
        return bool;
      case 'filter':
        needsBool(node.body);
        return list(first);
      case 'map':
      case 'transformList':
        return list(this.type(node.body, inner));
      case 'transformMap':
        return map(range.k === 'map' ? range.key : int, this.type(node.body, inner));
      case 'transformMapEntry': {
        const entry = plain(this.type(node.body, inner));
        return entry.k === 'map' ? map(entry.key, entry.value) : map(dyn, dyn);
      }
    }
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
