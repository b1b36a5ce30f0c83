import type { CustomResourceDefinition, Kind, KubeObject } from '#api';

/** Of every definition of custom resources; served by a plugin, which a cluster need not have. */
export const definitionKind: Kind<CustomResourceDefinition & KubeObject> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  singular: 'customresourcedefinition',
  namespaced: false,
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  type: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
};
