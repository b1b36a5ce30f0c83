import {
  type AuditAnnotation,
  fieldErrors,
  type MatchCondition,
  type MatchResources,
  type Mutation,
  type ParamKind,
  type ParamRef,
  type Validation,
} from '#api';
import { type Scope, variableTypes } from '../hooks/dynamic/expressions.ts';
import { checkExpression, checkMatchConditions, checkMatchRule } from './admission-webhook.ts';
import { checkSelector } from './pod/placement.ts';
import { anyPathSegment } from './rules/metadata.ts';
import { dnsSubdomain, qualifiedName } from './rules/names.ts';
import { checkName, checkOneOf, type Mistakes } from './rules/values.ts';

/** What policies of both sorts share. */
export function defaultMatch(match: MatchResources | undefined): void {
  if (!match) return;
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])]) rule.scope ??= '*';
}

function checkMatch(mistakes: Mistakes, at: string, match: Readonly<MatchResources>, rulesNeeded: boolean): void {
  checkOneOf(mistakes, `${at}.matchPolicy`, match.matchPolicy, ['Equivalent', 'Exact']);
  checkSelector(mistakes, `${at}.namespaceSelector`, match.namespaceSelector);
  checkSelector(mistakes, `${at}.objectSelector`, match.objectSelector);
  if (rulesNeeded && !match.resourceRules?.length) mistakes.push(fieldErrors.required(`${at}.resourceRules`));
  for (const list of ['resourceRules', 'excludeResourceRules'] as const)
    for (const [index, rule] of (match[list] ?? []).entries())
      checkMatchRule(mistakes, `${at}.${list}[${index}]`, rule);
}

export function checkPolicySpec(
  mistakes: Mistakes,
  spec: Readonly<{
    failurePolicy?: string;
    matchConstraints?: MatchResources;
    matchConditions?: MatchCondition[];
    paramKind?: ParamKind;
    variables?: readonly { readonly name: string; readonly expression: string }[];
  }>,
): Scope {
  const scope: Scope = { authorizer: true, params: spec.paramKind !== undefined };
  checkOneOf(mistakes, 'spec.failurePolicy', spec.failurePolicy, ['Fail', 'Ignore']);
  if (spec.paramKind)
    for (const name of ['apiVersion', 'kind'] as const)
      if (!spec.paramKind[name]) mistakes.push(fieldErrors.required(`spec.paramKind.${name}`));
  if (!spec.matchConstraints) mistakes.push(fieldErrors.required('spec.matchConstraints'));
  else checkMatch(mistakes, 'spec.matchConstraints', spec.matchConstraints, true);
  checkMatchConditions(mistakes, 'spec.matchConditions', spec.matchConditions, scope);
  const types = variableTypes(spec.variables ?? [], scope);
  const declared = [...types];
  for (const [index, { name, expression }] of (spec.variables ?? []).entries()) {
    const at = `spec.variables[${index}]`;
    if (!name?.trim()) mistakes.push(fieldErrors.required(`${at}.name`, 'name is not specified'));
    else if (!/^[a-zA-Z_]\w*$/.test(name))
      mistakes.push(fieldErrors.invalid(`${at}.name`, name, 'name is not a valid CEL identifier'));
    if (!expression?.trim()) mistakes.push(fieldErrors.required(`${at}.expression`, 'expression is not specified'));
    else {
      const before = { ...scope, variables: new Map(declared.slice(0, index)) };
      checkExpression(mistakes, `${at}.expression`, expression, before, []);
    }
  }
  return { ...scope, ...(declared.length > 0 && { variables: types }) };
}

const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge'];
export function checkValidation(
  mistakes: Mistakes,
  at: string,
  { expression, message, messageExpression, reason }: Readonly<Validation>,
  scope: Scope,
): void {
  if (!expression?.trim()) mistakes.push(fieldErrors.required(`${at}.expression`, 'expression is not specified'));
  else checkExpression(mistakes, `${at}.expression`, expression, scope, ['bool']);
  const empty = 'must be non-empty if specified';
  if (messageExpression && !messageExpression.trim())
    mistakes.push(fieldErrors.invalid(`${at}.messageExpression`, messageExpression, empty));
  else if (messageExpression)
    checkExpression(mistakes, `${at}.messageExpression`, messageExpression, { ...scope, authorizer: false }, [
      'string',
    ]);
  if (message && !message.trim()) mistakes.push(fieldErrors.invalid(`${at}.message`, message, empty));
  else if (message && /[\r\n]/.test(message.trim()))
    mistakes.push(fieldErrors.invalid(`${at}.message`, message, 'must not contain line breaks'));
  if (reason !== undefined) checkOneOf(mistakes, `${at}.reason`, reason, reasons);
}

