import { errors, type Namespace, namespaceKind, StatusError } from '#api';
import type { AdmissionHook, Reader } from '../contract.ts';
import { resourceText } from '../core.ts';

const immortal = new Set(['default', 'kube-system', 'kube-public']);

/** Nothing is made in a namespace that is missing or ending, and the cluster's own namespaces stay. */
export const namespaceLifecycle = (reader: Reader): AdmissionHook => ({
  name: 'NamespaceLifecycle',
  mutate({ operation, kind, namespace, name }) {
    if (operation !== 'CREATE' || !kind.namespaced) return;
    const found = reader.get(namespaceKind, '', namespace) as Namespace | undefined;
    if (!found) throw errors.notFound('namespaces', namespace);
    if (!found.metadata?.deletionTimestamp) return;
    const refusal = errors.forbidden(
      resourceText(kind),
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    );
    throw new StatusError(refusal.code, refusal.reason, refusal.message, {
      ...refusal.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    });
  },
  validate({ operation, kind, name }) {
    if (operation === 'DELETE' && kind.plural === 'namespaces' && !kind.group && immortal.has(name)) {
      throw errors.forbidden('namespaces', name, 'this namespace may not be deleted');
    }
  },
});
