import { fieldErrors, type KubeObject, type Lease, leaseKind } from '#api';
import type { Strategy } from '#sdk';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { checkMetadata } from './rules/metadata.ts';
import { checkNotNegative } from './rules/values.ts';

/** Coordinated election is not on; upstream drops its fields, too. */
function dropElection({ spec }: Lease): void {
  delete spec?.strategy;
  delete spec?.preferredHolder;
}

export const leaseStrategy: Strategy<Lease & KubeObject> = {
  kind: leaseKind,
  needsVersion: true,
  createdByUpdate: true,
  subresources: [],
  prepareForCreate: dropElection,
  prepareForUpdate: dropElection,
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    const seconds = next.spec?.leaseDurationSeconds;
    if (seconds !== undefined && seconds <= 0)
      mistakes.push(fieldErrors.invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0'));
    checkNotNegative(mistakes, 'spec.leaseTransitions', next.spec?.leaseTransitions);
    return mistakes;
  },
  columns: [nameColumn, column('Holder', 'Who holds it now.', (lease) => lease.spec?.holderIdentity ?? ''), ageColumn],
};
