import type { Node } from '../ast.ts';
import type { Checked } from '../check.ts';
import { dotted } from '../parser.ts';
import { plain, type Type } from '../types.ts';
import { estimateCall, type Sizes } from './calls.ts';
import { around, aroundEntries, type EntrySize, exactly, plus, type Range, times, unknownSize } from './range.ts';

const listCost = exactly(10);
const mapCost = exactly(30);
const one = exactly(1);

/**
 * The least and most that an expression may cost, in the units in which an evaluation counts, from the limits that the types
 * declare. Which rules a definition may hold depends on it, so it is the figure that upstream's estimate gives, oddities included:
 * every variable is taken for `self`, and an element of a list that is no field is as large as `self`.
 */
export function estimateCost(checked: Checked, self: Type): Range {
  return new Estimator(checked, self).cost(checked.node);
}

interface Local {
  readonly path: readonly string[];
  readonly size?: Range;
  readonly entry?: EntrySize;
}

class Estimator implements Sizes {
  readonly #paths = new Map<Node, readonly string[]>();
  readonly #sizes = new Map<Node, Range>();
  readonly #entries = new Map<Node, EntrySize>();
  readonly #locals = new Map<string, Local[]>();

  constructor(
    private readonly checked: Checked,
    private readonly self: Type,
  ) {}

  cost(node: Node): Range {
    switch (node.type) {
      case 'literal':
        return exactly(0);
      case 'ident':
        this.#paths.set(node, this.#local(node.name)?.path ?? [node.name]);
        return one;
      case 'select':
        return this.#select(node);
      case 'has':
        return this.cost(node.of);
      case 'call':
        return this.#call(node);
      case 'list':
        return this.#list(node);
      case 'map':
        return this.#map(node);
      case 'comprehension':
        return this.#comprehension(node);
      case 'bind':
        return node.of === 'value' ? this.#bound(node, node.value, this.cost(node.value)) : this.#optional(node);
      case 'struct':
        return plus(exactly(40), ...node.fields.map(({ value }) => this.cost(value)));
    }
  }

