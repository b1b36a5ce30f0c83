import type { PersistentVolumeClaim, Pod, ResourceQuota, Service } from './gen/types.ts';
import type { Kind, KubeObject } from './meta.ts';
import { type Amounts, podTotals } from './pod-totals.ts';

/** What an object counts for in a quota. Pure; the apiserver charges by it, the controller recounts by it. */
type KindName = Pick<Kind, 'group' | 'plural'>;
interface ScopeTerm {
  readonly scopeName: string;
  readonly operator: string;
  readonly values?: readonly string[];
}
const counted: ReadonlySet<string> = new Set([
  'configmaps',
  'secrets',
  'resourcequotas',
  'replicationcontrollers',
  'services',
  'persistentvolumeclaims',
  'pods',
]);
const compute = ['cpu', 'memory', 'ephemeral-storage'];
const claimSuffix = '.storageclass.storage.k8s.io/';

export function quotaUsage(kind: KindName, object: Readonly<KubeObject>, nowMs: number): Amounts {
  const usage: Amounts = { [`count/${kind.plural}${kind.group && `.${kind.group}`}`]: '1' };
  if (kind.group) return usage;
  if (kind.plural === 'pods') {
    Object.assign(usage, podUsage(object as KubeObject & Pod, nowMs));
    return usage;
  }
  if (counted.has(kind.plural)) usage[kind.plural] = '1';
  if (kind.plural === 'services') Object.assign(usage, serviceUsage(object as KubeObject & Service));
  if (kind.plural === 'persistentvolumeclaims')
    Object.assign(usage, claimUsage(object as KubeObject & PersistentVolumeClaim));
  return usage;
}

function podUsage(pod: Readonly<KubeObject & Pod>, nowMs: number): Amounts {
  if (!isLive(pod, nowMs)) return {};
  const usage: Amounts = { pods: '1' };
  for (const [name, value] of Object.entries(podTotals(pod, 'requests'))) {
    usage[`requests.${name}`] = value;
    if (compute.includes(name) || name.startsWith('hugepages-')) usage[name] = value;
  }
  for (const [name, value] of Object.entries(podTotals(pod, 'limits')))
    if (compute.includes(name)) usage[`limits.${name}`] = value;
  return usage;
}
function isLive({ status, metadata }: Readonly<KubeObject & Pod>, nowMs: number): boolean {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded') return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  if (!deletionTimestamp || deletionGracePeriodSeconds === undefined) return true;
  return nowMs <= Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}
function serviceUsage({ spec }: Readonly<Service>): Amounts {
  const ports = spec?.ports ?? [];
  const balanced = spec?.type === 'LoadBalancer';
  const nodePorts =
    spec?.type === 'NodePort' || (balanced && spec?.allocateLoadBalancerNodePorts !== false)
      ? ports.length
      : balanced
        ? ports.filter((port) => port.nodePort).length
        : 0;
  return { 'services.nodeports': String(nodePorts), 'services.loadbalancers': balanced ? '1' : '0' };
}
function claimUsage({ spec }: Readonly<PersistentVolumeClaim>): Amounts {
  const size = spec?.resources?.requests?.['storage'];
  const name = spec?.storageClassName;
  return {
    ...(size !== undefined && { 'requests.storage': size }),
    ...(name && { [`${name}${claimSuffix}persistentvolumeclaims`]: '1' }),
    ...(name && size !== undefined && { [`${name}${claimSuffix}requests.storage`]: size }),
  };
}

export function quotaCovers(quota: Readonly<ResourceQuota>, kind: KindName, object: Readonly<KubeObject>): boolean {
  const terms: ScopeTerm[] = [
    ...(quota.spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...((quota.spec?.scopeSelector?.matchExpressions ?? []) as ScopeTerm[]),
  ];
  if (terms.length === 0) return true;
  if (kind.plural === 'pods' && !kind.group) return terms.every((term) => podInScope(object as KubeObject & Pod, term));
  return false;
}
function podInScope({ spec }: Readonly<Pod>, { scopeName, operator, values = [] }: ScopeTerm): boolean {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const isBestEffort = containers.every(
    ({ resources }) => !['cpu', 'memory'].some((name) => resources?.requests?.[name] ?? resources?.limits?.[name]),
  );
  switch (scopeName) {
    case 'Terminating':
      return spec?.activeDeadlineSeconds !== undefined;
    case 'NotTerminating':
      return spec?.activeDeadlineSeconds === undefined;
    case 'BestEffort':
      return isBestEffort;
    case 'NotBestEffort':
      return !isBestEffort;
    case 'PriorityClass': {
      const name = spec?.priorityClassName ?? '';
      if (operator === 'Exists') return name !== '';
      if (operator === 'DoesNotExist') return name === '';
      return values.includes(name) === (operator === 'In');
    }
    case 'CrossNamespacePodAffinity': {
      const affinity = JSON.stringify([spec?.affinity?.podAffinity, spec?.affinity?.podAntiAffinity]);
      return /"namespaces":\["|"namespaceSelector":/.test(affinity);
    }
    default:
      return false;
  }
}
