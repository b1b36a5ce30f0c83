import type { api, KubeObject, Pod } from '#sdk';
import {
  type Families,
  family as familyOf,
  flag,
  one,
  oneOf,
  resourceSamples,
  type Sample,
  seconds,
} from './family.ts';

type ThePod = Pod & KubeObject;
const family = familyOf<ThePod>();
const phases = ['Pending', 'Succeeded', 'Failed', 'Unknown', 'Running'];
const conditionWords = ['true', 'false', 'unknown'];

const conditionOf = (type: string) => (pod: Readonly<ThePod>) => {
  const status = pod.status?.conditions?.find((condition) => condition.type === type)?.status;
  return status ? oneOf(conditionWords, status.toLowerCase()) : [];
};
const ofContainers =
  (
    value: (status: Readonly<api.ContainerStatus>) => Sample[],
    which: 'containerStatuses' | 'initContainerStatuses' = 'containerStatuses',
  ) =>
  (pod: Readonly<ThePod>) =>
    (pod.status?.[which] ?? []).flatMap((status) =>
      value(status).map(([labels, number]): Sample => [[status.name, ...labels], number]),
    );
const ofResources = (which: 'requests' | 'limits') => (pod: Readonly<ThePod>) =>
  (pod.spec?.containers ?? []).flatMap((container) =>
    resourceSamples(container.resources?.[which]).map(
      ([labels, value]): Sample => [[container.name, pod.spec?.nodeName ?? '', ...labels], value],
    ),
  );
const container = ['container'];
const resource = ['container', 'node', 'resource', 'unit'];
const reason = (state: { readonly reason?: string } | null | undefined): Sample[] =>
  state?.reason ? [[[state.reason], 1]] : [];

export const podFamilies: Families<ThePod> = {
  resource: 'pods',
  labels: ['namespace', 'pod', 'uid'],
  labelsOf: ({ metadata }) => [metadata.namespace ?? '', metadata.name ?? '', metadata.uid ?? ''],
  families: [
    family(
      'kube_pod_info',
      'Where a pod runs and who made it',
      ['host_ip', 'pod_ip', 'node', 'created_by_kind', 'created_by_name', 'priority_class', 'host_network'],
      ({ metadata, spec, status }) => {
        const owner = metadata.ownerReferences?.find(({ controller }) => controller);
        const made = [owner?.kind ?? '', owner?.name ?? '', spec?.priorityClassName ?? ''];
        const place = [status?.hostIP ?? '', status?.podIP ?? '', spec?.nodeName ?? ''];
        return [[[...place, ...made, String(spec?.hostNetwork ?? false)], 1]];
      },
    ),
    family('kube_pod_owner', 'Owners of a pod', ['owner_kind', 'owner_name', 'owner_is_controller'], ({ metadata }) =>
      metadata.ownerReferences?.length
        ? metadata.ownerReferences.map(({ kind, name, controller }) => [[kind, name, String(controller ?? false)], 1])
        : [[['', '', ''], 1]],
    ),
    family('kube_pod_created', 'When a pod was made, in seconds since 1970', [], ({ metadata }) =>
      one(seconds(metadata.creationTimestamp)),
    ),
    family('kube_pod_deletion_timestamp', 'When a pod is to be gone', [], ({ metadata }) =>
      one(seconds(metadata.deletionTimestamp)),
    ),
    family('kube_pod_start_time', 'When its kubelet took a pod up', [], ({ status }) =>
      one(seconds(status?.startTime)),
    ),
    family('kube_pod_status_phase', 'Phase of a pod', ['phase'], ({ status }) => oneOf(phases, status?.phase)),
    family('kube_pod_status_reason', 'Why a pod failed', ['reason'], ({ status }) => reason(status)),
    family('kube_pod_status_ready', 'Whether a pod takes traffic', ['condition'], conditionOf('Ready')),
    family('kube_pod_status_scheduled', 'Whether a pod has a node', ['condition'], conditionOf('PodScheduled')),
    family('kube_pod_status_unschedulable', 'Pods that no node takes', [], ({ status }) =>
      status?.conditions?.some(
        ({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable',
      )
        ? [[[], 1]]
        : [],
    ),
    family(
      'kube_pod_container_info',
      'Images of containers',
      ['container', 'image_spec', 'image', 'image_id', 'container_id'],
      (pod) =>
        (pod.status?.containerStatuses ?? []).map(({ name, image, imageID, containerID }) => {
          const wanted = pod.spec?.containers?.find((each) => each.name === name)?.image ?? '';
          return [[name, wanted, image ?? '', imageID ?? '', containerID ?? ''], 1];
        }),
    ),
    family(
      'kube_pod_container_status_running',
      'Containers that run',
      container,
      ofContainers(({ state }) => one(flag(!!state?.running))),
    ),
    family(
      'kube_pod_container_status_ready',
      'Containers that are ready',
      container,
      ofContainers(({ ready }) => one(flag(ready))),
    ),
    family(
      'kube_pod_container_status_waiting_reason',
      'Why containers wait',
      ['container', 'reason'],
      ofContainers(({ state }) => reason(state?.waiting)),
    ),
    family(
      'kube_pod_container_status_terminated_reason',
      'Why containers ended',
      ['container', 'reason'],
      ofContainers(({ state }) => reason(state?.terminated)),
    ),
    family(
      'kube_pod_container_status_last_terminated_reason',
      'Why containers ended before they ran again',
      ['container', 'reason'],
      ofContainers(({ lastState }) => reason(lastState?.terminated)),
    ),
    family(
      'kube_pod_container_status_restarts_total',
      'Restarts of containers',
      container,
      ofContainers(({ restartCount }) => one(restartCount)),
      'counter',
    ),
    family(
      'kube_pod_init_container_status_waiting_reason',
      'Why init containers wait',
      ['container', 'reason'],
      ofContainers(({ state }) => reason(state?.waiting), 'initContainerStatuses'),
    ),
    family(
      'kube_pod_init_container_status_restarts_total',
      'Restarts of init containers',
      container,
      ofContainers(({ restartCount }) => one(restartCount), 'initContainerStatuses'),
      'counter',
    ),
    family('kube_pod_container_resource_requests', 'What containers ask for', resource, ofResources('requests')),
    family('kube_pod_container_resource_limits', 'What containers may use', resource, ofResources('limits')),
  ],
};
