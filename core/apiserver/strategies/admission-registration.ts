import {
  fieldErrors,
  type KubeObject,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  type MutatingWebhookConfiguration,
  mutatingAdmissionPolicyBindingKind,
  mutatingAdmissionPolicyKind,
  mutatingWebhookConfigurationKind,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
  type ValidatingWebhookConfiguration,
  validatingAdmissionPolicyBindingKind,
  validatingAdmissionPolicyKind,
  validatingWebhookConfigurationKind,
} from '#api';
import {
  checkAuditAnnotations,
  checkMutation,
  checkPolicyBinding,
  checkPolicySpec,
  checkValidation,
  defaultMatch,
} from './admission-policy.ts';
import { checkWebhook, defaultWebhook } from './admission-webhook.ts';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkOneOf, type Mistakes, sameJson } from './rules/values.ts';

type WebhookConfiguration = (MutatingWebhookConfiguration | ValidatingWebhookConfiguration) & KubeObject;

const webhookDifference = {
  generation: false,
  create(draft: WebhookConfiguration) {
    draft.metadata.generation = 1;
  },
  update(next: WebhookConfiguration, current: Readonly<WebhookConfiguration>) {
    const changed = !sameJson(next.webhooks, current.webhooks);
    next.metadata.generation = (current.metadata.generation ?? 0) + (changed ? 1 : 0);
  },
  check(mistakes: Mistakes, next: Readonly<WebhookConfiguration>) {
    const names = new Set<string>();
    for (const [index, hook] of (next.webhooks ?? []).entries()) {
      checkWebhook(mistakes, `webhooks[${index}]`, hook);
      if (names.has(hook.name)) mistakes.push(fieldErrors.duplicate(`webhooks[${index}].name`, hook.name));
      names.add(hook.name);
    }
  },
  columns: [
    nameColumn,
    column(
      'Webhooks',
      'How many there are.',
      (c: Readonly<WebhookConfiguration>) => c.webhooks?.length ?? 0,
      'integer',
    ),
    ageColumn,
  ],
} as const;

export const mutatingWebhookConfigurationStrategy = plainStrategy<MutatingWebhookConfiguration & KubeObject>({
  ...webhookDifference,
  kind: mutatingWebhookConfigurationKind,
  needsVersion: true,
  defaults(draft) {
    for (const hook of draft.webhooks ?? []) {
      defaultWebhook(hook);
      hook.reinvocationPolicy ??= 'Never';
    }
  },
});
export const validatingWebhookConfigurationStrategy = plainStrategy<ValidatingWebhookConfiguration & KubeObject>({
  ...webhookDifference,
  kind: validatingWebhookConfigurationKind,
  needsVersion: true,
  defaults(draft) {
    for (const hook of draft.webhooks ?? []) defaultWebhook(hook);
  },
});

const paramKindColumn = column(
  'ParamKind',
  'Kind of its parameters.',
  ({ spec }: Readonly<ValidatingAdmissionPolicy | MutatingAdmissionPolicy>) =>
    spec?.paramKind ? `${spec.paramKind.apiVersion}/${spec.paramKind.kind}` : '<unset>',
);
export const validatingAdmissionPolicyStrategy = plainStrategy<ValidatingAdmissionPolicy & KubeObject>({
  kind: validatingAdmissionPolicyKind,
  needsVersion: true,
  subresources: ['status'],
  generation: true,
  defaults({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= 'Fail';
    defaultMatch(spec.matchConstraints);
  },
  check(mistakes, { metadata, spec }, _current, subresource) {
    if (subresource === 'status') return;
    const scope = checkPolicySpec(mistakes, spec ?? {});
    if (!spec?.validations?.length && !spec?.auditAnnotations?.length) {
      const why = 'validations or auditAnnotations must contain at least one item';
      mistakes.push(fieldErrors.required('spec.validations', why), fieldErrors.required('spec.auditAnnotations', why));
    }
    for (const [index, validation] of (spec?.validations ?? []).entries())
      checkValidation(mistakes, `spec.validations[${index}]`, validation, scope);
    checkAuditAnnotations(mistakes, metadata.name ?? '', spec?.auditAnnotations ?? [], scope);
  },
  columns: [
    nameColumn,
    column('Validations', 'How many expressions.', ({ spec }) => spec?.validations?.length ?? 0, 'integer'),
    paramKindColumn,
    ageColumn,
  ],
});
export const mutatingAdmissionPolicyStrategy = plainStrategy<MutatingAdmissionPolicy & KubeObject>({
  kind: mutatingAdmissionPolicyKind,
  needsVersion: true,
  generation: true,
  defaults({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= 'Fail';
    defaultMatch(spec.matchConstraints);
  },
  check(mistakes, { spec }) {
    const scope = checkPolicySpec(mistakes, spec ?? {});
    for (const [index, mutation] of (spec?.mutations ?? []).entries())
      checkMutation(mistakes, `spec.mutations[${index}]`, mutation, scope);
    if (!spec?.mutations?.length)
      mistakes.push(fieldErrors.required('spec.mutations', 'mutations must contain at least one item'));
    if (!spec?.reinvocationPolicy) mistakes.push(fieldErrors.required('spec.reinvocationPolicy'));
  },
  columns: [
    nameColumn,
    column('Mutations', 'How many expressions.', ({ spec }) => spec?.mutations?.length ?? 0, 'integer'),
    paramKindColumn,
    ageColumn,
  ],
});

type Binding = Readonly<ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding>;
const bindingColumns = [
  nameColumn,
  column('PolicyName', 'The policy that is put to use.', ({ spec }: Binding) => spec?.policyName ?? ''),
  column('ParamRef', 'Its parameters.', ({ spec }: Binding) => {
    const reference = spec?.paramRef;
    if (!reference) return '<unset>';
    if (reference.name) return `${reference.namespace || '*'}/${reference.name}`;
    return '<unset>';
  }),
  ageColumn,
];
export const validatingAdmissionPolicyBindingStrategy = plainStrategy<ValidatingAdmissionPolicyBinding & KubeObject>({
  kind: validatingAdmissionPolicyBindingKind,
  needsVersion: true,
  generation: true,
  defaults: ({ spec }) => defaultMatch(spec?.matchResources),
  check(mistakes, { spec }) {
    checkPolicyBinding(mistakes, spec ?? {});
    const actions = spec?.validationActions ?? [];
    if (actions.length === 0) mistakes.push(fieldErrors.required('spec.validationActions'));
    for (const [index, action] of actions.entries())
      checkOneOf(mistakes, `spec.validationActions[${index}]`, action, ['Audit', 'Deny', 'Warn']);
    if (actions.includes('Deny') && actions.includes('Warn'))
      mistakes.push(
        fieldErrors.invalid(
          'spec.validationActions',
          actions,
          'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
        ),
      );
  },
  columns: bindingColumns,
});
export const mutatingAdmissionPolicyBindingStrategy = plainStrategy<MutatingAdmissionPolicyBinding & KubeObject>({
  kind: mutatingAdmissionPolicyBindingKind,
  needsVersion: true,
  generation: true,
  defaults: ({ spec }) => defaultMatch(spec?.matchResources),
  check: (mistakes, { spec }) => checkPolicyBinding(mistakes, spec ?? {}),
  columns: bindingColumns,
});
