import { type KubeObject, type ServiceAccount, serviceAccountKind } from '#api';
import type { Strategy } from '#sdk';
import { ageColumn, nameColumn } from './rules/columns.ts';
import { checkMetadata } from './rules/metadata.ts';

export const serviceAccountStrategy: Strategy<ServiceAccount & KubeObject> = {
  kind: serviceAccountKind,
  answersDeleted: true,
  subresources: ['token'],
  prepareForCreate() {},
  prepareForUpdate() {},
  validate: (next, current) => checkMetadata(next, current),
  columns: [nameColumn, ageColumn],
};
