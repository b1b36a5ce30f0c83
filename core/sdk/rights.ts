import { clusterRoleBindingKind, clusterRoleKind, roleBindingKind, roleKind } from '#api';
import { ensureObject } from './ensure.ts';
import type { ApiPartContext } from './parts.ts';
import type { AnyKind, AnyObject } from './serving.ts';

const apiGroup = 'rbac.authorization.k8s.io';

/** What a plugin's parts may do beyond the components in whose processes they run. */
export interface Rights {
  /** Of the role and of its binding. */
  readonly name: string;
  /** Absent: in the whole cluster. */
  readonly namespace?: string;
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly resourceNames?: readonly string[];
    readonly verbs: readonly string[];
  }[];
  readonly subject: { readonly kind: 'User' | 'Group'; readonly name: string };
}
/** A component, such as `system:kube-proxy`. */
export const userSubject = (name: string): Rights['subject'] => ({ kind: 'User', name });

/** Roles with their bindings, brought to what this version wants. Rejects with StatusError. */
export async function ensureRights(context: ApiPartContext, all: readonly Rights[]): Promise<void> {
  for (const { name, namespace, rules, subject } of all) {
    const [role, binding] = namespace ? [roleKind, roleBindingKind] : [clusterRoleKind, clusterRoleBindingKind];
    const metadata = { name, ...(namespace ? { namespace } : {}) };
    await ensureObject(context, role as AnyKind, { metadata, rules } as unknown as AnyObject);
    await ensureObject(
      context,
      binding as AnyKind,
      {
        metadata,
        roleRef: { apiGroup, kind: namespace ? 'Role' : 'ClusterRole', name },
        subjects: [{ apiGroup, ...subject }],
      } as unknown as AnyObject,
    );
  }
}
