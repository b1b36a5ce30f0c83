// Whole: one case for each kind of node, and the folds of the macros that one of them needs.
import type { Literal, Node } from './ast.ts';
import type { Checked } from './check.ts';
import { optionalAt } from './library/lists.ts';
import { costSize, isOfType, type Overload } from './overload.ts';
import { plain, type Type } from './types.ts';
import {
  CelDouble,
  CelFailure,
  CelOptional,
  CelType,
  CelUint,
  entriesOf,
  failure,
  intOf,
  isMap,
  lookUp,
  noOverload,
  type Value,
} from './values.ts';

/** One evaluation: the variables by slot, and what it has cost. */
interface Run {
  readonly slots: Value[];
  cost: number;
  readonly costMax: number;
}
type Step = (run: Run) => Value;

export interface Program {
  /** Throws CelFailure; its text begins with `operation cancelled: actual cost limit exceeded` beyond costMax. */
  evaluate(variables: Readonly<Record<string, Value>>, costMax?: number): { value: Value; cost: number };
}

/** A checked expression as closures; about a microsecond for a simple rule. */
export function compileProgram(checked: Checked, variables: readonly string[]): Program {
  const builder = new Builder(checked);
  const scope = new Map(variables.map((name, slot) => [name, slot]));
  const step = builder.step(checked.node, scope);
  const slotCount = builder.slots;
  return {
    evaluate(values, costMax = Number.POSITIVE_INFINITY) {
      const slots = new Array<Value>(slotCount).fill(null);
      for (const [slot, name] of variables.entries()) slots[slot] = values[name] as Value;
      const run: Run = { slots, cost: 0, costMax };
      const value = step(run);
      return { value, cost: run.cost };
    },
  };
}

const overLimit = 'operation cancelled: actual cost limit exceeded';
const isOverLimit = (error: unknown): boolean => error instanceof CelFailure && error.message === overLimit;
function charge(run: Run, cost: number): void {
  run.cost += cost;
  if (run.cost > run.costMax) throw failure(overLimit);
}

const literalOf = (literal: Literal): Value => {
  switch (literal.type) {
    case 'null':
      return null;
    case 'int':
      return intOf(literal.value);
    case 'uint':
      return new CelUint(literal.value);
    case 'double':
      return new CelDouble(literal.value);
    default:
      return literal.value;
  }
};
const listCost = 10;
const mapCost = 30;
const structCost = 40;
/**
 * What the fold behind a macro costs beside its body: `ask` whether to go on, `join` in each round, `keep` where an element is kept,
 * `end` to read the result.
 */
interface FoldCosts {
  readonly ask: number;
  readonly join: number;
  readonly keep: number;
  readonly end: number;
}
const making: FoldCosts = { ask: 0, join: 0, keep: 12, end: 1 };
const foldCosts: Readonly<Record<Extract<Node, { type: 'comprehension' }>['macro'], FoldCosts>> = {
  all: { ask: 2, join: 1, keep: 0, end: 1 },
  exists: { ask: 3, join: 1, keep: 0, end: 1 },
  existsOne: { ask: 0, join: 0, keep: 2, end: 2 },
  filter: { ...making, keep: 13 },
  map: making,
  transformList: making,
  transformMap: { ...making, keep: 3 },
  transformMapEntry: { ...making, keep: 2 },
};

class Builder {
  slots: number;
  constructor(private readonly checked: Checked) {
    this.slots = 0;
  }
  #used = 0;

