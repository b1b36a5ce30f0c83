import {
  type Column,
  type FieldError,
  fieldErrors,
  type LabelSelector,
  matchesLabels,
  type PodTemplateSpec,
  type Strategy,
  type StrategyKit,
  selectorOf,
} from '#sdk';
import type { Deployment, ReplicaSet } from './kinds.ts';
import { deploymentKind, replicaSetKind } from './kinds.ts';

interface Owner {
  readonly replicas?: number;
  readonly minReadySeconds?: number;
  readonly selector?: LabelSelector;
  readonly template?: PodTemplateSpec;
}
const isEmpty = (selector: LabelSelector | undefined): boolean =>
  Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions?.length ?? 0) === 0;

/** What a replica set and a deployment have in common. */
function checkOwner(kit: StrategyKit, mistakes: FieldError[], spec: Owner, kind: string): void {
  kit.checkNotNegative(mistakes, 'spec.replicas', spec.replicas);
  if (!spec.selector) mistakes.push(fieldErrors.required('spec.selector'));
  else {
    kit.checkSelector(mistakes, 'spec.selector', spec.selector);
    if (isEmpty(spec.selector))
      mistakes.push(fieldErrors.invalid('spec.selector', spec.selector, `empty selector is invalid for ${kind}`));
  }
  kit.checkNotNegative(mistakes, 'spec.minReadySeconds', spec.minReadySeconds);
  const template = spec.template ?? {};
  const labels = template.metadata?.labels ?? {};
  if (spec.selector && !isEmpty(spec.selector) && !matchesLabels(selectorOf(spec.selector), labels))
    mistakes.push(
      fieldErrors.invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
    );
  kit.checkPodTemplate(mistakes, template, 'spec.template');
  const policy = template.spec?.restartPolicy;
  if (policy !== undefined && policy !== 'Always')
    mistakes.push(fieldErrors.notSupported('spec.template.spec.restartPolicy', policy, ['Always']));
  if (template.spec?.activeDeadlineSeconds !== undefined)
    mistakes.push(
      fieldErrors.forbidden(
        'spec.template.spec.activeDeadlineSeconds',
        `activeDeadlineSeconds in ${kind === 'deployment' ? 'Deployment' : 'ReplicaSet'} is not Supported`,
      ),
    );
}
const sameSelector = (mistakes: FieldError[], next: Owner, current: Owner | undefined): void => {
  if (current && JSON.stringify(next.selector) !== JSON.stringify(current.selector))
    mistakes.push(fieldErrors.invalid('spec.selector', next.selector, 'field is immutable'));
};
function checkCounts(
  kit: StrategyKit,
  mistakes: FieldError[],
  status: Readonly<Record<string, unknown>> | undefined,
  parts: readonly string[],
): void {
  const replicas = Number(status?.['replicas'] ?? 0);
  kit.checkNotNegative(mistakes, 'status.replicas', replicas);
  for (const part of parts) {
    const count = status?.[part] as number | undefined;
    kit.checkNotNegative(mistakes, `status.${part}`, count);
    if ((count ?? 0) > replicas)
      mistakes.push(fieldErrors.invalid(`status.${part}`, count, 'cannot be greater than status.replicas'));
  }
}

const containersOf = (owner: { spec?: Owner }) => owner.spec?.template?.spec?.containers ?? [];
const wideColumns = (kit: StrategyKit): Column<never>[] => [
  kit.wide('Containers', 'Names of the containers in the template.', (owner: { spec?: Owner }) =>
    containersOf(owner)
      .map(({ name }) => name)
      .join(','),
  ),
  kit.wide('Images', 'Images in the template.', (owner: { spec?: Owner }) =>
    containersOf(owner)
      .map(({ image }) => image ?? '')
      .join(','),
  ),
  kit.wide('Selector', 'Labels of the pods it counts.', (owner: { spec?: Owner }) =>
    kit.selectorText(owner.spec?.selector),
  ),
];

