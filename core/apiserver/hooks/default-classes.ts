import { type Ingress, ingressClassKind, type KubeObject, type PersistentVolumeClaim, storageClassKind } from '#api';
import type { AdmissionHook, Reader } from '../contract.ts';
import { isDefaultClass } from '../strategies/storage.ts';

const claimAnnotation = 'volume.beta.kubernetes.io/storage-class';
const ingressAnnotation = 'kubernetes.io/ingress.class';
const defaultIngress = 'ingressclass.kubernetes.io/is-default-class';

/** Newest first, then by name. */
const byAge = (a: Readonly<KubeObject>, b: Readonly<KubeObject>): number => {
  const [left, right] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  if (left !== right) return left > right ? -1 : 1;
  return (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1;
};

/** A claim without a class gets the default one. */
export const defaultStorageClass = (reader: Reader): AdmissionHook => ({
  name: 'DefaultStorageClass',
  mutate({ operation, kind, subresource, object }) {
    if (operation !== 'CREATE' || kind.plural !== 'persistentvolumeclaims' || subresource || !object) return;
    const { spec, metadata } = object as typeof object & PersistentVolumeClaim;
    if (!spec || spec.storageClassName !== undefined || metadata.annotations?.[claimAnnotation] !== undefined) return;
    const found = reader.list(storageClassKind).filter(isDefaultClass).sort(byAge)[0];
    if (found) spec.storageClassName = found.metadata.name;
  },
});

/** An ingress without a class gets the default one; of several the newest. */
export const defaultIngressClass = (reader: Reader): AdmissionHook => ({
  name: 'DefaultIngressClass',
  mutate({ operation, kind, subresource, object }) {
    if (operation !== 'CREATE' || kind.plural !== 'ingresses' || subresource || !object) return;
    const ingress = object as typeof object & Ingress;
    if (ingress.spec?.ingressClassName !== undefined) return;
    if (ingress.metadata.annotations?.[ingressAnnotation] !== undefined) return;
    const found = reader
      .list(ingressClassKind)
      .filter((candidate) => candidate.metadata.annotations?.[defaultIngress] === 'true')
      .sort(byAge);
    if (found[0]) (ingress.spec ??= {}).ingressClassName = found[0].metadata.name;
  },
});
