import {
  type FlowSchema,
  fieldErrors,
  flowSchemaKind,
  type KubeObject,
  type PolicyRulesWithSubjects,
  type PriorityLevelConfiguration,
  priorityLevelConfigurationKind,
} from '#api';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { dnsLabel, dnsSubdomain } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkName, checkOneOf, type Mistakes } from './rules/values.ts';

type Level = PriorityLevelConfiguration & KubeObject;
const precedenceMax = 10_000;
const queuesMax = 10_000_000;
const verbs = ['get', 'list', 'create', 'update', 'delete', 'deletecollection', 'patch', 'watch', 'proxy'];

function checkVerbs(mistakes: Mistakes, field: string, given: readonly string[] | undefined): void {
  if (!given?.length) mistakes.push(fieldErrors.required(field, 'verbs must contain at least one value'));
  else if (given.includes('*')) checkAlone(mistakes, field, given, 'verbs');
  else if (!given.every((verb) => verbs.includes(verb))) mistakes.push(fieldErrors.notSupported(field, given, verbs));
}
function checkAlone(mistakes: Mistakes, field: string, given: readonly string[] | undefined, what: string): void {
  if (given && given.length > 1 && given.includes('*'))
    mistakes.push(fieldErrors.invalid(field, given, `if '*' is present, must not specify other ${what}`));
}
function checkNeededList(mistakes: Mistakes, field: string, given: readonly string[] | undefined, why: string): void {
  if (!given?.length) mistakes.push(fieldErrors.required(field, why));
}

type Subject = NonNullable<PolicyRulesWithSubjects['subjects']>[number];
function checkSubject(mistakes: Mistakes, at: string, subject: Readonly<Subject>): void {
  const fields = { ServiceAccount: 'serviceAccount', User: 'user', Group: 'group' } as const;
  if (!Object.hasOwn(fields, subject.kind)) {
    checkOneOf(mistakes, `${at}.kind`, subject.kind, Object.keys(fields));
    return;
  }
  for (const [kind, field] of Object.entries(fields)) {
    const given = subject[field];
    if (kind !== subject.kind) {
      if (given)
        mistakes.push(
          fieldErrors.forbidden(`${at}.${field}`, `${field} is forbidden when subject kind is not '${kind}'`),
        );
    } else if (!given)
      mistakes.push(fieldErrors.required(`${at}.${field}`, `${field} is required when subject kind is '${kind}'`));
    else if (!given.name) mistakes.push(fieldErrors.required(`${at}.${field}.name`));
  }
  const account = subject.kind === 'ServiceAccount' ? subject.serviceAccount : undefined;
  if (!account) return;
  if (account.name && account.name !== '*')
    checkName(mistakes, `${at}.serviceAccount.name`, account.name, dnsSubdomain);
  if (account.namespace) checkName(mistakes, `${at}.serviceAccount.namespace`, account.namespace, dnsLabel);
  else
    mistakes.push(fieldErrors.required(`${at}.serviceAccount.namespace`, 'must specify namespace for service account'));
}