  step(node: Node, scope: ReadonlyMap<string, number>): Step {
    this.#used = Math.max(this.#used, scope.size);
    this.slots = Math.max(this.slots, this.#used + 8);
    switch (node.type) {
      case 'literal': {
        const value = literalOf(node.value);
        return () => value;
      }
      case 'ident':
        return this.#ident(node.name, scope);
      case 'select':
        return this.#select(node, scope);
      case 'has':
        return this.#has(node, scope);
      case 'call':
        return this.#call(node, scope);
      case 'list':
        return this.#list(node, scope);
      case 'map':
        return this.#map(node, scope);
      case 'comprehension':
        return this.#comprehension(node, scope);
      case 'bind':
        return this.#bind(node, scope);
      case 'struct':
        return this.#struct(node, scope);
    }
  }

  #struct(node: Extract<Node, { type: 'struct' }>, scope: ReadonlyMap<string, number>): Step {
    const fields = node.fields.map(({ name, value, optional }) => ({ name, optional, step: this.step(value, scope) }));
    return (run) => {
      charge(run, structCost);
      const made: Record<string, Value> = {};
      for (const { name, optional, step } of fields) {
        const value = step(run);
        if (!optional) made[name] = value;
        else if (value instanceof CelOptional && value.value !== undefined) made[name] = value.value;
      }
      return made;
    };
  }

