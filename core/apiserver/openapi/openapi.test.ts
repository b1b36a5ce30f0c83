import { expect, test } from 'bun:test';
import type { ServedKind } from '../contract.ts';
import { strategies } from '../strategies/index.ts';
import { openApi } from './openapi.ts';

const kinds: ServedKind[] = strategies.map((strategy) => ({ kind: strategy.kind, strategy }));
type Document = {
  paths: Record<string, Record<string, { parameters: { name: string }[]; 'x-kubernetes-group-version-kind': unknown }>>;
  components: { schemas: Record<string, Record<string, unknown>> };
};

const documentOf = (group: string, version: string): Document =>
  JSON.parse([...openApi.openApiV3(group, version, kinds)].join('')) as Document;

test('PATCH says that the server validates fields, which is what kubectl asks for', () => {
  const document = documentOf('', 'v1');
  const patch = document.paths['/api/v1/namespaces/{namespace}/pods/{name}']!['patch']!;
  expect(patch.parameters.map((parameter) => parameter.name)).toContain('fieldValidation');
  expect(patch['x-kubernetes-group-version-kind']).toEqual({ group: '', version: 'v1', kind: 'Pod' });
  expect(document.paths['/api/v1/nodes/{name}']).toBeDefined();
});

test('every reference has its schema', () => {
  for (const [group, version] of [
    ['', 'v1'],
    ['discovery.k8s.io', 'v1'],
    ['coordination.k8s.io', 'v1'],
  ] as const) {
    const document = documentOf(group, version);
    const text = JSON.stringify(document);
    for (const [, id] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas[id!]).toBeDefined();
  }
});

test('lists carry their merge keys', () => {
  const document = documentOf('', 'v1');
  const properties = document.components.schemas['io.k8s.api.core.v1.PodSpec']!['properties'] as Record<string, object>;
  expect(properties['containers']).toMatchObject({
    type: 'array',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
    'x-kubernetes-patch-merge-key': 'name',
  });
});

test('operations carry the ids and answers that generated clients go by', () => {
  const { paths } = documentOf('', 'v1') as unknown as {
    paths: Record<
      string,
      Record<
        string,
        { operationId: string; responses: Record<string, { content: Record<string, { schema: { $ref: string } }> }> }
      >
    >;
  };
  const pods = paths['/api/v1/namespaces/{namespace}/pods']!;
  expect(pods['get']!.operationId).toBe('listCoreV1NamespacedPod');
  expect(pods['get']!.responses['200']!.content['application/json']!.schema.$ref).toEndWith('.PodList');
  expect(pods['delete']!.operationId).toBe('deleteCoreV1CollectionNamespacedPod');
  expect(paths['/api/v1/pods']!['get']!.operationId).toBe('listCoreV1PodForAllNamespaces');
  expect(paths['/api/v1/nodes/{name}']!['put']!.operationId).toBe('replaceCoreV1Node');
  expect(paths['/api/v1/nodes/{name}/status']!['patch']!.operationId).toBe('patchCoreV1NodeStatus');
});