const annotationsMax = 20;
export function checkAuditAnnotations(
  mistakes: Mistakes,
  policyName: string,
  annotations: readonly AuditAnnotation[],
  scope: Scope,
): void {
  const at = 'spec.auditAnnotations';
  if (annotations.length > annotationsMax)
    mistakes.push(fieldErrors.invalid(at, annotations, `must not have more than ${annotationsMax} auditAnnotations`));
  const keys = new Set<string>();
  for (const [index, { key, valueExpression }] of annotations.entries()) {
    const here = `${at}[${index}]`;
    if (policyName) checkName(mistakes, `${here}.key`, `${policyName}/${key}`, qualifiedName);
    else mistakes.push(fieldErrors.invalid(`${here}.key`, key, 'requires metadata.name be non-empty'));
    if (!valueExpression?.trim())
      mistakes.push(fieldErrors.required(`${here}.valueExpression`, 'valueExpression is not specified'));
    else checkExpression(mistakes, `${here}.valueExpression`, valueExpression, scope, ['string', 'null_type']);
    if (keys.has(key)) mistakes.push(fieldErrors.duplicate(`${here}.key`, key));
    keys.add(key);
  }
}

export function checkMutation(mistakes: Mistakes, at: string, mutation: Readonly<Mutation>, scope: Scope): void {
  const { patchType, applyConfiguration, jsonPatch } = mutation;
  if (!patchType) {
    mistakes.push(fieldErrors.required(`${at}.patchType`));
    return;
  }
  if (patchType !== 'JSONPatch' && patchType !== 'ApplyConfiguration') {
    checkOneOf(mistakes, `${at}.patchType`, patchType, ['ApplyConfiguration', 'JSONPatch']);
    return;
  }
  const isApply = patchType === 'ApplyConfiguration';
  const [name, other] = isApply ? ['applyConfiguration', 'jsonPatch'] : ['jsonPatch', 'applyConfiguration'];
  const given = isApply ? applyConfiguration : jsonPatch;
  const expressions = { ...scope, patches: true };
  if (!given) mistakes.push(fieldErrors.required(`${at}.${name}`, `must be specified when patchType is ${patchType}`));
  else if (!given.expression?.trim()) mistakes.push(fieldErrors.required(`${at}.${name}.expression`));
  else
    checkExpression(mistakes, `${at}.${name}.expression`, given.expression.trim(), expressions, [
      isApply ? 'Object' : 'list(JSONPatch)',
    ]);
  if (isApply ? jsonPatch : applyConfiguration)
    mistakes.push(
      fieldErrors.invalid(`${at}.${other}`, `{${other}}`, `must not be specified when patchType is ${patchType}`),
    );
}

export function checkPolicyBinding(
  mistakes: Mistakes,
  spec: Readonly<{ policyName?: string; paramRef?: ParamRef; matchResources?: MatchResources }>,
): void {
  if (!spec.policyName) mistakes.push(fieldErrors.required('spec.policyName'));
  else checkName(mistakes, 'spec.policyName', spec.policyName, dnsSubdomain);
  const reference = spec.paramRef;
  if (reference) {
    const at = 'spec.paramRef';
    if (reference.name) checkName(mistakes, `${at}.name`, reference.name, anyPathSegment);
    if (reference.name && reference.selector)
      mistakes.push(fieldErrors.forbidden(`${at}.name`, 'name and selector are mutually exclusive'));
    if (!reference.name && !reference.selector)
      mistakes.push(fieldErrors.required(at, 'one of name or selector must be specified'));
    checkSelector(mistakes, `${at}.selector`, reference.selector);
    if (!reference.parameterNotFoundAction) mistakes.push(fieldErrors.required(`${at}.parameterNotFoundAction`));
    else checkOneOf(mistakes, `${at}.parameterNotFoundAction`, reference.parameterNotFoundAction, ['Allow', 'Deny']);
  }
  if (spec.matchResources) checkMatch(mistakes, 'spec.matchResources', spec.matchResources, false);
}