  #type(node: Node): Exclude<Type, { k: 'sized' }> {
    return plain(this.checked.types.get(node) ?? { k: 'dyn' });
  }

  #ident(name: string, scope: ReadonlyMap<string, number>): Step {
    const slot = scope.get(name);
    if (slot === undefined) {
      const value = new CelType(name);
      return () => value;
    }
    return (run) => {
      charge(run, 1);
      return run.slots[slot] as Value;
    };
  }

  #select(node: Extract<Node, { type: 'select' }>, scope: ReadonlyMap<string, number>): Step {
    if (!this.checked.types.has(node.of)) {
      const name = `${(node.of as { name?: string }).name ?? ''}.${node.field}`;
      if (scope.has(name)) return this.#ident(name, scope);
      const value = new CelType(name); // a type's name
      return () => value;
    }
    const of = this.step(node.of, scope);
    const key = realName(this.#type(node.of), node.field);
    if (node.optional || this.#type(node.of).k === 'optional')
      return (run) => {
        charge(run, 1);
        return optionalAt(of(run), key);
      };
    const cost = lookUpCost(node.of);
    return (run) => {
      charge(run, cost);
      const holder = of(run);
      if (holder instanceof CelOptional) return optionalAt(holder, key);
      if (holder === null) throw failure(`no such key: ${node.field}`);
      if (!isMap(holder)) throw noOverload();
      const value = lookUp(holder, key);
      if (value === undefined) throw failure(`no such key: ${node.field}`);
      return value;
    };
  }
  #has(node: Extract<Node, { type: 'has' }>, scope: ReadonlyMap<string, number>): Step {
    const of = this.step(node.of, scope);
    const key = realName(this.#type(node.of), node.field);
    return (run) => {
      let holder = of(run);
      if (holder instanceof CelOptional) {
        if (holder.value === undefined) return false;
        holder = holder.value;
      }
      if (!isMap(holder)) throw noOverload();
      return lookUp(holder, key) !== undefined;
    };
  }

  #list(node: Extract<Node, { type: 'list' }>, scope: ReadonlyMap<string, number>): Step {
    const items = node.items.map(({ node: item, optional }) => ({ step: this.step(item, scope), optional }));
    if (isWritten(node)) return constant(items.map(({ step }) => step(nowhere)));
    return (run) => {
      charge(run, listCost);
      const made: Value[] = [];
      for (const { step, optional } of items) {
        const value = step(run);
        if (!optional) made.push(value);
        else if (value instanceof CelOptional && value.value !== undefined) made.push(value.value);
      }
      return made;
    };
  }
  #map(node: Extract<Node, { type: 'map' }>, scope: ReadonlyMap<string, number>): Step {
    const entries = node.entries.map(({ key, value, optional }) => ({
      key: this.step(key, scope),
      value: this.step(value, scope),
      optional,
    }));
    const make: Step = (run) => {
      charge(run, mapCost);
      const made = new Map<Value, Value>();
      for (const { key, value, optional } of entries) {
        const at = key(run);
        if (lookUp(made, at) !== undefined) throw failure(`insert failed: key '${String(at)}' already exists`);
        const one = value(run);
        if (!optional) made.set(at, one);
        else if (one instanceof CelOptional && one.value !== undefined) made.set(at, one.value);
      }
      return made;
    };
    return isWritten(node) ? folded(make) : make;
  }

  #call(node: Extract<Node, { type: 'call' }>, scope: ReadonlyMap<string, number>): Step {
    if (node.name === '_&&_' || node.name === '_||_') return this.#logic(node, scope);
    if (node.name === '_?_:_') {
      const [condition, yes, no] = node.args.map((arg) => this.step(arg, scope)) as [Step, Step, Step];
      const [gift, otherGift] = [rootCost(node.args[1]!), rootCost(node.args[2]!)];
      return (run) => {
        const holds = condition(run);
        if (typeof holds !== 'boolean') throw noOverload();
        run.cost -= holds ? gift : otherGift;
        return (holds ? yes : no)(run);
      };
    }
    const overloads = this.checked.calls.get(node)!;
    const isMethod = overloads[0]!.method;
    const operands = (isMethod ? [node.target!, ...node.args] : node.args).map((arg) => this.step(arg, scope));
    const isKnown = overloads.length === 1 && operands.length <= 2 && !operandsAreDyn(this, node, isMethod);
    if (isKnown && node.name === '@in' && isWritten(node.args[1]!)) return freeCall(overloads[0]!, operands);
    if (isKnown && conversionNames.has(node.name) && node.args[0]?.type === 'literal')
      return folded(fixedCall(overloads[0]!, operands));
    if (node.name === '_[_]') {
      const [of, key] = node.args as [Node, Node];
      const extra = lookUpCost(of) - 1 - rootCost(key);
      const look = isKnown ? fixedCall(overloads[0]!, operands) : this.#choose(overloads, operands);
      return (run) => {
        run.cost += extra;
        return look(run);
      };
    }
    if (isKnown) return fixedCall(overloads[0]!, operands);
    return this.#choose(overloads, operands);
  }
  /** The values decide which overload it is. */
  #choose(overloads: readonly Overload[], operands: readonly Step[]): Step {
    return (run) => {
      const values = operands.map((operand) => operand(run));
      const overload = overloads.find(({ args }) => args.every((type, i) => isOfType(values[i] as Value, type)));
      if (!overload) throw noOverload();
      charge(run, overload.weigh?.(...values) ?? overload.cost?.(...values.map(costSize)) ?? 1);
      return overload.call(...values);
    };
  }
  isDyn(node: Node): boolean {
    return this.#type(node).k === 'dyn';
  }

  /** An error on one side does not matter when the other decides. */
  #logic(node: Extract<Node, { type: 'call' }>, scope: ReadonlyMap<string, number>): Step {
    const [left, right] = node.args.map((arg) => this.step(arg, scope)) as [Step, Step];
    const decisive = node.name === '_||_';
    return (run) => {
      let first: Value;
      try {
        first = left(run);
      } catch (error) {
        if (run.cost > run.costMax || right(run) !== decisive) throw error;
        return decisive;
      }
      if (first === decisive) return decisive;
      const second = right(run);
      if (second === decisive) return decisive;
      if (typeof first !== 'boolean' || typeof second !== 'boolean') throw noOverload();
      return !decisive;
    };
  }

  #comprehension(node: Extract<Node, { type: 'comprehension' }>, scope: ReadonlyMap<string, number>): Step {
    const range = this.step(node.range, scope);
    const inner = new Map(scope);
    const slots = node.variables.map((name) => {
      const slot = this.#fresh(inner);
      inner.set(name, slot);
      return slot;
    });
    const filter = node.filter && this.step(node.filter, inner);
    const body = this.step(node.body, inner);
    const fold = folds[node.macro];
    const { ask, join, keep, end } = foldCosts[node.macro];
    return (run) => {
      const over = range(run);
      const isPair = slots.length === 2;
      if (!Array.isArray(over) && !isMap(over)) throw noOverload();
      const result = fold(
        over,
        isPair,
        (first, second) => {
          charge(run, ask + join);
          run.slots[slots[0]!] = first;
          if (isPair) run.slots[slots[1]!] = second;
          return filter === undefined || filter(run) === true;
        },
        () => body(run),
        (event) => charge(run, event === 'keep' ? keep : ask),
      );
      charge(run, end);
      return result;
    };
  }
  /** A slot that no variable in sight uses. */
  #fresh(scope: ReadonlyMap<string, number>): number {
    const slot = Math.max(-1, ...scope.values()) + 1;
    this.#used = Math.max(this.#used, slot + 1);
    this.slots = Math.max(this.slots, this.#used + 8);
    return slot;
  }

  #bind(node: Extract<Node, { type: 'bind' }>, scope: ReadonlyMap<string, number>): Step {
    const value = this.step(node.value, scope);
    const inner = new Map(scope);
    const slot = this.#fresh(inner);
    inner.set(node.name, slot);
    const body = this.step(node.body, inner);
    if (node.of === 'value')
      return (run) => {
        run.slots[slot] = value(run);
        return body(run);
      };
    return (run) => {
      const before = run.cost;
      const held = value(run);
      if (!(held instanceof CelOptional)) throw noOverload();
      charge(run, 2); // it is asked whether it holds something, and wrapped again
      if (held.value === undefined) return CelOptional.none;
      charge(run, run.cost - before - (node.of === 'optMap' ? 1 : 2)); // made once more, for its value
      run.slots[slot] = held.value;
      return node.of === 'optMap' ? new CelOptional(body(run)) : body(run);
    };
  }
}

