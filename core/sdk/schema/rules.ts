import { type FieldError, fieldErrors } from '../../api/index.ts';
import { CelError, CelFailure, CelOptional, celEnvironment, type Expression, type Value } from '../cel/index.ts';
import { optional, type Type } from '../cel/types.ts';
import { type Former, formerElement, formerField, isUnchanged, uncorrelated } from './correlate.ts';
import { followPath } from './field-path.ts';
import { isObject, type Rule, type SchemaNode } from './node.ts';
import { requestBytesMax, ruleType, ruleValue } from './rule-types.ts';
import { noPath } from './validate.ts';

/** Units of cost, as upstream counts them: for one expression, and for all of one object. */
export const ruleCostMax = 1_000_000;
export const objectCostMax = 10_000_000;
const messageBytesMax = 5 * 1024;

export interface CompiledRule {
  readonly rule: Rule;
  readonly expression?: Expression;
  readonly error?: string;
  readonly message?: Expression;
  readonly messageError?: string;
  readonly usesOldSelf: boolean;
  /** Where a failure is reported, below the place of the rule. */
  readonly fieldPath: string;
}

const made = new WeakMap<SchemaNode, readonly CompiledRule[]>();
/** On first use: most schemas of a cluster are never written to. */
export function rulesOf(schema: SchemaNode, isResource: boolean): readonly CompiledRule[] {
  const known = made.get(schema);
  if (known) return known;
  const rules = schema.rules.map((rule) => compileRule(schema, rule, isResource));
  made.set(schema, rules);
  return rules;
}

function compileRule(schema: SchemaNode, rule: Rule, isResource: boolean): CompiledRule {
  const self = ruleType(schema, isResource)?.type;
  const found = rule.fieldPath ? followPath(rule.fieldPath, schema) : undefined;
  const base = { rule, usesOldSelf: false, fieldPath: found && 'path' in found ? found.path : '' };
  if (!self) return { ...base, error: 'failed to convert to declType for CEL validation rules' };
  if (!rule.rule?.trim()) return base;
  const environment = environmentOf(self, rule);
  const expression = attempt(() => environment.compile(rule.rule), 'compilation failed: ');
  if (typeof expression === 'string') return { ...base, error: expression };
  if (expression.type.k !== 'bool') return { ...base, error: 'cel expression must evaluate to a bool' };
  const usesOldSelf = expression.uses('oldSelf');
  if (!rule.messageExpression) return { ...base, expression, usesOldSelf };
  const message = attempt(() => environment.compile(rule.messageExpression!), 'messageExpression compilation failed: ');
  if (typeof message === 'string') return { ...base, expression, usesOldSelf, messageError: message };
  const { type } = message;
  const isText = type.k === 'string' || (type.k === 'sized' && type.type.k === 'string');
  if (!isText) return { ...base, expression, usesOldSelf, messageError: 'messageExpression must evaluate to a string' };
  return { ...base, expression, usesOldSelf, message };
}
/** What a rule may cost at most, and its message, and how often it can be in an object where nothing limits that. Undefined: it is wrong. */
export function estimateRule(
  schema: SchemaNode,
  isResource: boolean,
  { rule, expression, message }: CompiledRule,
): { readonly rule: number; readonly message?: number; readonly times: number } | undefined {
  const self = ruleType(schema, isResource);
  if (!self || !expression) return undefined;
  const environment = environmentOf(self.type, rule);
  const most = (source: string) => environment.estimate(source, self.type).max;
  return {
    rule: most(rule.rule),
    ...(message && rule.messageExpression ? { message: most(rule.messageExpression) } : {}),
    times: Math.floor(requestBytesMax / (self.bytesMin + 1)), // a comma between two of them
  };
}
const environmentOf = (self: Type, rule: Rule) =>
  celEnvironment({ self, oldSelf: rule.optionalOldSelf ? optional(self) : self });

