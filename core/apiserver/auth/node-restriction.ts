import { errors, type KubeObject } from '#api';
import type { UserInfo } from '#sdk';
import { nodeNameOf } from './attributes.ts';
import type { NodeAccounts, NodeUses } from './node-authorizer.ts';

/** The part of the server's AdmissionRequest that this check reads. */
export interface NodeWrite {
  readonly user: UserInfo;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly info: { readonly group: string; readonly resource: string };
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly object?: KubeObject;
  readonly current?: Readonly<KubeObject>;
}

/**
 * What authorization cannot see because it is in the body: which object a node creates, and which fields of its own it changes.
 * An admission hook of the apiserver; runs on the final object of every write path.
 */
export const createNodeRestriction = (nodeUses: NodeUses, plugins: NodeAccounts = () => false) => ({
  name: 'node-restriction',
  validate(write: NodeWrite): void {
    const nodeName = nodeNameOf(write.user);
    if (nodeName === undefined) return;
    const why = refusal(nodeName, write, nodeUses, plugins);
    const { group, resource } = write.info;
    if (why)
      throw errors.forbidden(
        group ? `${resource}.${group}` : resource,
        write.name || (write.object?.metadata.name ?? ''),
        why,
      );
  },
});

function refusal(nodeName: string, write: NodeWrite, nodeUses: NodeUses, plugins: NodeAccounts): string | undefined {
  const { info, subresource, operation, object, current, namespace } = write;
  const name = write.name || object?.metadata.name || '';
  switch (`${info.group}/${info.resource}`) {
    case '/nodes':
      if (name !== nodeName) return `node "${nodeName}" is not allowed to modify node "${name}"`;
      return operation === 'UPDATE' ? nodeChange(nodeName, object, current) : nodeCreation(nodeName, operation, object);
    case '/serviceaccounts':
      if (subresource !== 'token') return undefined;
      if (plugins(nodeName, namespace, name) && isBoundToNode(object, nodeName)) return undefined;
      return tokenRefusal(namespace, object, nodeName, nodeUses);
    case '/pods':
      return podChange(nodeName, object, current);
    case 'coordination.k8s.io/leases':
      if (namespace !== 'kube-node-lease') return 'can only access leases in the "kube-node-lease" system namespace';
      return name === nodeName ? undefined : 'can only access node lease with the same name as the requesting node';
    case 'certificates.k8s.io/podcertificaterequests':
      return certificateRefusal(namespace, object, nodeName, nodeUses);
    default:
      return undefined;
  }
}

/** A certificate speaks for a pod: only the node where it runs may ask for one. */
function certificateRefusal(
  namespace: string,
  object: KubeObject | undefined,
  nodeName: string,
  uses: NodeUses,
): string | undefined {
  const spec = (object as { spec?: { nodeName?: string; podName?: string; podUID?: string } } | undefined)?.spec;
  if (spec?.nodeName !== nodeName)
    return `PodCertificateRequest.Spec.NodeName="${spec?.nodeName ?? ''}", which is not the requesting node "${nodeName}"`;
  return uses(nodeName, 'pods', namespace, spec.podName ?? '')
    ? undefined
    : `Pod is not running on requesting node "${nodeName}"`;
}

const same = (left: unknown, right: unknown): boolean => JSON.stringify(left ?? null) === JSON.stringify(right ?? null);

/** A node that could change these would move pods to itself, leave its quarantine, or have itself collected. */
function nodeChange(nodeName: string, object?: KubeObject, current?: Readonly<KubeObject>): string | undefined {
  if (!object || !current) return undefined;
  const spec = (node: Readonly<KubeObject>) => (node as { spec?: NodeSpec }).spec ?? {};
  const { configSource, taints } = spec(object);
  if (configSource && !same(configSource, spec(current).configSource))
    return `node "${nodeName}" is not allowed to update configSource to a new non-nil configSource`;
  if (!same(taints, spec(current).taints)) return `node "${nodeName}" is not allowed to modify taints`;
  if (!same(object.metadata.ownerReferences, current.metadata.ownerReferences))
    return `node "${nodeName}" is not allowed to modify ownerReferences`;
  const labels = forbiddenLabels(object.metadata.labels, current.metadata.labels);
  if (labels.length > 0) return `is not allowed to modify labels: ${labels.join(', ')}`;
  return same(podRanges(object), podRanges(current)) ? undefined : rangesRefused(nodeName);
}
interface NodeSpec {
  readonly taints?: unknown;
  readonly configSource?: unknown;
}

