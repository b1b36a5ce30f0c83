import type { LabelSelector, PodTemplateSpec } from '../../api/gen/types.ts';
import * as kinds from '../../api/kinds.ts';
import type { Kind, KubeObject } from '../../api/meta.ts';

/** The built-in kinds by the names under which a plugin needs them: the plural, with its group where that is not core. */
export const builtinResources = {
  namespaces: kinds.namespaceKind,
  nodes: kinds.nodeKind,
  pods: kinds.podKind,
  replicationcontrollers: kinds.replicationControllerKind,
  services: kinds.serviceKind,
  endpoints: kinds.endpointsKind,
  events: kinds.eventKind,
  configmaps: kinds.configMapKind,
  secrets: kinds.secretKind,
  serviceaccounts: kinds.serviceAccountKind,
  'endpointslices.discovery.k8s.io': kinds.endpointSliceKind,
  'leases.coordination.k8s.io': kinds.leaseKind,
  'tokenreviews.authentication.k8s.io': kinds.tokenReviewKind,
} as const;
type Builtin = typeof builtinResources;
/** `pods`, `leases.coordination.k8s.io`, or any `plural.group` that the cluster serves, custom resources of others among them. */
export type ResourceName = keyof Builtin | `${string}.${string}`;
type ObjectOf<K> = K extends Kind<infer T> ? T : KubeObject;
/** Deployments and replica sets as far as their owners look; what else is written goes through as it is. */
export interface Workload extends KubeObject {
  spec?: {
    readonly replicas?: number;
    readonly selector?: LabelSelector;
    readonly template?: PodTemplateSpec;
    readonly [field: string]: unknown;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly readyReplicas?: number;
    readonly availableReplicas?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  };
}
export type ResourceObject<N> = N extends keyof Builtin
  ? ObjectOf<Builtin[N]>
  : N extends 'deployments.apps' | 'replicasets.apps'
    ? Workload
    : KubeObject & Record<string, unknown>;

/** Objects as plugins see them: the two times of every object's metadata are Dates; all else is as on the wire. */
export type View<T> = Omit<T, 'metadata'> & { readonly metadata: MetadataView };
export type MetadataView = Omit<
  NonNullable<KubeObject['metadata']>,
  'creationTimestamp' | 'deletionTimestamp' | 'name' | 'namespace' | 'uid'
> & {
  readonly name: string;
  /** Empty for kinds of the cluster. */
  readonly namespace: string;
  readonly uid: string;
  readonly creationTimestamp?: Date;
  readonly deletionTimestamp?: Date;
};

/** The same object with its times as Dates. Shares everything else: read-only. */
export function viewOf<T extends KubeObject>(object: Readonly<T>): View<T> {
  const { metadata } = object;
  const time = (text: string | undefined) => (text ? new Date(text) : undefined);
  return {
    ...object,
    metadata: {
      ...metadata,
      name: metadata.name ?? '',
      namespace: metadata.namespace ?? '',
      uid: metadata.uid ?? '',
      creationTimestamp: time(metadata.creationTimestamp),
      deletionTimestamp: time(metadata.deletionTimestamp),
    },
  };
}
