import {
  fieldErrors,
  type LabelSelector,
  type NodeSelectorRequirement,
  type NodeSelectorTerm,
  type PodAffinityTerm,
  type PodSpec,
  type Toleration,
} from '#api';
import { checkLabels } from '../rules/metadata.ts';
import { qualifiedName } from '../rules/names.ts';
import { checkName, checkOneOf, checkOneOfUnsorted, type Mistakes } from '../rules/values.ts';

const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

export function checkTolerations(
  mistakes: Mistakes,
  field: string,
  tolerations: readonly Toleration[] | undefined,
): void {
  for (const [index, toleration] of (tolerations ?? []).entries()) {
    const at = `${field}[${index}]`;
    if (toleration.key) checkName(mistakes, `${at}.key`, toleration.key, qualifiedName);
    if (!toleration.key && toleration.operator !== 'Exists')
      mistakes.push(
        fieldErrors.invalid(
          `${at}.operator`,
          toleration.operator ?? '',
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    if (toleration.tolerationSeconds !== undefined && toleration.effect !== 'NoExecute')
      mistakes.push(
        fieldErrors.invalid(
          `${at}.effect`,
          toleration.effect ?? '',
          "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
      );
    if (toleration.operator === 'Exists' && toleration.value)
      mistakes.push(
        fieldErrors.invalid(`${at}.operator`, toleration.value, "value must be empty when `operator` is 'Exists'"),
      );
    if (toleration.operator) checkOneOfUnsorted(mistakes, `${at}.operator`, toleration.operator, ['Equal', 'Exists']);
    if (toleration.effect) checkOneOfUnsorted(mistakes, `${at}.effect`, toleration.effect, effects);
  }
}

function checkRequirement(mistakes: Mistakes, at: string, requirement: Readonly<NodeSelectorRequirement>): void {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0)
        mistakes.push(fieldErrors.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0)
        mistakes.push(
          fieldErrors.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        );
      break;
    case 'Gt':
    case 'Lt':
      if (values.length !== 1)
        mistakes.push(
          fieldErrors.required(`${at}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"),
        );
      break;
    default:
      mistakes.push(fieldErrors.invalid(`${at}.operator`, requirement.operator ?? '', 'not a valid selector operator'));
  }
  checkName(mistakes, `${at}.key`, requirement.key, qualifiedName);
}
function checkTerm(mistakes: Mistakes, at: string, term: Readonly<NodeSelectorTerm>): void {
  for (const [index, requirement] of (term.matchExpressions ?? []).entries())
    checkRequirement(mistakes, `${at}.matchExpressions[${index}]`, requirement);
  for (const [index, requirement] of (term.matchFields ?? []).entries()) {
    const field = `${at}.matchFields[${index}]`;
    if (requirement.operator !== 'In' && requirement.operator !== 'NotIn')
      mistakes.push(fieldErrors.invalid(`${field}.operator`, requirement.operator, 'not a valid selector operator'));
    else if (requirement.values?.length !== 1)
      mistakes.push(
        fieldErrors.required(
          `${field}.values`,
          "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
      );
    if (requirement.key !== 'metadata.name')
      mistakes.push(fieldErrors.invalid(`${field}.key`, requirement.key, 'not a valid field selector key'));
  }
}

const checkWeight = (mistakes: Mistakes, at: string, weight: number): void => {
  if (!(weight >= 1 && weight <= 100))
    mistakes.push(fieldErrors.invalid(`${at}.weight`, weight, 'must be in the range 1-100'));
};
function checkPodTerm(mistakes: Mistakes, at: string, term: Readonly<PodAffinityTerm>): void {
  checkSelector(mistakes, `${at}.labelSelector`, term.labelSelector);
  checkSelector(mistakes, `${at}.namespaceSelector`, term.namespaceSelector);
  if (!term.topologyKey) mistakes.push(fieldErrors.required(`${at}.topologyKey`, 'can not be empty'));
  else checkName(mistakes, `${at}.topologyKey`, term.topologyKey, qualifiedName);
}
export function checkSelector(mistakes: Mistakes, at: string, selector: Readonly<LabelSelector> | undefined): void {
  if (!selector) return;
  checkLabels(mistakes, selector.matchLabels, `${at}.matchLabels`);
  for (const [index, requirement] of (selector.matchExpressions ?? []).entries()) {
    const field = `${at}.matchExpressions[${index}]`;
    const many = requirement.values?.length ?? 0;
    if (['In', 'NotIn'].includes(requirement.operator)) {
      if (many === 0)
        mistakes.push(fieldErrors.required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (['Exists', 'DoesNotExist'].includes(requirement.operator)) {
      if (many > 0)
        mistakes.push(
          fieldErrors.forbidden(
            `${field}.values`,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
          ),
        );
    } else
      mistakes.push(fieldErrors.invalid(`${field}.operator`, requirement.operator, 'not a valid selector operator'));
    checkName(mistakes, `${field}.key`, requirement.key, qualifiedName);
  }
}

export function checkAffinity(
  mistakes: Mistakes,
  field: string,
  affinity: Readonly<NonNullable<PodSpec['affinity']>> | undefined,
): void {
  const node = affinity?.nodeAffinity;
  const required = node?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required) {
    const at = `${field}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`;
    if (!required.nodeSelectorTerms?.length)
      mistakes.push(fieldErrors.required(at, 'must have at least one node selector term'));
    for (const [index, term] of (required.nodeSelectorTerms ?? []).entries())
      checkTerm(mistakes, `${at}[${index}]`, term);
  }
  for (const [index, term] of (node?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
    const at = `${field}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
    checkWeight(mistakes, at, term.weight);
    checkTerm(mistakes, `${at}.preference`, term.preference);
  }
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const terms = affinity?.[kind];
    for (const [index, term] of (terms?.requiredDuringSchedulingIgnoredDuringExecution ?? []).entries())
      checkPodTerm(mistakes, `${field}.${kind}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`, term);
    for (const [index, term] of (terms?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
      const at = `${field}.${kind}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
      checkWeight(mistakes, at, term.weight);
      checkPodTerm(mistakes, `${at}.podAffinityTerm`, term.podAffinityTerm);
    }
  }
}

export function checkSpread(
  mistakes: Mistakes,
  field: string,
  constraints: PodSpec['topologySpreadConstraints'],
): void {
  for (const [index, constraint] of (constraints ?? []).entries()) {
    const at = `${field}[${index}]`;
    if (constraint.maxSkew <= 0)
      mistakes.push(fieldErrors.invalid(`${at}.maxSkew`, constraint.maxSkew, 'must be greater than zero'));
    if (!constraint.topologyKey) mistakes.push(fieldErrors.required(`${at}.topologyKey`, 'can not be empty'));
    else checkName(mistakes, `${at}.topologyKey`, constraint.topologyKey, qualifiedName);
    checkOneOf(mistakes, `${at}.whenUnsatisfiable`, constraint.whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway']);
    checkSelector(mistakes, `${at}.labelSelector`, constraint.labelSelector);
  }
}
