import { configMapKind, isReason, type KubeObject, type Namespace, namespaceKind, serviceAccountKind } from '#api';
import { type ControllerSpec, isTerminating } from '#sdk';

const rootCaName = 'kube-root-ca.crt';

/** ServiceAccount `default` and ConfigMap `kube-root-ca.crt` in every namespace that lives. */
export const serviceAccountController = (rootCaPem: string): ControllerSpec<Namespace & KubeObject> => ({
  name: 'serviceaccount-controller',
  watches: namespaceKind,
  alsoOn: [
    { kind: serviceAccountKind, keys: (account: KubeObject) => namespaceOf(account, 'default') },
    { kind: configMapKind, keys: (config: KubeObject) => namespaceOf(config, rootCaName) },
  ],
  reconciler: {
    async reconcile({ name: namespace }, current, { client, informers }) {
      if (!current || current.metadata.deletionTimestamp) return;
      if (!informers.informer(serviceAccountKind).cache.get({ namespace, name: 'default' }))
        await once(
          client.create(serviceAccountKind, {
            apiVersion: 'v1',
            kind: 'ServiceAccount',
            metadata: { namespace, name: 'default' },
          }),
        );
      const config = informers.informer(configMapKind).cache.get({ namespace, name: rootCaName });
      const data = { 'ca.crt': rootCaPem };
      if (!config)
        await once(
          client.create(configMapKind, {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: {
              namespace,
              name: rootCaName,
              annotations: { 'kubernetes.io/description': "The certificate authority of this cluster's API server." },
            },
            data,
          }),
        );
      else if (JSON.stringify(config.data) !== JSON.stringify(data))
        await client.update(configMapKind, { ...config, data });
    },
  },
});

const namespaceOf = (object: KubeObject, name: string) =>
  object.metadata.name === name ? [{ name: object.metadata.namespace ?? '' }] : [];
/** Somebody else was faster: that is as good. And a namespace that is going needs nothing any more. */
async function once(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isReason(error, 'AlreadyExists') && !isTerminating(error)) throw error;
  }
}
