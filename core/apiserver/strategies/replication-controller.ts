import { fieldErrors, type KubeObject, type ReplicationController, replicationControllerKind } from '#api';
import type { Strategy } from '#sdk';
import { defaultPodSpec } from './pod/defaults.ts';
import { checkPodTemplate } from './pod/validate.ts';
import { ageColumn, column, labelsText, nameColumn, wide } from './rules/columns.ts';
import { firstGeneration, nextGeneration, splitStatus } from './rules/lifecycle.ts';
import { checkMetadata } from './rules/metadata.ts';
import { dnsSubdomainBytes } from './rules/names.ts';
import { checkNotNegative } from './rules/values.ts';

type Controller = ReplicationController & KubeObject;

export const replicationControllerStrategy: Strategy<Controller> = {
  kind: replicationControllerKind,
  subresources: ['status', 'scale'],
  defaults(controller) {
    const spec = (controller.spec ??= {});
    spec.replicas ??= 1;
    if (!spec.template) return;
    if (spec.template.spec) defaultPodSpec(spec.template.spec);
    const labels = spec.template.metadata?.labels;
    if (!labels) return;
    if (!Object.keys(spec.selector ?? {}).length) spec.selector = { ...labels };
    if (!Object.keys(controller.metadata.labels ?? {}).length) controller.metadata.labels = { ...labels };
  },
  prepareForCreate(controller) {
    firstGeneration(controller);
    controller.status = { replicas: 0 };
  },
  prepareForUpdate(next, current, request) {
    splitStatus(next, current, request.subresource);
    nextGeneration(next, current);
  },
  validate(next, current, subresource) {
    const mistakes = checkMetadata(next, current, dnsSubdomainBytes);
    const status = next.status;
    if (subresource === 'status') {
      const replicas = status?.replicas ?? 0;
      for (const name of ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const) {
        checkNotNegative(mistakes, `status.${name}`, status?.[name]);
        if ((status?.[name] ?? 0) > replicas)
          mistakes.push(
            fieldErrors.invalid(`status.${name}`, status?.[name], 'cannot be greater than status.replicas'),
          );
      }
      return mistakes;
    }
    const spec = next.spec ?? {};
    const selector = Object.entries(spec.selector ?? {});
    if (selector.length === 0) mistakes.push(fieldErrors.required('spec.selector'));
    if (!spec.template) mistakes.push(fieldErrors.required('spec.template'));
    else {
      const labels = spec.template.metadata?.labels ?? {};
      if (selector.some(([key, value]) => labels[key] !== value))
        mistakes.push(
          fieldErrors.invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
        );
      checkPodTemplate(mistakes, spec.template, 'spec.template');
      const policy = spec.template.spec?.restartPolicy;
      if (policy !== 'Always')
        mistakes.push(fieldErrors.notSupported('spec.template.spec.restartPolicy', policy ?? '', ['Always']));
      if (spec.template.spec?.activeDeadlineSeconds !== undefined)
        mistakes.push(
          fieldErrors.forbidden(
            'spec.template.spec.activeDeadlineSeconds',
            'activeDeadlineSeconds in ReplicationController is not Supported',
          ),
        );
    }
    checkNotNegative(mistakes, 'spec.replicas', spec.replicas);
    checkNotNegative(mistakes, 'spec.minReadySeconds', spec.minReadySeconds);
    return mistakes;
  },
  selectableFields: (controller) => ({ 'status.replicas': String(controller.status?.replicas ?? 0) }),
  columns: [
    nameColumn,
    column('Desired', 'Pods that should run.', (rc) => rc.spec?.replicas ?? 0, 'integer'),
    column('Current', 'Pods that exist.', (rc) => rc.status?.replicas ?? 0, 'integer'),
    column('Ready', 'Pods that are ready.', (rc) => rc.status?.readyReplicas ?? 0, 'integer'),
    ageColumn,
    wide('Containers', 'Names of the containers in the template.', (rc) =>
      (rc.spec?.template?.spec?.containers ?? []).map((c) => c.name).join(','),
    ),
    wide('Images', 'Images in the template.', (rc) =>
      (rc.spec?.template?.spec?.containers ?? []).map((c) => c.image ?? '').join(','),
    ),
    wide('Selector', 'Labels of the pods it counts.', (rc) => labelsText(rc.spec?.selector)),
  ],
};
