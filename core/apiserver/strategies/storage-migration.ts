import { fieldErrors, type KubeObject, type StorageVersionMigration, storageVersionMigrationKind } from '#api';
import { column, nameColumn } from './rules/columns.ts';
import { dns1035Label, dnsSubdomain } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkImmutable, checkName, type Mistakes } from './rules/values.ts';

type Migration = StorageVersionMigration & KubeObject;
const isTrue = (migration: Readonly<Migration>, type: string): boolean =>
  migration.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;

function checkStatus(mistakes: Mistakes, next: Readonly<Migration>, current: Readonly<Migration>): void {
  const wrong = (why: string) =>
    mistakes.push(fieldErrors.invalid('status.conditions', next.status?.conditions ?? null, why));
  const [version, old] = [next.status?.resourceVersion, current.status?.resourceVersion];
  if (old) checkImmutable(mistakes, 'status.resourceVersion', version ?? '', old);
  if (isTrue(next, 'Succeeded') && isTrue(next, 'Failed'))
    wrong('Both success and failed conditions cannot be true at the same time');
  if (isTrue(current, 'Succeeded') && !isTrue(next, 'Succeeded'))
    wrong('Success condition cannot be set to false once it is true');
  if (isTrue(current, 'Failed') && !isTrue(next, 'Failed'))
    wrong('Failed condition cannot be set to false once it is true');
}

export const storageVersionMigrationStrategy = plainStrategy<Migration>({
  kind: storageVersionMigrationKind,
  needsVersion: true,
  subresources: ['status'],
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') {
      if (current) checkStatus(mistakes, next, current);
      return;
    }
    const { resource, group } = next.spec?.resource ?? {};
    if (!resource) mistakes.push(fieldErrors.required('spec.resource.resource', 'resource is required to be set'));
    else checkName(mistakes, 'spec.resource.resource', resource, dns1035Label);
    if (group) checkName(mistakes, 'spec.resource.group', group, dnsSubdomain);
    if (current) checkImmutable(mistakes, 'spec', next.spec, current.spec);
  },
  columns: [
    { ...nameColumn, format: '' },
    column('Resource', 'What is migrated.', ({ spec }) => {
      const { resource = '', group = '' } = spec?.resource ?? {};
      return group ? `${resource}.${group}` : resource;
    }),
    column('Status', 'How far it is.', ({ status }) => {
      const on = status?.conditions?.find((condition) => condition.status === 'True');
      return on?.type ?? 'Unknown';
    }),
  ],
});