/** Nothing in it has to be looked up: it is made once, and costs nothing. */
function isWritten(node: Node): boolean {
  if (node.type === 'literal') return true;
  if (node.type === 'list') return node.items.every(({ node: item, optional }) => !optional && isWritten(item));
  return (
    node.type === 'map' &&
    node.entries.every(({ key, value, optional }) => !optional && isWritten(key) && isWritten(value))
  );
}
const nowhere: Run = { slots: [], cost: 0, costMax: Number.POSITIVE_INFINITY };
const constant =
  (value: Value): Step =>
  () =>
    value;
/** What cannot be made fails when it is met. */
function folded(step: Step): Step {
  try {
    return constant(step({ ...nowhere }));
  } catch (error) {
    if (error instanceof CelFailure) return step;
    throw error;
  }
}
const conversionNames = new Set('bool bytes double duration dyn int string timestamp type uint'.split(' '));
/** A branch that is a field of a variable is looked up without counting the variable, as upstream does. */
function rootCost(node: Node): number {
  if (node.type === 'ident') return 1;
  if (node.type === 'call' && node.name === '_[_]') return rootCost(node.args[0]!);
  return node.type === 'select' && !node.optional ? rootCost(node.of) : 0;
}
/** What is no field of a variable has to be brought to where its parts can be looked up. */
const lookUpCost = (of: Node): number => 2 - rootCost(of);
/** A look into a written list is a look into a set. */
const freeCall =
  ({ call }: Overload, [first, second]: readonly Step[]): Step =>
  (run) =>
    call(first!(run), second!(run));

const operandsAreDyn = (builder: Builder, node: Extract<Node, { type: 'call' }>, isMethod: boolean): boolean =>
  (isMethod ? [node.target!, ...node.args] : node.args).some((arg) => builder.isDyn(arg));

/** The types have decided: no look at the values is needed. */
function fixedCall(overload: Overload, operands: readonly Step[]): Step {
  const { cost, weigh, call } = overload;
  const [first, second] = operands as [Step, Step];
  if (operands.length === 0)
    return (run) => {
      charge(run, 1);
      return call();
    };
  if (operands.length === 1)
    return (run) => {
      const a = first(run);
      charge(run, weigh ? weigh(a) : cost ? cost(costSize(a)) : 1);
      return call(a);
    };
  return (run) => {
    const a = first(run);
    const b = second(run);
    charge(run, weigh ? weigh(a, b) : cost ? cost(costSize(a), costSize(b)) : 1);
    return call(a, b);
  };
}

