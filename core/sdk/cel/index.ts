import { check, type Environment } from './check.ts';
import { estimateCost } from './estimate/estimate.ts';
import type { Range } from './estimate/range.ts';
import { conversions } from './library/conversions.ts';
import { namedFormats } from './library/format.ts';
import { lists, optionals } from './library/lists.ts';
import { network } from './library/network.ts';
import { operators } from './library/operators.ts';
import { quantities } from './library/quantity.ts';
import { semvers } from './library/semver.ts';
import { strings } from './library/strings.ts';
import { textFormats } from './library/text-format.ts';
import { time } from './library/time.ts';
import type { Overload } from './overload.ts';
import { parse } from './parser.ts';
import { compileProgram, type Program } from './program.ts';
import type { Type } from './types.ts';

export { CelError } from './ast.ts';
export { parseTimestamp } from './library/conversions.ts';
export { method, type Overload } from './overload.ts';
export type { Program } from './program.ts';
export * as celTypes from './types.ts';
export * from './values.ts';

/** All functions of the language and of Kubernetes' libraries, by name. */
export const standardLibrary: readonly Overload[] = [
  ...operators,
  ...conversions,
  ...strings,
  ...lists,
  ...optionals,
  ...time,
  ...quantities,
  ...network,
  ...semvers,
  ...namedFormats,
  ...textFormats,
];

export interface Expression extends Program {
  readonly type: Type;
  readonly source: string;
  /** Whether the expression names this variable. */
  uses(variable: string): boolean;
}

type Overloads = Map<string, Overload[]>;
const byName = (library: readonly Overload[], onto: Overloads = new Map()): Overloads => {
  for (const overload of library) onto.set(overload.name, [...(onto.get(overload.name) ?? []), overload]);
  return onto;
};
/** The same for everybody: there are thousands of rules in a cluster, and one library. */
const standardOverloads = byName(standardLibrary);

/** A place for expressions: the variables they may name, and functions beside the standard ones. */
export function celEnvironment(
  variables: Readonly<Record<string, Type>>,
  more: readonly Overload[] = [],
  structs?: Environment['structs'],
) {
  const overloads = more.length ? byName(more, new Map(standardOverloads)) : standardOverloads;
  const environment: Environment = { variables: new Map(Object.entries(variables)), overloads, structs };
  return {
    /** Throws CelError with all mistakes. */
    compile(source: string): Expression {
      const checked = check(parse(source), environment, source);
      const program = compileProgram(checked, Object.keys(variables));
      const names = new Set([...checked.types.keys()].map((node) => (node.type === 'ident' ? node.name : '')));
      return {
        type: checked.type,
        source,
        uses: (variable) => names.has(variable),
        evaluate: (values, costMax) => program.evaluate(values, costMax),
      };
    },
    /** What the expression may cost; `self` declares the sizes. Throws CelError. */
    estimate: (source: string, self: Type): Range => estimateCost(check(parse(source), environment, source), self),
  };
}
