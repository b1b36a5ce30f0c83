import type { Kind, KubeObject } from '#sdk';
import type * as t from './gen/types.ts';

const group = { group: 'apps', version: 'v1', namespaced: true, categories: ['all'] } as const;

export type Deployment = t.Deployment & KubeObject;
export type ReplicaSet = t.ReplicaSet & KubeObject;
export const deploymentKind: Kind<Deployment> = {
  ...group,
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
  type: 'io.k8s.api.apps.v1.Deployment',
};
export const replicaSetKind: Kind<ReplicaSet> = {
  ...group,
  kind: 'ReplicaSet',
  plural: 'replicasets',
  singular: 'replicaset',
  shortNames: ['rs'],
  type: 'io.k8s.api.apps.v1.ReplicaSet',
};
