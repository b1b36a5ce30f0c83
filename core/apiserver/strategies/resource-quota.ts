import { fieldErrors, type KubeObject, type Quantity, type ResourceQuota, resourceQuotaKind } from '#api';
import { tableOf } from '#base';
import { checkAmount } from './pod/resources.ts';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { qualifiedName } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkName, type Mistakes } from './rules/values.ts';

type Quota = ResourceQuota & KubeObject;
type Spec = NonNullable<Quota['spec']>;
const compute = ['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory'];
const standard = new Set([
  ...compute,
  'ephemeral-storage',
  'requests.storage',
  'requests.ephemeral-storage',
  'limits.ephemeral-storage',
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'persistentvolumeclaims',
  'configmaps',
  'services.nodeports',
  'services.loadbalancers',
]);
const podScopes = ['Terminating', 'NotTerminating', 'NotBestEffort', 'PriorityClass', 'CrossNamespacePodAffinity'];
/** Which resources a scope can narrow. */
const scopeResources = tableOf<ReadonlySet<string>>({
  ...Object.fromEntries(podScopes.map((scope) => [scope, new Set(['pods', ...compute])])),
  BestEffort: new Set(['pods']),
  VolumeAttributesClass: new Set(['persistentvolumeclaims', 'requests.storage']),
});
const needExists = new Set([
  'BestEffort',
  'NotBestEffort',
  'Terminating',
  'NotTerminating',
  'CrossNamespacePodAffinity',
]);

function checkAmounts(mistakes: Mistakes, at: string, amounts: Readonly<Record<string, Quantity>> | undefined): void {
  for (const [name, value] of Object.entries(amounts ?? {})) {
    const field = `${at}[${name}]`;
    checkName(mistakes, field, name, qualifiedName);
    const huge = /^(requests\.)?hugepages-/.test(name);
    if (!name.includes('/') && !standard.has(name) && !huge)
      mistakes.push(fieldErrors.invalid(field, name, 'must be a standard resource type or fully qualified'));
    if (!name.includes('/') && !standard.has(name) && !huge)
      mistakes.push(fieldErrors.invalid(field, name, 'must be a standard resource for quota'));
    checkAmount(mistakes, field, name, value);
  }
}

function checkScopes(mistakes: Mistakes, spec: Readonly<Spec>): void {
  const hard = Object.keys(spec.hard ?? {}).sort();
  const fits = (scope: string) =>
    hard.every((name) => !standard.has(name) || (scopeResources[scope]?.has(name) ?? true));
  const conflict = (scopes: readonly string[]) =>
    [
      ['BestEffort', 'NotBestEffort'],
      ['Terminating', 'NotTerminating'],
    ].filter((pair) => pair.every((scope) => scopes.includes(scope)));
  const at = 'spec.scopes';
  const wrong = (field: string, value: unknown, why: string) => mistakes.push(fieldErrors.invalid(field, value, why));
  for (const scope of spec.scopes ?? []) {
    if (!scopeResources[scope]) wrong(at, spec.scopes, 'unsupported scope');
    if (!fits(scope)) wrong(at, spec.scopes, 'unsupported scope applied to resource');
  }
  for (const _pair of conflict(spec.scopes ?? [])) wrong(at, spec.scopes, 'conflicting scopes');
  const terms = spec.scopeSelector?.matchExpressions ?? [];
  const inner = 'spec.scopeSelector.matchExpressions';
  for (const { scopeName, operator, values } of terms) {
    if (!scopeResources[scopeName]) wrong(`${inner}.scopeName`, scopeName, 'unsupported scope');
    if (!fits(scopeName)) wrong(inner, spec.scopeSelector, 'unsupported scope applied to resource');
    if (needExists.has(scopeName) && operator !== 'Exists')
      wrong(
        `${inner}.operator`,
        operator,
        "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
      );
    if (operator === 'In' || operator === 'NotIn') {
      if (!values?.length)
        mistakes.push(
          fieldErrors.required(
            `${inner}.values`,
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
          ),
        );
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values?.length)
        wrong(
          `${inner}.values`,
          values,
          "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        );
    } else wrong(`${inner}.operator`, operator, 'not a valid selector operator');
  }
  for (const _pair of conflict(terms.map((term) => term.scopeName)))
    wrong(inner, spec.scopes ?? null, 'conflicting scopes');
}

const amountsText = (quota: Readonly<Quota>, limits: boolean): string =>
  Object.entries(quota.status?.hard ?? {})
    .filter(([name]) => name.startsWith('limits.') === limits)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => `${name}: ${quota.status?.used?.[name] ?? '0'}/${hard}`)
    .join(', ');

export const resourceQuotaStrategy = plainStrategy<Quota>({
  kind: resourceQuotaKind,
  answersDeleted: true,
  subresources: ['status'],
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') {
      checkAmounts(mistakes, 'status.hard', next.status?.hard);
      checkAmounts(mistakes, 'status.used', next.status?.used);
      return;
    }
    checkAmounts(mistakes, 'spec.hard', next.spec?.hard);
    checkScopes(mistakes, next.spec ?? {});
    const set = (quota: Readonly<Quota>) => [...new Set(quota.spec?.scopes ?? [])].sort().join();
    if (current && set(next) !== set(current))
      mistakes.push(fieldErrors.invalid('spec.scopes', next.spec?.scopes ?? null, 'field is immutable'));
  },
  columns: [
    nameColumn,
    column('Request', 'Used and allowed, of what is counted or requested.', (quota) => amountsText(quota, false)),
    column('Limit', 'Used and allowed, of limits.', (quota) => amountsText(quota, true)),
    ageColumn,
  ],
});
