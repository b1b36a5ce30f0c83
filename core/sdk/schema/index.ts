/** Structural schemas: what custom resources are pruned, defaulted, validated and owned by. */
export { uncorrelated } from './correlate.ts';
export { applyDefaults } from './defaults.ts';
export { type FoundPath, followPath } from './field-path.ts';
export { compileSchema, type Rule, type SchemaNode } from './node.ts';
export { ownedFields } from './owned-fields.ts';
export { prune } from './prune.ts';
export { ruleType } from './rule-types.ts';
export { type CompiledRule, checkRules, objectCostMax, ruleCostMax, rulesOf } from './rules.ts';
export { checkUniqueLists } from './unique-lists.ts';
export { noPath, validateValue } from './validate.ts';