  type(node: Node): Exclude<Type, { k: 'sized' }> {
    return plain(this.checked.types.get(node) ?? { k: 'dyn' });
  }
  size(node: Node): Range {
    return this.#size(node) ?? unknownSize;
  }
  element(node: Node): { size: Range; isText: boolean } | undefined {
    const type = this.type(node);
    const held = type.k === 'list' ? type.item : type.k === 'map' ? type.key : undefined;
    if (!held) return undefined;
    const path = this.#path(node);
    const size = path.length > 0 ? this.#declared([...path, '@items']) : undefined;
    return { size: size ?? unknownSize, isText: /^(string|bytes)$/.test(plain(held).k) };
  }

  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1);
  }
  #with<T>(locals: Readonly<Record<string, Local>>, work: () => T): T {
    for (const [name, local] of Object.entries(locals))
      this.#locals.set(name, [...(this.#locals.get(name) ?? []), local]);
    const result = work();
    for (const name of Object.keys(locals)) this.#locals.get(name)!.pop();
    return result;
  }
  #path(node: Node): readonly string[] {
    return (node.type === 'ident' ? this.#local(node.name)?.path : undefined) ?? this.#paths.get(node) ?? [];
  }
  #entry(node: Node): EntrySize | undefined {
    return this.#entries.get(node) ?? (node.type === 'ident' ? this.#local(node.name)?.entry : undefined);
  }
  #size(node: Node): Range | undefined {
    const known = this.#sizes.get(node) ?? writtenSize(node) ?? this.#declared(this.#path(node));
    if (known) return known;
    if (isScalar(this.type(node))) return one;
    return node.type === 'ident' ? this.#local(node.name)?.size : undefined;
  }
  /** By the schema; the first step is the variable. */
  #declared(path: readonly string[]): Range | undefined {
    if (path.length === 0) return undefined;
    let given: Type | undefined = this.self;
    for (const step of path.slice(1)) {
      given = given && below(plain(given), step);
      if (!given) return undefined;
    }
    return { min: 0, max: elementsMax(given) };
  }

  #select(node: Extract<Node, { type: 'select' }>): Range {
    if (!this.checked.types.has(node.of)) {
      this.#paths.set(node, [dotted(node) ?? node.field]); // a type's name
      return one;
    }
    const of = this.cost(node.of);
    if (node.optional) return plus(of, one);
    this.#paths.set(node, [...this.#path(node.of), node.field]);
    const { k } = this.type(node.of);
    return k === 'object' || k === 'map' ? plus(of, one) : of;
  }

  #list(node: Extract<Node, { type: 'list' }>): Range {
    const costs = node.items.map(({ node: item }) => this.cost(item));
    const value = this.#widest(node.items.map(({ node: item }) => item));
    this.#entries.set(node, { isMap: false, key: one, value });
    return plus(...costs, listCost);
  }
  #map(node: Extract<Node, { type: 'map' }>): Range {
    const costs = node.entries.flatMap(({ key, value }) => [this.cost(key), this.cost(value)]);
    const key = this.#widest(node.entries.map((entry) => entry.key));
    const value = this.#widest(node.entries.map((entry) => entry.value));
    this.#entries.set(node, { isMap: true, key, value });
    return plus(...costs, mapCost);
  }
  #widest(nodes: readonly Node[]): Range {
    return nodes.length === 0 ? exactly(0) : nodes.map((node) => this.size(node)).reduce(around);
  }

  #call(node: Extract<Node, { type: 'call' }>): Range {
    if (node.name === '_&&_' || node.name === '_||_') {
      const [left, right] = node.args.map((arg) => this.cost(arg)) as [Range, Range];
      return { min: left.min, max: plus(left, right).max };
    }
    if (node.name === '_?_:_') return this.#conditional(node);
    const overloads = this.checked.calls.get(node) ?? [];
    const operands = overloads[0]?.method ? [node.target!, ...node.args] : node.args;
    const spent = plus(...operands.map((operand) => this.cost(operand)));
    if (node.name === 'dyn') {
      this.#copySizes(node, operands[0]!);
      return plus(spent, one);
    }
    let total: Range | undefined;
    let size: Range | undefined;
    for (const overload of overloads) {
      const estimate = estimateCall(overload, operands, this);
      total = total ? around(total, estimate.cost) : estimate.cost;
      if (estimate.size) size = size ? around(size, estimate.size) : estimate.size;
      const held = overload.name === '_[_]' ? plain(overload.args[0]!).k : '';
      if (held === 'list' || held === 'map') {
        size = this.#entry(operands[0]!)?.value;
        this.#paths.set(node, [...this.#path(operands[0]!), held === 'list' ? '@items' : '@values']);
      }
      size ??= this.#size(node);
    }
    if (node.name === '_+_') {
      const entry = aroundEntries(this.#entry(operands[0]!), this.#entry(operands[1]!));
      if (entry) this.#entries.set(node, entry);
    }
    if (size) this.#sizes.set(node, size);
    return plus(spent, total ?? exactly(0));
  }
  #conditional(node: Extract<Node, { type: 'call' }>): Range {
    const [condition, yes, no] = node.args.map((arg) => this.cost(arg)) as [Range, Range, Range];
    this.#sizes.set(node, around(this.size(node.args[1]!), this.size(node.args[2]!)));
    const entry = aroundEntries(this.#entry(node.args[1]!), this.#entry(node.args[2]!));
    if (entry) this.#entries.set(node, entry);
    return plus(condition, around(yes, no));
  }
  #copySizes(to: Node, from: Node): void {
    const [size, entry] = [this.#size(from), this.#entry(from)];
    if (size) this.#sizes.set(to, size);
    if (entry) this.#entries.set(to, entry);
  }

  /** A macro stands for a fold: an accumulator is made, asked and joined in each round, and read at the end. */
  #comprehension(node: Extract<Node, { type: 'comprehension' }>): Range {
    const range = this.cost(node.range);
    const [body, filter] = this.#with(this.#elements(node), () => {
      const first = node.filter && this.cost(node.filter);
      return [this.cost(node.body), first] as const;
    });
    const { setup, round, result } = foldCost(node.macro, body, filter);
    const count = this.size(node.range);
    if (setup === listCost || setup === mapCost) {
      this.#sizes.set(node, count);
      const made = this.#with(this.#elements(node), () => this.#made(node));
      if (made) this.#entries.set(node, { isMap: false, key: one, value: { min: 0, max: made.max } });
    } else this.#sizes.set(node, one);
    return plus(range, setup, result, times(count, round));
  }
  #elements({ range, variables }: Extract<Node, { type: 'comprehension' }>): Readonly<Record<string, Local>> {
    const entry = this.#entry(range);
    const path = this.#path(range);
    const isList = entry ? !entry.isMap : this.type(range).k === 'list';
    const value: Local = { path: [...path, isList ? '@items' : '@values'], size: entry?.value };
    const key: Local = { path: [...path, isList ? '@indices' : '@keys'], size: entry?.key };
    const [first, second] = variables;
    if (second !== undefined) return { [first]: key, [second]: value };
    return { [first]: isList ? value : key };
  }
  /** The size of what a fold that makes a list puts into it. */
  #made(node: Extract<Node, { type: 'comprehension' }>): Range | undefined {
    if (node.macro === 'map' || node.macro === 'transformList') return this.size(node.body);
    if (node.macro !== 'filter') return undefined;
    return this.size({ type: 'ident', at: node.at, name: node.variables[0] });
  }

  #bound(node: Extract<Node, { type: 'bind' }>, value: Node | undefined, cost: Range): Range {
    const local: Local = value
      ? { path: this.#path(value), size: this.#size(value), entry: this.#entry(value) }
      : { path: [] };
    const body = this.#with({ [node.name]: local }, () => {
      const inner = this.cost(node.body);
      this.#copySizes(node, node.body);
      return inner;
    });
    return plus(listCost, cost, body); // the list is the empty range of the fold that a binding stands for
  }
  /** optMap: `has a value ? optional of (bind it) : none`; optFlatMap is without the wrapping. */
  #optional(node: Extract<Node, { type: 'bind' }>): Range {
    const target = this.cost(node.value);
    const bound = this.#bound(node, undefined, plus(target, one));
    const made = node.of === 'optMap' ? plus(bound, one) : bound;
    this.#sizes.delete(node);
    this.#entries.delete(node);
    return plus(target, one, around(made, one));
  }
}

