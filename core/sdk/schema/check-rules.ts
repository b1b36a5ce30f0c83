import { type FieldError, fieldErrors } from '../../api/index.ts';
import type { SchemaNode } from './node.ts';
import { rulesOf } from './rules.ts';

/**
 * Compiles every rule of a schema and says what is wrong with it. `unchanged`: the schema is stored already, so that a rule is
 * not refused for what it costs.
 */
export function checkRuleTexts(schema: SchemaNode, path: string, _unchanged: boolean): FieldError[] {
  const mistakes: FieldError[] = [];
  walk(schema, path, { isResource: true, uncorrelated: undefined }, mistakes);
  return mistakes;
}

interface Place {
  readonly isResource: boolean;
  /** The path of the list or map whose elements cannot be found again. */
  readonly uncorrelated: string | undefined;
}

function walk(schema: SchemaNode, path: string, place: Place, mistakes: FieldError[]): void {
  if (!schema.has.rules) return;
  for (const [index, compiled] of rulesOf(schema, place.isResource).entries()) {
    const at = `${path}.x-kubernetes-validations[${index}]`;
    const { rule } = compiled;
    if (compiled.error) mistakes.push(fieldErrors.invalid(`${at}.rule`, shown(rule), compiled.error));
    if (compiled.messageError)
      mistakes.push(fieldErrors.invalid(`${at}.messageExpression`, shown(rule), compiled.messageError));
    if (compiled.usesOldSelf) {
      if (place.uncorrelated !== undefined)
        mistakes.push(
          fieldErrors.invalid(
            `${at}.rule`,
            rule.rule,
            `oldSelf cannot be used on the uncorrelatable portion of the schema within ${place.uncorrelated}`,
          ),
        );
    } else if (rule.optionalOldSelf !== undefined && !compiled.error)
      mistakes.push(
        fieldErrors.invalid(
          `${at}.optionalOldSelf`,
          rule.optionalOldSelf,
          'may not be set if oldSelf is not used in rule',
        ),
      );
  }
  for (const [name, inner] of schema.properties ?? [])
    walk(inner, `${path}.properties[${name}]`, { ...place, isResource: inner.embedded }, mistakes);
  if (typeof schema.additional === 'object')
    walk(
      schema.additional,
      `${path}.additionalProperties`,
      { ...place, isResource: schema.additional.embedded },
      mistakes,
    );
  if (schema.items) {
    const uncorrelated = place.uncorrelated ?? (schema.listType === 'map' ? undefined : path);
    walk(schema.items, `${path}.items`, { isResource: schema.items.embedded, uncorrelated }, mistakes);
  }
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
