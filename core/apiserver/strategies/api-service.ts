import { type APIService, apiServiceKind, fieldErrors, type KubeObject } from '#api';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { anyPathSegment } from './rules/metadata.ts';
import { dns1035Label, dnsSubdomain } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkName, checkOneOfUnsorted, checkPort, type Mistakes } from './rules/values.ts';

type Service = APIService & KubeObject;
const httpsPort = 443;

function checkTarget(mistakes: Mistakes, spec: NonNullable<Readonly<Service>['spec']>): void {
  const { service, caBundle = '', insecureSkipTLSVerify = false } = spec;
  const insecure = 'spec.insecureSkipTLSVerify';
  if (!service) {
    if (caBundle)
      mistakes.push(
        fieldErrors.invalid(
          'spec.caBundle',
          `${Buffer.from(caBundle, 'base64').length} bytes`,
          'local APIServices may not have a caBundle',
        ),
      );
    if (insecureSkipTLSVerify)
      mistakes.push(fieldErrors.invalid(insecure, true, 'local APIServices may not have insecureSkipTLSVerify'));
    return;
  }
  if (!service.namespace) mistakes.push(fieldErrors.required('spec.service.namespace'));
  if (!service.name) mistakes.push(fieldErrors.required('spec.service.name'));
  const port: Mistakes = [];
  checkPort(port, 'spec.service.port', service.port ?? httpsPort);
  if (port.length)
    mistakes.push(
      fieldErrors.invalid(
        'spec.service.port',
        service.port,
        'port is not valid: must be between 1 and 65535, inclusive',
      ),
    );
  if (insecureSkipTLSVerify && caBundle)
    mistakes.push(fieldErrors.invalid(insecure, true, 'may not be true if caBundle is present'));
}

const conditionOf = (service: Readonly<Service>) =>
  service.status?.conditions?.find((condition) => condition.type === 'Available');

/** Which group version is served from where. Those of this server are made by itself. */
export const apiServiceStrategy = plainStrategy<Service>({
  kind: apiServiceKind,
  needsVersion: true,
  subresources: ['status'],
  nameRule: anyPathSegment,
  defaults({ spec }) {
    if (spec?.service) spec.service.port ??= httpsPort;
  },
  create(draft) {
    // What this server serves itself is there from the first moment.
    draft.status = draft.spec?.service ? {} : { conditions: [localCondition(draft.metadata.creationTimestamp ?? '')] };
  },
  check(mistakes, next, _current, subresource) {
    if (subresource === 'status') {
      for (const [index, condition] of (next.status?.conditions ?? []).entries())
        checkOneOfUnsorted(mistakes, `status.conditions[${index}].status`, condition.status, [
          'True',
          'False',
          'Unknown',
        ]);
      return;
    }
    const spec = next.spec ?? ({ groupPriorityMinimum: 0, versionPriority: 0 } as NonNullable<Service['spec']>);
    const { group = '', version = '', groupPriorityMinimum = 0, versionPriority = 0 } = spec;
    const needed = `${version}.${group}`;
    if (next.metadata.name && next.metadata.name !== needed)
      mistakes.push(
        fieldErrors.invalid(
          'metadata.name',
          next.metadata.name,
          `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(needed)}`,
        ),
      );
    if (!group && version !== 'v1')
      mistakes.push(fieldErrors.required('spec.group', 'only v1 may have an empty group and it better be legacy kube'));
    if (group) checkName(mistakes, 'spec.group', group, dnsSubdomain);
    checkName(mistakes, 'spec.version', version, dns1035Label);
    if (groupPriorityMinimum <= 0 || groupPriorityMinimum > 20_000)
      mistakes.push(
        fieldErrors.invalid('spec.groupPriorityMinimum', groupPriorityMinimum, 'must be positive and less than 20000'),
      );
    if (versionPriority <= 0 || versionPriority > 1000)
      mistakes.push(
        fieldErrors.invalid('spec.versionPriority', versionPriority, 'must be positive and less than 1000'),
      );
    checkTarget(mistakes, spec);
  },
  columns: [
    nameColumn,
    column('Service', 'Local, or the service that answers.', ({ spec }) =>
      spec?.service ? `${spec.service.namespace ?? ''}/${spec.service.name ?? ''}` : 'Local',
    ),
    column('Available', 'Whether it answers.', (service) => {
      const found = conditionOf(service);
      if (!found) return 'Unknown';
      return found.status === 'True' ? 'True' : `${found.status} (${found.reason ?? ''})`;
    }),
    ageColumn,
  ],
});

const localCondition = (since: string) => ({
  type: 'Available',
  status: 'True',
  lastTransitionTime: since,
  reason: 'Local',
  message: 'Local APIServices are always available',
});