function attempt(compile: () => Expression, prefix: string): Expression | string {
  try {
    return compile();
  } catch (error) {
    if (error instanceof CelError || error instanceof CelFailure) return prefix + error.message;
    throw error;
  }
}

export interface RuleResult {
  readonly mistakes: FieldError[];
  /** What is wrong but was so before. */
  readonly warnings: string[];
}
/** All rules of the schema on this object; `former` is the stored one. */
export function checkRules(
  schema: SchemaNode,
  object: unknown,
  former: Former = uncorrelated,
  costMax = objectCostMax,
  path = '',
): RuleResult {
  const run = new Run(costMax);
  const ratchet = { now: former, nearest: uncorrelated, value: object, nearestValue: undefined };
  if (schema.has.rules) run.node(schema, object, former, ratchet, path, path === '' || schema.embedded);
  return { mistakes: run.mistakes, warnings: run.warnings };
}

/** What a failure is compared with before it counts: the value itself, or the nearest one around it that can be found again. */
interface Ratchet {
  readonly now: Former;
  readonly value: unknown;
  readonly nearest: Former;
  readonly nearestValue: unknown;
}
const isSame = ({ now, value, nearest, nearestValue }: Ratchet): boolean =>
  now !== uncorrelated ? isUnchanged(value, now) : isUnchanged(nearestValue, nearest);
const below = (ratchet: Ratchet, now: Former, value: unknown): Ratchet =>
  ratchet.now === uncorrelated
    ? { ...ratchet, value }
    : { now, value, nearest: ratchet.now, nearestValue: ratchet.value };

class Run {
  readonly mistakes: FieldError[] = [];
  readonly warnings: string[] = [];
  constructor(private left: number) {}

