import {
  type ClusterRole,
  type ClusterRoleBinding,
  clusterRoleBindingKind,
  clusterRoleKind,
  fieldErrors,
  type KubeObject,
  type PolicyRule,
  type RbacSubject,
  type Role,
  type RoleBinding,
  roleBindingKind,
  roleKind,
} from '#api';
import { checkSelector } from './pod/placement.ts';
import { ageColumn, column, createdColumns, nameColumn, wide } from './rules/columns.ts';
import { anyPathSegment } from './rules/metadata.ts';
import { dnsSubdomain } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkName, checkOneOfUnsorted, type Mistakes, sameJson } from './rules/values.ts';

const groupName = 'rbac.authorization.k8s.io';
type Binding = (RoleBinding | ClusterRoleBinding) & KubeObject;

function checkRules(
  mistakes: Mistakes,
  late: Mistakes,
  rules: readonly PolicyRule[] | undefined,
  namespaced: boolean,
): void {
  for (const [index, rule] of (rules ?? []).entries()) {
    const at = `rules[${index}]`;
    if (!rule.verbs?.length) late.push(fieldErrors.required(`${at}.verbs`));
    if (rule.nonResourceURLs?.length) {
      const wrong = (why: string) =>
        mistakes.push(fieldErrors.invalid(`${at}.nonResourceURLs`, rule.nonResourceURLs, why));
      if (namespaced) wrong('namespaced rules cannot apply to non-resource URLs');
      if (rule.apiGroups?.length || rule.resources?.length || rule.resourceNames?.length)
        wrong('rules cannot apply to both regular resources and non-resource URLs');
      continue;
    }
    if (!rule.apiGroups?.length)
      mistakes.push(fieldErrors.required(`${at}.apiGroups`, 'resource rules must supply at least one api group'));
    if (!rule.resources?.length)
      mistakes.push(fieldErrors.required(`${at}.resources`, 'resource rules must supply at least one resource'));
  }
}

function checkSubject(mistakes: Mistakes, subject: Readonly<RbacSubject>, at: string, namespaced: boolean): void {
  const { kind = '', name, apiGroup = '' } = subject;
  if (!name) mistakes.push(fieldErrors.required(`${at}.name`));
  if (kind === 'ServiceAccount') {
    if (name) checkName(mistakes, `${at}.name`, name, dnsSubdomain);
    if (apiGroup) mistakes.push(fieldErrors.notSupported(`${at}.apiGroup`, apiGroup, ['']));
    if (!namespaced && !subject.namespace) mistakes.push(fieldErrors.required(`${at}.namespace`));
  } else if (kind === 'User' || kind === 'Group') {
    if (apiGroup !== groupName) mistakes.push(fieldErrors.notSupported(`${at}.apiGroup`, apiGroup, [groupName]));
  } else checkOneOfUnsorted(mistakes, `${at}.kind`, kind, ['ServiceAccount', 'User', 'Group']);
}

function checkBinding(mistakes: Mistakes, next: Readonly<Binding>, current: Readonly<Binding> | undefined): void {
  const namespaced = next.kind === 'RoleBinding';
  const { apiGroup = '', kind = '', name = '' } = next.roleRef ?? {};
  if (apiGroup !== groupName) mistakes.push(fieldErrors.notSupported('roleRef.apiGroup', apiGroup, [groupName]));
  checkOneOfUnsorted(mistakes, 'roleRef.kind', kind, namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']);
  if (!name) mistakes.push(fieldErrors.required('roleRef.name'));
  else checkName(mistakes, 'roleRef.name', name, anyPathSegment);
  for (const [index, subject] of (next.subjects ?? []).entries())
    checkSubject(mistakes, subject, `subjects[${index}]`, namespaced);
  if (current && !sameJson(next.roleRef, current.roleRef))
    mistakes.push(fieldErrors.invalid('roleRef', next.roleRef, 'field is immutable'));
}

function defaultBinding(binding: Binding): void {
  if (binding.roleRef && !binding.roleRef.apiGroup) binding.roleRef.apiGroup = groupName;
  for (const subject of binding.subjects ?? [])
    if (!subject.apiGroup && (subject.kind === 'User' || subject.kind === 'Group')) subject.apiGroup = groupName;
}

const subjectsText = (binding: Readonly<Binding>, kind: string): string =>
  (binding.subjects ?? [])
    .filter((subject) => subject.kind === kind)
    .map((subject) => (kind === 'ServiceAccount' ? `${subject.namespace ?? ''}/${subject.name}` : subject.name))
    .join(', ');
const bindingColumns = [
  nameColumn,
  column('Role', 'Kind and name of the role that is granted.', (b: Readonly<Binding>) =>
    [b.roleRef.kind, b.roleRef.name].join('/'),
  ),
  ageColumn,
  wide('Users', 'Users that hold the role.', (b: Readonly<Binding>) => subjectsText(b, 'User')),
  wide('Groups', 'Groups that hold the role.', (b: Readonly<Binding>) => subjectsText(b, 'Group')),
  wide('ServiceAccounts', 'Service accounts that hold the role.', (b: Readonly<Binding>) =>
    subjectsText(b, 'ServiceAccount'),
  ),
];

/** A list that JSON never leaves out. */
function nullRules(role: Role | ClusterRole): void {
  if (!role.rules?.length) role.rules = null as unknown as PolicyRule[];
}

export const roleStrategy = plainStrategy<Role & KubeObject>({
  kind: roleKind,
  defaults: nullRules,
  createdByUpdate: true,
  nameRule: anyPathSegment,
  check: (mistakes, next, _current, _part, late) => checkRules(mistakes, late, next.rules, true),
  columns: createdColumns,
});
export const clusterRoleStrategy = plainStrategy<ClusterRole & KubeObject>({
  kind: clusterRoleKind,
  defaults: nullRules,
  createdByUpdate: true,
  nameRule: anyPathSegment,
  check(mistakes, next, _current, _part, late) {
    checkRules(mistakes, late, next.rules, false);
    const selectors = next.aggregationRule?.clusterRoleSelectors;
    const at = 'aggregationRule.clusterRoleSelectors';
    if (next.aggregationRule && !selectors?.length)
      mistakes.push(
        fieldErrors.required(at, 'at least one clusterRoleSelector required if aggregationRule is non-nil'),
      );
    for (const [index, selector] of (selectors ?? []).entries()) {
      const before = mistakes.length;
      checkSelector(mistakes, `${at}[${index}]`, selector);
      if (mistakes.length > before)
        mistakes.push(fieldErrors.invalid(`${at}[${index}]`, null, 'invalid label selector.'));
    }
  },
  columns: createdColumns,
});
export const roleBindingStrategy = plainStrategy<RoleBinding & KubeObject>({
  kind: roleBindingKind,
  createdByUpdate: true,
  nameRule: anyPathSegment,
  defaults: defaultBinding,
  check: checkBinding,
  columns: bindingColumns,
});
export const clusterRoleBindingStrategy = plainStrategy<ClusterRoleBinding & KubeObject>({
  kind: clusterRoleBindingKind,
  createdByUpdate: true,
  nameRule: anyPathSegment,
  defaults: defaultBinding,
  check: checkBinding,
  columns: bindingColumns,
});
