import { fieldErrors, type MatchCondition, type MatchResources, type ParamKind, type ParamRef } from '#api';
import { checkMatchConditions, checkMatchRule } from './admission-webhook.ts';
import { checkSelector } from './pod/placement.ts';
import { anyPathSegment } from './rules/metadata.ts';
import { dnsSubdomain } from './rules/names.ts';
import { checkName, checkOneOf, type Mistakes } from './rules/values.ts';

/** What policies of both sorts share. Expressions are stored as they are; nothing evaluates them yet. */
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
): void {
  checkOneOf(mistakes, 'spec.failurePolicy', spec.failurePolicy, ['Fail', 'Ignore']);
  if (spec.paramKind)
    for (const name of ['apiVersion', 'kind'] as const)
      if (!spec.paramKind[name]) mistakes.push(fieldErrors.required(`spec.paramKind.${name}`));
  if (!spec.matchConstraints) mistakes.push(fieldErrors.required('spec.matchConstraints'));
  else checkMatch(mistakes, 'spec.matchConstraints', spec.matchConstraints, true);
  checkMatchConditions(mistakes, 'spec.matchConditions', spec.matchConditions);
  for (const [index, { name, expression }] of (spec.variables ?? []).entries()) {
    const at = `spec.variables[${index}]`;
    if (!name?.trim()) mistakes.push(fieldErrors.required(`${at}.name`, 'name is not specified'));
    else if (!/^[a-zA-Z_]\w*$/.test(name))
      mistakes.push(fieldErrors.invalid(`${at}.name`, name, 'name is not a valid CEL identifier'));
    if (!expression?.trim()) mistakes.push(fieldErrors.required(`${at}.expression`, 'expression is not specified'));
  }
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
