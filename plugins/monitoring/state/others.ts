import type { api, KubeObject } from '#sdk';
import { type Families, family as familyOf, one, oneOf, resourceSamples, seconds } from './family.ts';

type Namespace = api.Namespace & KubeObject;
type Service = api.Service & KubeObject;
type Budget = api.PodDisruptionBudget & KubeObject;
type Quota = api.ResourceQuota & KubeObject;
type Claim = api.PersistentVolumeClaim & KubeObject;
const named = (label: string) => ({
  labels: ['namespace', label],
  labelsOf: ({ metadata }: Readonly<KubeObject>) => [metadata.namespace ?? '', metadata.name ?? ''],
});
const ofNamespace = familyOf<Namespace>();
const ofService = familyOf<Service>();
const ofBudget = familyOf<Budget>();
const ofQuota = familyOf<Quota>();
const ofClaim = familyOf<Claim>();

const namespaces: Families<Namespace> = {
  resource: 'namespaces',
  labels: ['namespace'],
  labelsOf: ({ metadata }) => [metadata.name ?? ''],
  families: [
    ofNamespace('kube_namespace_created', 'When a namespace was made', [], ({ metadata }) =>
      one(seconds(metadata.creationTimestamp)),
    ),
    ofNamespace('kube_namespace_status_phase', 'Phase of a namespace', ['phase'], ({ status }) =>
      oneOf(['Active', 'Terminating'], status?.phase),
    ),
  ],
};
const services: Families<Service> = {
  resource: 'services',
  ...named('service'),
  families: [
    ofService('kube_service_info', 'Where a service is', ['cluster_ip', 'external_name'], ({ spec }) => [
      [[spec?.clusterIP ?? '', spec?.externalName ?? ''], 1],
    ]),
    ofService('kube_service_spec_type', 'Type of a service', ['type'], ({ spec }) => [[[spec?.type ?? ''], 1]]),
    ofService('kube_service_status_load_balancer_ingress', 'Addresses from outside', ['ip', 'hostname'], ({ status }) =>
      (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => [[ip ?? '', hostname ?? ''], 1]),
    ),
  ],
};
const budgets: Families<Budget> = {
  resource: 'poddisruptionbudgets.policy',
  ...named('poddisruptionbudget'),
  families: [
    ofBudget('kube_poddisruptionbudget_status_current_healthy', 'Healthy pods', [], ({ status }) =>
      one(status?.currentHealthy),
    ),
    ofBudget('kube_poddisruptionbudget_status_desired_healthy', 'Healthy pods that must stay', [], ({ status }) =>
      one(status?.desiredHealthy),
    ),
    ofBudget('kube_poddisruptionbudget_status_pod_disruptions_allowed', 'Evictions that are free', [], ({ status }) =>
      one(status?.disruptionsAllowed),
    ),
    ofBudget('kube_poddisruptionbudget_status_expected_pods', 'Pods that it covers', [], ({ status }) =>
      one(status?.expectedPods),
    ),
  ],
};
const quotas: Families<Quota> = {
  resource: 'resourcequotas',
  ...named('resourcequota'),
  families: [
    ofQuota('kube_resourcequota', 'Limits and use of a quota', ['resource', 'type'], ({ status }) =>
      (['hard', 'used'] as const).flatMap((type) =>
        resourceSamples(status?.[type]).map(([[name = ''], value]) => [[name, type], value] as const),
      ),
    ),
  ],
};
const claims: Families<Claim> = {
  resource: 'persistentvolumeclaims',
  ...named('persistentvolumeclaim'),
  families: [
    ofClaim('kube_persistentvolumeclaim_status_phase', 'Phase of a claim', ['phase'], ({ status }) =>
      oneOf(['Lost', 'Bound', 'Pending'], status?.phase),
    ),
  ],
};
export const otherFamilies = [namespaces, services, budgets, quotas, claims] as const;
