/** Structural schemas: what custom resources are pruned, defaulted, validated and owned by. */

export { checkRuleTexts } from './check-rules.ts';
export { uncorrelated } from './correlate.ts';
export { applyDefaults } from './defaults.ts';
export { definitionKind } from './definition-kind.ts';
export { documentOf } from './document.ts';
export { type FoundPath, followPath } from './field-path.ts';
export { compileSchema, isCheckedFormat, type Rule, type SchemaNode } from './node.ts';
export { ownedFields } from './owned-fields.ts';
export { prune, pruneValue } from './prune.ts';
export { ruleType } from './rule-types.ts';
export { type CompiledRule, checkRules, objectCostMax, ruleCostMax, rulesOf } from './rules.ts';
export { type DefinitionText, type TypesOptions, typesOf } from './typescript.ts';
export { checkUniqueLists } from './unique-lists.ts';
export { noPath, patternMistake, validateValue } from './validate.ts';