  /** False: the budget is spent. */
  node(
    schema: SchemaNode,
    value: unknown,
    former: Former,
    ratchet: Ratchet,
    path: string,
    isResource: boolean,
  ): boolean {
    if (!schema.has.rules || value === null || value === undefined) return true;
    if (schema.rules.length > 0 && !this.#rules(schema, value, former, ratchet, path, isResource)) return false;
    if (Array.isArray(value)) {
      const { items } = schema;
      return (
        !items ||
        value.every((element: unknown, index) => {
          const old = formerElement(schema, former, element);
          return this.node(items, element, old, below(ratchet, old, element), `${path}[${index}]`, items.embedded);
        })
      );
    }
    if (!isObject(value)) return true;
    for (const [name, inner] of Object.entries(value)) {
      const property = schema.properties?.get(name);
      const next = property ?? (typeof schema.additional === 'object' ? schema.additional : undefined);
      if (!next?.has.rules) continue;
      const at = property ? (path ? `${path}.${name}` : name) : `${path}[${name}]`;
      const old = isObject(former) && Object.hasOwn(former, name) ? former[name] : uncorrelated;
      const step = below(ratchet, formerField(schema, former, name), inner);
      if (!this.node(next, inner, old, step, at, next.embedded)) return false;
    }
    return true;
  }

  #rules(
    schema: SchemaNode,
    value: unknown,
    former: Former,
    ratchet: Ratchet,
    path: string,
    isResource: boolean,
  ): boolean {
    const hasOld = former !== uncorrelated && former !== null && former !== undefined;
    let self: Value | undefined;
    let old: Value | undefined;
    for (const compiled of rulesOf(schema, isResource)) {
      const { expression, rule } = compiled;
      if (compiled.error !== undefined) {
        this.#fail(schema, path, `rule compile error: ${compiled.error}`);
        continue;
      }
      if (!expression || (compiled.usesOldSelf && !hasOld && !rule.optionalOldSelf)) continue;
      self ??= ruleValue(schema, value);
      if (compiled.usesOldSelf && hasOld) old ??= ruleValue(schema, former);
      const oldSelf: Value = rule.optionalOldSelf
        ? old === undefined
          ? CelOptional.none
          : new CelOptional(old)
        : (old ?? null);
      const answer = this.#evaluate(schema, path, compiled, expression, { self, oldSelf });
      if (answer === 'spent') return false;
      if (answer !== 'broken') continue;
      const detail = this.#message(compiled, { self, oldSelf });
      if (detail === undefined) {
        this.#fail(
          schema,
          path,
          'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run',
        );
        return false;
      }
      const mistake = mistakeOf(schema, joined(path, compiled.fieldPath), value, detail, rule.reason);
      if (!compiled.usesOldSelf && isSame(ratchet)) this.warnings.push(`${mistake.field}: ${mistake.message}`);
      else this.mistakes.push(mistake);
    }
    return true;
  }

  #evaluate(
    schema: SchemaNode,
    path: string,
    { rule }: CompiledRule,
    expression: Expression,
    variables: Record<string, Value>,
  ): 'holds' | 'broken' | 'failed' | 'spent' {
    const spent = 'validation failed due to running out of cost budget, no further validation rules will be run';
    if (this.left <= 0) {
      this.#fail(schema, path, spent);
      return 'spent';
    }
    try {
      const { value, cost } = expression.evaluate(variables, ruleCostMax);
      if (cost > this.left) {
        this.#fail(schema, path, spent);
        return 'spent';
      }
      this.left -= cost;
      return value === true ? 'holds' : 'broken';
    } catch (error) {
      if (!(error instanceof CelFailure)) throw error;
      const text = error.message;
      if (text.startsWith('operation cancelled: actual cost limit exceeded')) {
        this.#fail(
          schema,
          path,
          `'${text}': no further validation rules will be run due to call cost exceeds limit for rule: ${ruleText(rule)}`,
        );
        return 'spent';
      }
      this.#fail(
        schema,
        path,
        text.startsWith('no such overload')
          ? `'${text}': call arguments did not match a supported operator, function or macro signature for rule: ${ruleText(rule)}`
          : `${text} evaluating rule: ${ruleText(rule)}`,
      );
      return 'failed';
    }
  }

  /** Undefined: the budget is spent. A message that cannot be made gives way to the fixed one. */
  #message({ rule, message }: CompiledRule, variables: Record<string, Value>): string | undefined {
    const fixed = rule.message ? rule.message.trim() : `failed rule: ${ruleText(rule)}`;
    if (!message) return fixed;
    try {
      const { value, cost } = message.evaluate(variables, ruleCostMax);
      if (cost > this.left) return undefined;
      this.left -= cost;
      const text = typeof value === 'string' ? value.trim() : '';
      return text === '' || text.includes('\n') || Buffer.byteLength(text) > messageBytesMax ? fixed : text;
    } catch (error) {
      if (error instanceof CelFailure) return fixed;
      throw error;
    }
  }

  #fail(schema: SchemaNode, path: string, detail: string): void {
    this.mistakes.push(fieldErrors.invalid(path || noPath, schema.type, detail));
  }
}

const ruleText = (rule: Rule): string => (rule.message || rule.rule).trim();
const joined = (path: string, more: string): string => (more && path ? `${path}.${more}` : path || more) || noPath;

function mistakeOf(
  schema: SchemaNode,
  field: string,
  value: unknown,
  detail: string,
  reason: string | undefined,
): FieldError {
  const isBig = schema.type === 'object' || schema.type === 'array';
  switch (reason) {
    case 'FieldValueForbidden':
      return fieldErrors.forbidden(field, detail);
    case 'FieldValueRequired':
      return fieldErrors.required(field, detail);
    case 'FieldValueDuplicate':
      return isBig
        ? { type: 'FieldValueDuplicate', field, message: 'Duplicate value' }
        : fieldErrors.duplicate(field, value);
    default:
      return isBig
        ? { type: 'FieldValueInvalid', field, message: `Invalid value: ${detail}` }
        : fieldErrors.invalid(field, value, detail);
  }
}
