import {
  fieldErrors,
  type KubeObject,
  type PodDisruptionBudget,
  type PriorityClass,
  podDisruptionBudgetKind,
  priorityClassKind,
  type RuntimeClass,
  runtimeClassKind,
} from '#api';
import { checkSelector, checkTolerations } from './pod/placement.ts';
import { checkAmount, checkContainerResourceName } from './pod/resources.ts';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { checkLabels } from './rules/metadata.ts';
import { dnsLabel } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import {
  checkFixed,
  checkImmutable,
  checkName,
  checkNotNegative,
  checkOneOf,
  checkOneOfUnsorted,
  type Mistakes,
} from './rules/values.ts';

const userPriorityMax = 1_000_000_000;
export const systemPriorityClasses: readonly { name: string; value: number; description: string }[] = [
  {
    name: 'system-node-critical',
    value: 2_000_001_000,
    description: 'For pods that their node cannot do without.',
  },
  {
    name: 'system-cluster-critical',
    value: 2_000_000_000,
    description: 'For pods that the cluster cannot do without, on whichever node.',
  },
];

function systemClassMistake({ metadata, value, globalDefault }: Readonly<PriorityClass>): string | undefined {
  const known = systemPriorityClasses.find(({ name }) => name === metadata.name);
  if (!known) return `${metadata.name} is not a known system priority class`;
  if (known.value !== value) return `value of ${known.name} PriorityClass must be ${known.value}`;
  return globalDefault ? `globalDefault of ${known.name} PriorityClass must be false` : undefined;
}

export const priorityClassStrategy = plainStrategy<PriorityClass & KubeObject>({
  kind: priorityClassKind,
  generation: true,
  defaults(draft) {
    draft.preemptionPolicy ??= 'PreemptLowerPriority';
  },
  check(mistakes, next, current) {
    if (current) {
      if (next.value !== current.value)
        mistakes.push(fieldErrors.forbidden('value', 'may not be changed in an update.'));
      checkImmutable(mistakes, 'preemptionPolicy', next.preemptionPolicy, current.preemptionPolicy);
      return;
    }
    if (next.metadata.name?.startsWith('system-')) {
      const why = systemClassMistake(next);
      if (why)
        mistakes.push(
          fieldErrors.forbidden(
            'metadata.name',
            `priority class names with 'system-' prefix are reserved for system use only. error: ${why}`,
          ),
        );
    } else if ((next.value ?? 0) > userPriorityMax)
      mistakes.push(
        fieldErrors.forbidden('value', `maximum allowed value of a user defined priority is ${userPriorityMax}`),
      );
    checkOneOfUnsorted(mistakes, 'preemptionPolicy', next.preemptionPolicy, ['PreemptLowerPriority', 'Never']);
  },
  columns: [
    nameColumn,
    column('Value', 'The larger, the more important.', (c) => c.value ?? 0, 'integer'),
    column('Global-Default', 'Whether pods without a class get it.', (c) => c.globalDefault ?? false, 'boolean'),
    ageColumn,
    column('PreemptionPolicy', 'Whether it may drive out others.', (c) => c.preemptionPolicy ?? ''),
  ],
});

export const runtimeClassStrategy = plainStrategy<RuntimeClass & KubeObject>({
  kind: runtimeClassKind,
  needsVersion: true,
  createdByUpdate: true,
  check(mistakes, next, current) {
    if (current) {
      checkFixed(mistakes, 'handler', next.handler, current.handler);
      return;
    }
    if (!next.handler) mistakes.push(fieldErrors.required('handler'));
    else checkName(mistakes, 'handler', next.handler, dnsLabel);
    for (const [name, value] of Object.entries(next.overhead?.podFixed ?? {})) {
      checkContainerResourceName(mistakes, `overhead.limits[${name}]`, name);
      checkAmount(mistakes, `overhead.limits[${name}]`, name, value);
    }
    checkLabels(mistakes, next.scheduling?.nodeSelector, 'scheduling.nodeSelector');
    checkTolerations(mistakes, 'scheduling.tolerations', next.scheduling?.tolerations);
  },
  columns: [nameColumn, column('Handler', 'What the node calls it.', (c) => c.handler), ageColumn],
});

function checkAmountOrPercent(mistakes: Mistakes, field: string, value: number | string | undefined): void {
  if (value === undefined) return;
  if (typeof value === 'number') {
    checkNotNegative(mistakes, field, value);
    return;
  }
  if (!/^[0-9]+%$/.test(value))
    mistakes.push(
      fieldErrors.invalid(
        field,
        value,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
      ),
    );
  else if (Number.parseInt(value, 10) > 100)
    mistakes.push(fieldErrors.invalid(field, value, 'must not be greater than 100%'));
}

export const podDisruptionBudgetStrategy = plainStrategy<PodDisruptionBudget & KubeObject>({
  kind: podDisruptionBudgetKind,
  needsVersion: true,
  subresources: ['status'],
  generation: true,
  create(draft) {
    draft.status = { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 };
  },
  check(mistakes, next, _current, subresource) {
    if (subresource === 'status') {
      for (const name of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const)
        checkNotNegative(mistakes, `status.${name}`, next.status?.[name]);
      return;
    }
    const spec = next.spec ?? {};
    if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined)
      mistakes.push(fieldErrors.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set'));
    checkAmountOrPercent(mistakes, 'spec.minAvailable', spec.minAvailable);
    checkAmountOrPercent(mistakes, 'spec.maxUnavailable', spec.maxUnavailable);
    checkSelector(mistakes, 'spec.selector', spec.selector);
    checkOneOf(mistakes, 'spec.unhealthyPodEvictionPolicy', spec.unhealthyPodEvictionPolicy, [
      'AlwaysAllow',
      'IfHealthyBudget',
    ]);
  },
  columns: [
    nameColumn,
    column('Min Available', 'How many must stay.', ({ spec }) => String(spec?.minAvailable ?? 'N/A')),
    column('Max Unavailable', 'How many may be missing.', ({ spec }) => String(spec?.maxUnavailable ?? 'N/A')),
    column('Allowed Disruptions', 'How many may go now.', (b) => b.status?.disruptionsAllowed ?? 0, 'integer'),
    ageColumn,
  ],
});