function checkRule(mistakes: Mistakes, at: string, rule: Readonly<PolicyRulesWithSubjects>): void {
  if (!rule.subjects?.length)
    mistakes.push(fieldErrors.required(`${at}.subjects`, 'subjects must contain at least one value'));
  for (const [index, subject] of (rule.subjects ?? []).entries())
    checkSubject(mistakes, `${at}.subjects[${index}]`, subject);
  if (!rule.resourceRules?.length && !rule.nonResourceRules?.length)
    mistakes.push(fieldErrors.required(at, 'at least one of resourceRules and nonResourceRules has to be non-empty'));
  for (const [index, resource] of (rule.resourceRules ?? []).entries()) {
    const field = `${at}.resourceRules[${index}]`;
    checkVerbs(mistakes, `${field}.verbs`, resource.verbs);
    checkNeededList(
      mistakes,
      `${field}.apiGroups`,
      resource.apiGroups,
      'resource rules must supply at least one api group',
    );
    checkAlone(mistakes, `${field}.apiGroups`, resource.apiGroups, 'api groups');
    checkNeededList(
      mistakes,
      `${field}.resources`,
      resource.resources,
      'resource rules must supply at least one resource',
    );
    checkAlone(mistakes, `${field}.resources`, resource.resources, 'resources');
    if (!resource.namespaces?.length && !resource.clusterScope)
      mistakes.push(
        fieldErrors.required(
          `${field}.namespaces`,
          'resource rules that are not cluster scoped must supply at least one namespace',
        ),
      );
    checkAlone(mistakes, `${field}.namespaces`, resource.namespaces, 'namespaces');
  }
  for (const [index, path] of (rule.nonResourceRules ?? []).entries()) {
    const field = `${at}.nonResourceRules[${index}]`;
    checkVerbs(mistakes, `${field}.verbs`, path.verbs);
    checkNeededList(
      mistakes,
      `${field}.nonResourceURLs`,
      path.nonResourceURLs,
      'nonResourceURLs must contain at least one value',
    );
    checkAlone(mistakes, `${field}.nonResourceURLs`, path.nonResourceURLs, 'non-resource URLs');
  }
}

export const flowSchemaStrategy = plainStrategy<FlowSchema & KubeObject>({
  kind: flowSchemaKind,
  subresources: ['status'],
  generation: true,
  defaults({ spec }) {
    if (spec) spec.matchingPrecedence ||= 1000;
  },
  check(mistakes, { metadata, spec }, _current, subresource) {
    if (subresource === 'status' || !spec) return;
    const precedence = spec.matchingPrecedence ?? 0;
    const wrong = (why: string) => mistakes.push(fieldErrors.invalid('spec.matchingPrecedence', precedence, why));
    if (precedence <= 0) wrong('must be a positive value');
    if (precedence > precedenceMax) wrong(`must not be greater than ${precedenceMax}`);
    if (precedence === 1 && metadata.name !== 'exempt')
      wrong("only the schema named 'exempt' may have matchingPrecedence 1");
    if (spec.distinguisherMethod)
      checkOneOf(mistakes, 'spec.distinguisherMethod.type', spec.distinguisherMethod.type, ['ByNamespace', 'ByUser']);
    const level = spec.priorityLevelConfiguration?.name;
    if (!level)
      mistakes.push(fieldErrors.required('spec.priorityLevelConfiguration.name', 'must reference a priority level'));
    else checkName(mistakes, 'spec.priorityLevelConfiguration.name', level, dnsSubdomain);
    for (const [index, rule] of (spec.rules ?? []).entries()) checkRule(mistakes, `spec.rules[${index}]`, rule);
  },
  columns: [
    nameColumn,
    column('PriorityLevel', 'Where its requests go.', (s) => s.spec?.priorityLevelConfiguration?.name ?? ''),
    column('MatchingPrecedence', 'The smaller, the earlier.', (s) => s.spec?.matchingPrecedence ?? 0),
    column('DistinguisherMethod', 'How flows are told apart.', (s) => s.spec?.distinguisherMethod?.type ?? '<none>'),
    ageColumn,
    column(
      'MissingPL',
      'Whether that level is missing.',
      (s) => s.status?.conditions?.find((condition) => condition.type === 'Dangling')?.status ?? '?',
    ),
  ],
});

