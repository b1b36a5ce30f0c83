import type { KubeObject } from '#sdk';
import { conditionSamples, type Families, type Family, family as familyOf, flag, one, seconds } from './family.ts';

/** What deployments, replica sets and replication controllers have in common. */
export interface Workload extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly paused?: boolean };
  readonly status?: {
    readonly replicas?: number;
    readonly fullyLabeledReplicas?: number;
    readonly readyReplicas?: number;
    readonly availableReplicas?: number;
    readonly unavailableReplicas?: number;
    readonly updatedReplicas?: number;
    readonly observedGeneration?: number;
    readonly conditions?: readonly { readonly type?: string; readonly status?: string }[];
  };
}
const family = familyOf<Workload>();
/** A number of the status; what is not written there is zero. */
const count = (name: string, help: string, value: (status: NonNullable<Workload['status']>) => number | undefined) =>
  family(name, help, [], ({ status = {} }) => one(value(status) ?? 0));

const common = (prefix: string): Family<Workload>[] => [
  family(`${prefix}_created`, 'When it was made, in seconds since 1970', [], ({ metadata }) =>
    one(seconds(metadata.creationTimestamp)),
  ),
  family(`${prefix}_spec_replicas`, 'Pods that are wanted', [], ({ spec }) => one(spec?.replicas)),
  family(`${prefix}_metadata_generation`, 'Generation of what is wanted', [], ({ metadata }) =>
    one(metadata.generation),
  ),
  count(`${prefix}_status_replicas`, 'Pods that there are', ({ replicas }) => replicas),
  count(
    `${prefix}_status_observed_generation`,
    'Generation that was acted upon',
    (status) => status.observedGeneration,
  ),
];
const sets = (prefix: string): Family<Workload>[] => [
  ...common(prefix),
  count(`${prefix}_status_ready_replicas`, 'Pods that are ready', (status) => status.readyReplicas),
  count(`${prefix}_status_fully_labeled_replicas`, 'Pods with every label', (status) => status.fullyLabeledReplicas),
];
const named = (label: string): Pick<Families<Workload>, 'labels' | 'labelsOf'> => ({
  labels: ['namespace', label],
  labelsOf: ({ metadata }) => [metadata.namespace ?? '', metadata.name ?? ''],
});

export const workloadFamilies: readonly Families<Workload>[] = [
  {
    resource: 'deployments.apps',
    ...named('deployment'),
    families: [
      ...common('kube_deployment'),
      family('kube_deployment_spec_paused', 'Whether it is paused', [], ({ spec }) => one(flag(spec?.paused))),
      count('kube_deployment_status_replicas_ready', 'Pods that are ready', (status) => status.readyReplicas),
      count('kube_deployment_status_replicas_available', 'Available pods', (status) => status.availableReplicas),
      count('kube_deployment_status_replicas_unavailable', 'Pods that are missing', (it) => it.unavailableReplicas),
      count('kube_deployment_status_replicas_updated', 'Pods of the newest template', (it) => it.updatedReplicas),
      family('kube_deployment_status_condition', 'Conditions', ['condition', 'status'], ({ status }) =>
        conditionSamples(status?.conditions),
      ),
    ],
  },
  { resource: 'replicasets.apps', ...named('replicaset'), families: sets('kube_replicaset') },
  {
    resource: 'replicationcontrollers',
    ...named('replicationcontroller'),
    families: sets('kube_replicationcontroller'),
  },
];
