import { type Kind, type KubeObject, nodeKind, type Pod, podKind, secretKind, serviceAccountKind } from '#api';
import type { Reader } from '../contract.ts';
import type { Known, Lookup } from './service-account-tokens.ts';

const kinds = { serviceaccounts: serviceAccountKind, pods: podKind, secrets: secretKind, nodes: nodeKind } as const;

/** What tokens are bound to, as the server's caches hold it. */
export const tokenLookup =
  (reader: () => Pick<Reader, 'get'>): Lookup =>
  (resource, namespace, name): Known | undefined => {
    const object = reader().get(kinds[resource] as Kind<KubeObject>, namespace, name) as
      | Readonly<Pod & KubeObject>
      | undefined;
    if (!object) return undefined;
    const deleted = object.metadata.deletionTimestamp;
    return {
      uid: object.metadata.uid!,
      deletedAtMs: deleted ? Date.parse(deleted) : undefined,
      serviceAccountName: object.spec?.serviceAccountName,
      nodeName: object.spec?.nodeName,
    };
  };