type Labels = Readonly<Record<string, string>>;
/** Those that differ and are not a node's own to set: with a role, or with what others select by, it would draw pods to itself. */
function forbiddenLabels(next: Labels = {}, current: Labels = {}): string[] {
  const keys = Object.keys({ ...next, ...current }).filter((key) => next[key] !== current[key]);
  return keys.filter((key) => isKubernetesLabel(key) && !isKubeletLabel(key)).sort();
}
const isOf = (key: string, domain: string): boolean => {
  const [namespace = '', name] = key.split('/', 2);
  return name !== undefined && (namespace === domain || namespace.endsWith(`.${domain}`));
};
const isKubernetesLabel = (key: string): boolean => isOf(key, 'kubernetes.io') || isOf(key, 'k8s.io');
/** What upstream's kubelets say of their machine. */
const kubeletLabels: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
]);
const isKubeletLabel = (key: string): boolean =>
  kubeletLabels.has(key) || isOf(key, 'kubelet.kubernetes.io') || isOf(key, 'node.kubernetes.io');

type PodRanges = { spec?: { podCIDR?: string; podCIDRs?: string[] } } | undefined;
/** Which addresses a node's pods have is for the cluster to say: it could take another's. */
const podRanges = (node?: Readonly<KubeObject>) => {
  const { podCIDR = '', podCIDRs = [] } = (node as PodRanges)?.spec ?? {};
  return podCIDRs.length > 0 ? podCIDRs : podCIDR ? [podCIDR] : [];
};
const rangesRefused = (nodeName: string) => `node "${nodeName}" is not allowed to set its own podCIDRs`;
function nodeCreation(nodeName: string, operation: string, object?: KubeObject): string | undefined {
  if (operation !== 'CREATE' || !object) return undefined;
  if ((object as { spec?: NodeSpec }).spec?.configSource)
    return `node "${nodeName}" is not allowed to create pods with a non-nil configSource`;
  const labels = forbiddenLabels(object.metadata.labels);
  if (labels.length > 0) return `node "${nodeName}" is not allowed to set the following labels: ${labels.join(', ')}`;
  return podRanges(object).length > 0 ? rangesRefused(nodeName) : undefined;
}

function podChange(nodeName: string, object?: KubeObject, current?: Readonly<KubeObject>): string | undefined {
  const nodeOf = (pod?: Readonly<KubeObject>) => (pod as { spec?: { nodeName?: string } } | undefined)?.spec?.nodeName;
  const pod = current ?? object;
  if (nodeOf(pod) !== nodeName) return `node "${nodeName}" can only change pods with spec.nodeName set to itself`;
  if (!object || !current) return undefined;
  return same(object.metadata.labels, current.metadata.labels)
    ? undefined
    : `node "${nodeName}" cannot update labels through pod status`;
}

type TokenRequestObject = {
  spec?: { boundObjectRef?: { kind?: string; apiVersion?: string; name?: string; uid?: string } };
};
/** Of an instance of a plugin: the token ends with the node. */
function isBoundToNode(object: KubeObject | undefined, nodeName: string): boolean {
  const reference = (object as TokenRequestObject | undefined)?.spec?.boundObjectRef;
  return reference?.kind === 'Node' && reference.apiVersion === 'v1' && reference.name === nodeName && !!reference.uid;
}

function tokenRefusal(
  namespace: string,
  object: KubeObject | undefined,
  nodeName: string,
  uses: NodeUses,
): string | undefined {
  const spec = (object as TokenRequestObject | undefined)?.spec;
  const reference = spec?.boundObjectRef;
  if (reference?.kind !== 'Pod' || reference.apiVersion !== 'v1' || !reference.name)
    return 'node requested token not bound to a pod';
  if (!reference.uid) return 'node requested token with a pod binding without a uid';
  return uses(nodeName, 'pods', namespace, reference.name)
    ? undefined
    : 'node requested token bound to a pod scheduled on a different node';
}