function checkLimited(mistakes: Mistakes, limited: NonNullable<NonNullable<Level['spec']>['limited']>): void {
  const at = 'spec.limited';
  const { nominalConcurrencyShares = 0, lendablePercent = 0, borrowingLimitPercent, limitResponse } = limited;
  const wrong = (field: string, value: unknown, why: string) =>
    mistakes.push(fieldErrors.invalid(`${at}.${field}`, value, why));
  if (nominalConcurrencyShares < 0)
    wrong('nominalConcurrencyShares', nominalConcurrencyShares, 'must be a non-negative integer');
  if (lendablePercent < 0 || lendablePercent > 100)
    wrong('lendablePercent', lendablePercent, 'must be between 0 and 100, inclusive');
  if (borrowingLimitPercent !== undefined && borrowingLimitPercent < 0)
    wrong('borrowingLimitPercent', borrowingLimitPercent, 'if specified, must be a non-negative integer');
  const { type, queuing } = limitResponse ?? {};
  if (!type) mistakes.push(fieldErrors.required(`${at}.limitResponse.type`));
  else checkOneOf(mistakes, `${at}.limitResponse.type`, type, ['Queue', 'Reject']);
  const place = 'limitResponse.queuing';
  if (type === 'Reject' && queuing)
    mistakes.push(fieldErrors.forbidden(`${at}.${place}`, 'must be nil if limited.limitResponse.type is not Limited'));
  if (type !== 'Queue') return;
  if (!queuing) {
    mistakes.push(fieldErrors.required(`${at}.${place}`));
    return;
  }
  const { queueLengthLimit = 0, queues = 0, handSize = 0 } = queuing;
  if (queueLengthLimit <= 0) wrong(`${place}.queueLengthLimit`, queueLengthLimit, 'must be positive');
  if (queues <= 0) wrong(`${place}.queues`, queues, 'must be positive');
  else if (queues > queuesMax) wrong(`${place}.queues`, queues, `must not be greater than ${queuesMax}`);
  if (handSize <= 0) wrong(`${place}.handSize`, handSize, 'must be positive');
  else if (handSize > queues) wrong(`${place}.handSize`, handSize, `should not be greater than queues (${queues})`);
}

export const priorityLevelStrategy = plainStrategy<Level>({
  kind: priorityLevelConfigurationKind,
  subresources: ['status'],
  generation: true,
  defaults({ spec }) {
    if (spec?.exempt) {
      spec.exempt.nominalConcurrencyShares ??= 0;
      spec.exempt.lendablePercent ??= 0;
    }
    if (!spec?.limited) return;
    spec.limited.nominalConcurrencyShares ??= 30;
    spec.limited.lendablePercent ??= 0;
    const queuing = spec.limited.limitResponse?.queuing;
    if (!queuing) return;
    queuing.handSize ||= 8;
    queuing.queues ||= 64;
    queuing.queueLengthLimit ||= 50;
  },
  check(mistakes, { metadata, spec }, _current, subresource) {
    if (subresource === 'status' || !spec) return;
    if ((metadata.name === 'exempt') !== (spec.type === 'Exempt'))
      mistakes.push(
        fieldErrors.invalid('spec.type', spec.type ?? '', "must be 'Exempt' if and only if `name` is 'exempt'"),
      );
    if (spec.type === 'Exempt') {
      if (spec.limited) mistakes.push(fieldErrors.forbidden('spec.limited', 'must be nil if the type is not Limited'));
    } else if (spec.type === 'Limited') {
      if (spec.exempt) mistakes.push(fieldErrors.forbidden('spec.exempt', 'must be nil if the type is Limited'));
      if (spec.limited) checkLimited(mistakes, spec.limited);
      else mistakes.push(fieldErrors.required('spec.limited'));
    } else if (!spec.type) mistakes.push(fieldErrors.required('spec.type'));
    else checkOneOf(mistakes, 'spec.type', spec.type, ['Exempt', 'Limited']);
  },
  columns: [
    nameColumn,
    column('Type', 'Exempt or Limited.', ({ spec }) => spec?.type ?? ''),
    column(
      'NominalConcurrencyShares',
      'Its share of the seats.',
      ({ spec }) => spec?.limited?.nominalConcurrencyShares ?? '<none>',
    ),
    column('Queues', 'How many queues.', ({ spec }) => spec?.limited?.limitResponse?.queuing?.queues ?? '<none>'),
    column(
      'HandSize',
      'Queues a flow may use.',
      ({ spec }) => spec?.limited?.limitResponse?.queuing?.handSize ?? '<none>',
    ),
    column(
      'QueueLengthLimit',
      'How long a queue may grow.',
      ({ spec }) => spec?.limited?.limitResponse?.queuing?.queueLengthLimit ?? '<none>',
    ),
    ageColumn,
  ],
});
