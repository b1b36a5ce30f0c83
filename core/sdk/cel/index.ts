import { check, type Environment } from './check.ts';
import { conversions } from './library/conversions.ts';
import { namedFormats } from './library/format.ts';
import { lists, optionals } from './library/lists.ts';
import { network } from './library/network.ts';
import { operators } from './library/operators.ts';
import { quantities } from './library/quantity.ts';
import { semvers } from './library/semver.ts';
import { strings } from './library/strings.ts';
import { time } from './library/time.ts';
import type { Overload } from './overload.ts';
import { parse } from './parser.ts';
import { compileProgram, type Program } from './program.ts';
import type { Type } from './types.ts';

export { CelError } from './ast.ts';
export type { Overload } from './overload.ts';
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
];

export interface Expression extends Program {
  readonly type: Type;
  readonly source: string;
}

/** A place for expressions: the variables they may name, and functions beside the standard ones. */
export function celEnvironment(variables: Readonly<Record<string, Type>>, more: readonly Overload[] = []) {
  const overloads = new Map<string, Overload[]>();
  for (const overload of [...standardLibrary, ...more]) {
    const same = overloads.get(overload.name);
    if (same) same.push(overload);
    else overloads.set(overload.name, [overload]);
  }
  const environment: Environment = { variables: new Map(Object.entries(variables)), overloads };
  return {
    /** Throws CelError with all mistakes. */
    compile(source: string): Expression {
      const checked = check(parse(source), environment, source);
      const program = compileProgram(checked, Object.keys(variables));
      return { type: checked.type, source, evaluate: (values, costMax) => program.evaluate(values, costMax) };
    },
  };
}
