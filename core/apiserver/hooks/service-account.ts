import { type Container, errors, type Pod, type ServiceAccount, serviceAccountKind, type Volume } from '#api';
import { type Random, randomSuffix } from '#base';
import type { AdmissionHook, Reader } from '../contract.ts';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
const volumePrefix = 'kube-api-access-';
const tokenSeconds = 3607; // one hour and 7 s: upstream's mark of a token that is renewed silently

/** Pods run as a service account that exists, with its token, the cluster's CA and their namespace mounted. */
export const serviceAccountHook = (reader: Reader, random: Random): AdmissionHook => ({
  name: 'ServiceAccount',
  mutate({ operation, kind, subresource, object, namespace }) {
    if (operation !== 'CREATE' || kind.plural !== 'pods' || kind.group || subresource || !object) return;
    const pod = object as typeof object & Pod;
    const { spec } = pod;
    if (!spec || pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) return;
    spec.serviceAccountName ||= spec.serviceAccount || 'default';
    spec.serviceAccount = spec.serviceAccountName;
    const account = reader.get(serviceAccountKind, namespace, spec.serviceAccountName) as ServiceAccount | undefined;
    if (!account) {
      throw errors.forbidden(
        'pods',
        pod.metadata.name ?? pod.metadata.generateName ?? '',
        `error looking up service account ${namespace}/${spec.serviceAccountName}: serviceaccount ${JSON.stringify(spec.serviceAccountName)} not found`,
      );
    }
    if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) {
      spec.imagePullSecrets = account.imagePullSecrets.map((reference) => ({ ...reference }));
    }
    if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(spec, random);
  },
});

function mountToken(spec: NonNullable<Pod['spec']>, random: Random): void {
  const containers: Container[] = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const without = containers.filter(
    (container) => !container.volumeMounts?.some((mount) => mount.mountPath === mountPath),
  );
  if (without.length === 0) return;
  const name =
    spec.volumes?.find((volume) => volume.name?.startsWith(volumePrefix))?.name ?? volumePrefix + randomSuffix(random);
  if (!spec.volumes?.some((volume) => volume.name === name))
    spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)];
  for (const container of without) {
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }];
  }
}

const tokenVolume = (name: string): Volume => ({
  name,
  projected: {
    sources: [
      { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
    defaultMode: 0o644,
  },
});
