import type { Namespace, Pod, PodSpec, ReplicationController, Service } from '#api';

export const demoImage = 'pintle/demo:local';
const labels = { app: 'demo' };

const podSpec = (readyPath: string): PodSpec => ({
  terminationGracePeriodSeconds: 2,
  containers: [
    {
      name: 'web',
      image: demoImage,
      imagePullPolicy: 'IfNotPresent',
      ports: [{ containerPort: 8080 }],
      readinessProbe: { httpGet: { path: readyPath, port: 8080 }, periodSeconds: 1 },
    },
  ],
});

export const namespaceOf = (name: string): Namespace => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });

export const controllerOf = (namespace: string, replicas: number): ReplicationController => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name: 'demo', namespace },
  spec: {
    replicas,
    selector: { ...labels, from: 'controller' },
    template: { metadata: { labels: { ...labels, from: 'controller' } }, spec: podSpec('/healthz') },
  },
});

/** Port 80, or 8080 where ports below 1024 need root. */
export const serviceOf = (namespace: string, port: number): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'demo', namespace },
  spec: { selector: labels, ports: [{ port, targetPort: 8080 }] },
});

/** Matches the service, but its readiness probe asks for a page that does not exist. */
export const unreadyPod = (namespace: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'never-ready', namespace, labels },
  spec: podSpec('/no-such-page'),
});