export const replicaSetStrategy = (kit: StrategyKit): Strategy<ReplicaSet> =>
  kit.strategy<ReplicaSet>({
    kind: replicaSetKind,
    subresources: ['status', 'scale'],
    generation: true,
    defaults({ spec }) {
      if (!spec) return;
      spec.replicas ??= 1;
      if (spec.template) kit.defaultPodTemplate(spec.template);
    },
    create(draft) {
      draft.status = { replicas: 0 };
    },
    check(mistakes, next, current, subresource) {
      if (subresource === 'status')
        return checkCounts(kit, mistakes, next.status as never, [
          'fullyLabeledReplicas',
          'readyReplicas',
          'availableReplicas',
        ]);
      checkOwner(kit, mistakes, (next.spec ?? {}) as Owner, 'replicaset');
      sameSelector(mistakes, (next.spec ?? {}) as Owner, current?.spec as Owner | undefined);
    },
    fields: ({ status }) => ({ 'status.replicas': String(status?.replicas ?? 0) }),
    columns: [
      kit.nameColumn as Column<ReplicaSet>,
      kit.column<ReplicaSet>('Desired', 'Pods that should run.', ({ spec }) => spec?.replicas ?? 0, 'integer'),
      kit.column<ReplicaSet>('Current', 'Pods that exist.', ({ status }) => status?.replicas ?? 0, 'integer'),
      kit.column<ReplicaSet>('Ready', 'Pods that are ready.', ({ status }) => status?.readyReplicas ?? 0, 'integer'),
      kit.ageColumn as Column<ReplicaSet>,
      ...(wideColumns(kit) as unknown as Column<ReplicaSet>[]),
    ],
  });

export const deploymentStrategy = (kit: StrategyKit): Strategy<Deployment> =>
  kit.strategy<Deployment>({
    kind: deploymentKind,
    subresources: ['status', 'scale'],
    generation: true,
    defaults({ spec }) {
      if (!spec) return;
      spec.replicas ??= 1;
      spec.strategy ??= {};
      spec.strategy.type ??= 'RollingUpdate';
      if (spec.strategy.type === 'RollingUpdate') {
        spec.strategy.rollingUpdate ??= {};
        spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
        spec.strategy.rollingUpdate.maxSurge ??= '25%';
      }
      spec.revisionHistoryLimit ??= 10;
      spec.progressDeadlineSeconds ??= 600;
      if (spec.template) kit.defaultPodTemplate(spec.template);
    },
    check(mistakes, next, current, subresource) {
      if (subresource === 'status')
        return checkCounts(kit, mistakes, next.status as never, [
          'updatedReplicas',
          'readyReplicas',
          'availableReplicas',
        ]);
      checkOwner(kit, mistakes, (next.spec ?? {}) as Owner, 'deployment');
      checkRollout(kit, mistakes, next);
      sameSelector(mistakes, (next.spec ?? {}) as Owner, current?.spec as Owner | undefined);
    },
    columns: [
      kit.nameColumn as Column<Deployment>,
      kit.column<Deployment>(
        'Ready',
        'Pods that are ready, of those wanted.',
        ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
      ),
      kit.column<Deployment>(
        'Up-to-date',
        'Pods of the template as it is now.',
        ({ status }) => status?.updatedReplicas ?? 0,
      ),
      kit.column<Deployment>(
        'Available',
        'Pods that have been ready for long enough.',
        ({ status }) => status?.availableReplicas ?? 0,
      ),
      kit.ageColumn as Column<Deployment>,
      ...(wideColumns(kit) as unknown as Column<Deployment>[]),
    ],
  });

function checkRollout(kit: StrategyKit, mistakes: FieldError[], { spec }: Readonly<Deployment>): void {
  const { type, rollingUpdate } = spec?.strategy ?? {};
  if (type === 'Recreate' && rollingUpdate)
    mistakes.push(
      fieldErrors.forbidden('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'"),
    );
  if (type !== 'Recreate' && type !== 'RollingUpdate')
    mistakes.push(fieldErrors.notSupported('spec.strategy.type', type ?? '', ['Recreate', 'RollingUpdate']));
  if (type === 'RollingUpdate') {
    const { maxSurge = 0, maxUnavailable = 0 } = rollingUpdate ?? {};
    for (const [name, value] of [
      ['maxUnavailable', maxUnavailable],
      ['maxSurge', maxSurge],
    ] as const) {
      const path = `spec.strategy.rollingUpdate.${name}`;
      if (typeof value === 'number') kit.checkNotNegative(mistakes, path, value);
      else if (!/^[0-9]+%$/.test(value))
        mistakes.push(
          fieldErrors.invalid(
            path,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
          ),
        );
    }
    if (/^0%?$/.test(String(maxUnavailable)) && /^0%?$/.test(String(maxSurge)))
      mistakes.push(
        fieldErrors.invalid(
          'spec.strategy.rollingUpdate.maxUnavailable',
          maxUnavailable,
          'may not be 0 when `maxSurge` is 0',
        ),
      );
  }
  kit.checkNotNegative(mistakes, 'spec.revisionHistoryLimit', spec?.revisionHistoryLimit);
  const deadline = spec?.progressDeadlineSeconds;
  kit.checkNotNegative(mistakes, 'spec.progressDeadlineSeconds', deadline);
  if (deadline !== undefined && deadline <= (spec?.minReadySeconds ?? 0))
    mistakes.push(
      fieldErrors.invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'),
    );
}
