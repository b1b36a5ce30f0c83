import type { KubeObject, Node } from '#sdk';
import { conditionSamples, type Families, family as familyOf, flag, one, resourceSamples, seconds } from './family.ts';

type TheNode = Node & KubeObject;
const family = familyOf<TheNode>();

export const nodeFamilies: Families<TheNode> = {
  resource: 'nodes',
  labels: ['node'],
  labelsOf: ({ metadata }) => [metadata.name ?? ''],
  families: [
    family(
      'kube_node_info',
      'What a node is',
      ['kernel_version', 'os_image', 'container_runtime_version', 'kubelet_version', 'pod_cidr', 'internal_ip'],
      ({ spec, status }) => {
        const info = status?.nodeInfo;
        const ip = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '';
        const versions = [info?.containerRuntimeVersion ?? '', info?.kubeletVersion ?? ''];
        return [[[info?.kernelVersion ?? '', info?.osImage ?? '', ...versions, spec?.podCIDR ?? '', ip], 1]];
      },
    ),
    family('kube_node_created', 'When a node came', [], ({ metadata }) => one(seconds(metadata.creationTimestamp))),
    family('kube_node_spec_unschedulable', 'Whether a node takes no new pods', [], ({ spec }) =>
      one(flag(spec?.unschedulable)),
    ),
    family('kube_node_spec_taint', 'Taints of a node', ['key', 'value', 'effect'], ({ spec }) =>
      (spec?.taints ?? []).map(({ key, value, effect }) => [[key, value ?? '', effect], 1]),
    ),
    family('kube_node_status_condition', 'Conditions of a node', ['condition', 'status'], ({ status }) =>
      conditionSamples(status?.conditions),
    ),
    family('kube_node_status_capacity', 'What a node has', ['resource', 'unit'], ({ status }) =>
      resourceSamples(status?.capacity),
    ),
    family('kube_node_status_allocatable', 'What pods may have of a node', ['resource', 'unit'], ({ status }) =>
      resourceSamples(status?.allocatable),
    ),
  ],
};