function foldCost(
  macro: Extract<Node, { type: 'comprehension' }>['macro'],
  body: Range,
  filter: Range | undefined,
): { setup: Range; round: Range; result: Range } {
  const filtered = (step: Range) => (filter ? plus(filter, around(step, one)) : step);
  switch (macro) {
    case 'all':
    case 'exists': {
      const asked = macro === 'all' ? 2 : 3;
      return { setup: exactly(0), round: { min: asked + 1, max: plus(exactly(asked + 1), body).max }, result: one };
    }
    case 'existsOne':
      return { setup: exactly(0), round: plus(body, { min: 1, max: 2 }), result: exactly(2) };
    case 'filter':
      return { setup: listCost, round: plus(body, { min: 1, max: 13 }), result: one };
    case 'map':
    case 'transformList':
      return { setup: listCost, round: filtered(plus(body, exactly(12))), result: one };
    case 'transformMap':
      return { setup: mapCost, round: filtered(plus(body, exactly(3))), result: one };
    case 'transformMapEntry':
      return { setup: mapCost, round: filtered(plus(body, exactly(2))), result: one };
  }
}

function writtenSize(node: Node): Range | undefined {
  switch (node.type) {
    case 'literal':
      if (node.value.type === 'string') return exactly([...node.value.value].length);
      return exactly(node.value.type === 'bytes' ? node.value.value.length : 1);
    case 'list':
      return exactly(node.items.length);
    case 'map':
      return exactly(node.entries.length);
    default:
      return undefined;
  }
}
const scalars = /^(bool|double|duration|int|timestamp|uint)$/;
const isScalar = (given: Type): boolean => {
  const type = plain(given);
  return type.k === 'optional' ? isScalar(type.of) : scalars.test(type.k);
};
const mapKey: Type = { k: 'string' };
function below(type: Exclude<Type, { k: 'sized' }>, step: string): Type | undefined {
  switch (step) {
    case '@items':
    case '@values':
      return type.k === 'list' ? type.item : type.k === 'map' ? type.value : undefined;
    case '@keys':
      return type.k === 'map' ? mapKey : undefined;
    default:
      return type.k === 'object' ? type.fields.get(step) : undefined;
  }
}
/** Undeclared is 0: numbers, and the keys of maps. */
const elementsMax = (type: Type): number =>
  type.k === 'list' || type.k === 'map' || type.k === 'sized' ? (type.bounds?.max ?? 0) : 0;
