import { fieldErrors, type KubeObject, type Namespace, namespaceKind } from '#api';
import type { Strategy } from '#sdk';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { splitStatus } from './rules/lifecycle.ts';
import { checkFinalizer, checkMetadata } from './rules/metadata.ts';
import { dnsLabel } from './rules/names.ts';

type NamespaceObject = Namespace & KubeObject;
const nameLabel = 'kubernetes.io/metadata.name';
const labelByName = (namespace: NamespaceObject): void => {
  if (namespace.metadata.name) (namespace.metadata.labels ??= {})[nameLabel] = namespace.metadata.name;
};

export const namespaceStrategy: Strategy<NamespaceObject> = {
  kind: namespaceKind,
  subresources: ['status', 'finalize'],
  defaults(namespace) {
    labelByName(namespace);
    (namespace.status ??= {}).phase ??= 'Active';
  },
  prepareForCreate(namespace) {
    labelByName(namespace);
    namespace.status = { phase: 'Active' };
    const spec = (namespace.spec ??= {});
    if (!spec.finalizers?.includes('kubernetes')) spec.finalizers = [...(spec.finalizers ?? []), 'kubernetes'];
  },
  prepareForUpdate(next, current, request) {
    if (request.subresource === 'finalize') {
      next.status = current.status;
      return;
    }
    splitStatus(next, current, request.subresource);
    // Only /finalize takes finalizers off the spec.
    next.spec = current.spec;
  },
  validate(next, current, subresource) {
    const mistakes = checkMetadata(next, current, dnsLabel);
    for (const finalizer of next.spec?.finalizers ?? []) checkFinalizer(mistakes, finalizer, 'spec.finalizers');
    if (subresource !== 'status') return mistakes;
    const phase = next.status?.phase;
    if (current && next.metadata.deletionTimestamp && phase !== 'Terminating')
      mistakes.push(
        fieldErrors.invalid(
          'status.Phase',
          phase ?? '',
          "may only be 'Terminating' if `deletionTimestamp` is not empty",
        ),
      );
    if (current && !next.metadata.deletionTimestamp && phase === 'Terminating')
      mistakes.push(fieldErrors.invalid('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty"));
    return mistakes;
  },
  selectableFields: (namespace) => ({
    'status.phase': namespace.status?.phase ?? '',
  }),
  columns: [
    nameColumn,
    column('Status', 'Active, or Terminating while it is being emptied.', (namespace) => namespace.status?.phase ?? ''),
    ageColumn,
  ],
};
