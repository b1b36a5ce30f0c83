import { type FieldError, fieldErrors } from '../../api/index.ts';
import type { SchemaNode } from './node.ts';
import { type CompiledRule, estimateRule, rulesOf } from './rules.ts';

/** Of one expression, and of all of a schema: what the estimate of their cost may be at most. */
const ruleEstimateMax = 10_000_000;
const schemaEstimateMax = 100_000_000;
/** Told where a whole schema is too dear: the dearest, and none below a hundredth of the limit. */
const dearestMax = 4;

/**
 * Compiles every rule of a schema and says what is wrong with it. `unchanged`: the schema is stored already, so that a single rule is
 * not refused for what it costs.
 */
export function checkRuleTexts(schema: SchemaNode, path: string, unchanged: boolean): FieldError[] {
  const check = new Check(unchanged);
  check.walk(schema, path, { isResource: true, uncorrelated: undefined, times: 1 });
  return [...check.mistakes, ...check.total(path)];
}

interface Place {
  readonly isResource: boolean;
  /** The path of the list or map whose elements cannot be found again. */
  readonly uncorrelated: string | undefined;
  /** How often such a value can be in an object, by the limits of the lists and maps around it; undefined: nothing limits it. */
  readonly times: number | undefined;
}

class Check {
  readonly mistakes: FieldError[] = [];
  #total = 0;
  readonly #dear: { readonly path: string; readonly cost: number }[] = [];
  constructor(private readonly unchanged: boolean) {}

  /** What is inside comes first. */
  walk(schema: SchemaNode, path: string, place: Place): void {
    if (!schema.has.rules) return;
    const more = elementsMax(schema);
    const times = place.times === undefined || more === undefined ? undefined : place.times * more;
    const below = { ...place, times };
    const { additional, items } = schema;
    if (typeof additional === 'object')
      this.walk(additional, `${path}.additionalProperties`, { ...below, isResource: additional.embedded });
    for (const [name, inner] of schema.properties ?? [])
      this.walk(inner, `${path}.properties[${name}]`, { ...below, isResource: inner.embedded });
    if (items) {
      const uncorrelated = place.uncorrelated ?? (schema.listType === 'map' ? undefined : path);
      this.walk(items, `${path}.items`, { ...below, isResource: items.embedded, uncorrelated });
    }
    for (const [index, compiled] of rulesOf(schema, place.isResource).entries())
      this.#rule(schema, compiled, `${path}.x-kubernetes-validations[${index}]`, place);
  }

  total(path: string): FieldError[] {
    if (this.#total <= schemaEstimateMax) return [];
    const why = 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema';
    const dearest = this.#dear.sort((a, b) => b.cost - a.cost).slice(0, dearestMax);
    const whole = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema';
    return [
      ...dearest.map((rule) => fieldErrors.forbidden(rule.path, why)),
      fieldErrors.forbidden(path, tooDear(whole, this.#total, schemaEstimateMax)),
    ];
  }

  #rule(schema: SchemaNode, compiled: CompiledRule, at: string, place: Place): void {
    const { mistakes } = this;
    const { rule } = compiled;
    const estimates = estimateRule(schema, place.isResource, compiled);
    if (estimates) {
      const cost = estimates.rule * (place.times ?? estimates.times);
      this.#observe('estimated rule cost', `${at}.rule`, cost);
    }
    if (compiled.error) mistakes.push(fieldErrors.invalid(`${at}.rule`, shown(rule), compiled.error));
    if (compiled.messageError)
      mistakes.push(fieldErrors.invalid(`${at}.messageExpression`, shown(rule), compiled.messageError));
    else if (estimates?.message !== undefined)
      this.#observe('estimated messageExpression cost', `${at}.messageExpression`, estimates.message);
    if (compiled.usesOldSelf) {
      if (place.uncorrelated === undefined) return;
      const why = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${place.uncorrelated}`;
      mistakes.push(fieldErrors.invalid(`${at}.rule`, rule.rule, why));
    } else if (rule.optionalOldSelf !== undefined && !compiled.error) {
      const why = 'may not be set if oldSelf is not used in rule';
      mistakes.push(fieldErrors.invalid(`${at}.optionalOldSelf`, rule.optionalOldSelf, why));
    }
  }

  #observe(what: string, path: string, cost: number): void {
    if (!this.unchanged && cost > ruleEstimateMax)
      this.mistakes.push(fieldErrors.forbidden(path, tooDear(what, cost, ruleEstimateMax)));
    this.#total += cost;
    if (cost >= schemaEstimateMax / 100) this.#dear.push({ path, cost });
  }
}

/** How many of what is inside one value can hold. */
function elementsMax({ type, additional, maxProperties, maxItems }: SchemaNode): number | undefined {
  const limit = type === 'array' ? maxItems : maxProperties;
  const isMany = type === 'array' || (type === 'object' && additional !== undefined);
  if (!isMany) return 1;
  return limit === undefined ? undefined : Math.max(0, limit);
}

function tooDear(what: string, cost: number, limit: number): string {
  const over = cost / limit;
  const factor = over > 100 ? 'more than 100' : over.toFixed(over < 1.5 ? 6 : 1);
  return `${what} exceeds budget by factor of ${factor}x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}

/** As Go prints the struct's JSON form. */
const shown = ({
  rule,
  message = '',
  messageExpression = '',
  reason,
  fieldPath = '',
  optionalOldSelf,
}: SchemaNode['rules'][number]) => ({
  Rule: rule,
  Message: message,
  MessageExpression: messageExpression,
  Reason: reason ?? null,
  FieldPath: fieldPath,
  OptionalOldSelf: optionalOldSelf ?? null,
});
