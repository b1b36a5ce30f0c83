import { namespaceKind, type Pod, serviceAccountKind } from '#api';
import type { Client } from '#client';

/** Of this run: a server that has no controllers keeps a deleted one for ever. */
export const namespace = `bench-${process.pid}`;
export const podsPath = `/api/v1/namespaces/${namespace}/pods`;

/** As clients post them; with defaults, tolerations and the owners of fields it comes back as 2 KB. `name` may hold `{w}` and `{i}`. */
export function podText(name: string): string {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { app: 'bench' },
      annotations: { 'bench.example/note': 'as small as pods come' },
    },
    spec: {
      serviceAccountName: 'default',
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'web',
          image: 'registry.example/web:1.2.3',
          ports: [{ containerPort: 8080 }],
          env: [{ name: 'MODE', value: 'production' }],
          resources: { requests: { cpu: '100m', memory: '64Mi' } },
        },
      ],
    },
  };
  return JSON.stringify(pod);
}

/** Namespace and ServiceAccount, which no controller makes here. */
export async function prepareNamespace(client: Client): Promise<void> {
  await client.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await client.create(serviceAccountKind, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace },
  });
}