const realName = (of: Exclude<Type, { k: 'sized' }>, field: string): string => {
  const holder = of.k === 'optional' ? plain(of.of) : of;
  return holder.k === 'object' ? (holder.realNames?.get(field) ?? field) : field;
};

type Range = readonly Value[] | ReadonlyMap<Value, Value> | { readonly [key: string]: Value };
/** Calls for each element (or key, or pair) until it is told to stop. */
function visit(over: Range, isPair: boolean, see: (first: Value, second: Value) => boolean): void {
  if (Array.isArray(over)) {
    const list = over as readonly Value[];
    for (let at = 0; at < list.length; at++) if (isPair ? see(at, list[at]!) : see(list[at]!, null)) return;
    return;
  }
  for (const [key, value] of entriesOf(over as ReadonlyMap<Value, Value>)) if (see(key, value)) return;
}
/** Puts the variables into their slots; false when the filter leaves this one out. */
type Enter = (first: Value, second: Value) => boolean;
/** An element is kept; or the fold is over before its range is. */
type Spend = (event: 'keep' | 'stop') => void;
type Fold = (over: Range, isPair: boolean, enter: Enter, body: () => Value, spend: Spend) => Value;

/** `all` and `exists` give an error only when no other element decides. */
const quantify =
  (decisive: boolean): Fold =>
  (over, isPair, enter, body, spend) => {
    let error: unknown;
    let decided = false;
    visit(over, isPair, (first, second) => {
      if (decided) {
        spend('stop');
        return true;
      }
      enter(first, second); // beyond the cost limit this throws through
      try {
        const holds = body();
        if (holds === decisive) decided = true;
        else if (typeof holds !== 'boolean') throw noOverload();
      } catch (caught) {
        error ??= caught;
        if (isOverLimit(caught)) throw caught;
      }
      return false;
    });
    if (decided) return decisive;
    if (error !== undefined) throw error;
    return !decisive;
  };
const collect: Fold = (over, isPair, enter, body, spend) => {
  const made: Value[] = [];
  visit(over, isPair, (first, second) => {
    if (!enter(first, second)) return false;
    made.push(body());
    spend('keep');
    return false;
  });
  return made;
};
const insert = (into: Map<Value, Value>, key: Value, value: Value): void => {
  if (into.has(key)) throw failure(`insert failed: key '${String(key)}' already exists`);
  into.set(key, value);
};
const folds: Readonly<Record<Extract<Node, { type: 'comprehension' }>['macro'], Fold>> = {
  all: quantify(false),
  exists: quantify(true),
  existsOne: (over, isPair, enter, body, spend) => {
    let count = 0;
    visit(over, isPair, (first, second) => {
      if (!enter(first, second) || body() !== true) return false;
      count++;
      spend('keep');
      return false;
    });
    return count === 1;
  },
  filter: (over, isPair, enter, body, spend) => {
    const made: Value[] = [];
    visit(over, isPair, (first, second) => {
      if (!enter(first, second) || body() !== true) return false;
      made.push(first);
      spend('keep');
      return false;
    });
    return made;
  },
  map: collect,
  transformList: collect,
  transformMap: (over, isPair, enter, body, spend) => {
    const made = new Map<Value, Value>();
    visit(over, isPair, (first, second) => {
      if (!enter(first, second)) return false;
      insert(made, first, body());
      spend('keep');
      return false;
    });
    return made;
  },
  transformMapEntry: (over, isPair, enter, body, spend) => {
    const made = new Map<Value, Value>();
    visit(over, isPair, (first, second) => {
      if (!enter(first, second)) return false;
      const entry = body();
      if (!isMap(entry)) throw noOverload();
      for (const [key, value] of entriesOf(entry)) insert(made, key, value);
      spend('keep');
      return false;
    });
    return made;
  },
};
