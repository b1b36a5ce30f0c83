import type { Pod } from '#api';
import type { Attributes, Decision } from './attributes.ts';
import { nodeRules, ruleAllows } from './rules.ts';

/** Whether a pod that is bound to the node is, or refers to, this object. */
export type NodeUses = (
  nodeName: string,
  kind: 'pods' | 'secrets' | 'configmaps' | 'serviceaccounts' | 'persistentvolumeclaims',
  namespace: string,
  name: string,
) => boolean;

/** Whether an account is of what runs on the node itself, as instances of plugins do. */
export type NodeAccounts = (nodeName: string, namespace: string, account: string) => boolean;
export const alsoAccounts =
  (uses: NodeUses, accounts: NodeAccounts): NodeUses =>
  (nodeName, kind, namespace, name) =>
    (kind === 'serviceaccounts' && accounts(nodeName, namespace, name)) || uses(nodeName, kind, namespace, name);

/** From the pods of a node, such as the watch cache's index on spec.nodeName gives them. */
export const createNodeUses =
  (podsOf: (nodeName: string) => readonly Readonly<Pod>[]): NodeUses =>
  (nodeName, kind, namespace, name) =>
    podsOf(nodeName).some((pod) => pod.metadata.namespace === namespace && podUses(pod, kind, name));

const allowed: Decision = { allowed: true };
const refused = (reason: string): Decision => ({ allowed: false, reason });
const read = ['get', 'list', 'watch'];

/** A node reads and writes what belongs to it: itself, its lease, its pods, and what these refer to. */
export function authorizeNode(nodeName: string, attributes: Attributes, uses: NodeUses): Decision {
  if (nodeRules.some((rule) => ruleAllows(rule, attributes))) return allowed;
  const { group, resource, subresource, verb, namespace } = attributes;
  // A list or watch of one name counts as a get of it.
  const name = attributes.name || selected(attributes, 'metadata.name') || '';
  if (group === 'coordination.k8s.io' && resource === 'leases' && !subresource) {
    const own = namespace === 'kube-node-lease' && (verb === 'create' || name === nodeName);
    return own && [...read, 'create', 'update', 'patch', 'delete'].includes(verb)
      ? allowed
      : refused('can only access node lease with the same name as the requesting node');
  }
  if (group !== '') return { allowed: false };
  switch (resource) {
    case 'nodes':
      return nodeAccess(nodeName, verb, subresource, name);
    case 'pods':
      return podAccess(nodeName, attributes, name, uses);
    case 'secrets':
    case 'configmaps':
    case 'persistentvolumeclaims':
      if (subresource || !read.includes(verb)) return refused('can only read resources of this type');
      if (!namespace || !name) return refused('can only read namespaced object of this type');
      break;
    case 'serviceaccounts':
      if (!(verb === 'get' && !subresource) && !(verb === 'create' && subresource === 'token'))
        return refused('can only get a service account, or create tokens for it');
      break;
    default:
      return { allowed: false };
  }
  return uses(nodeName, resource, namespace, name)
    ? allowed
    : refused(`no relationship found between node '${nodeName}' and this object`);
}

function nodeAccess(nodeName: string, verb: string, subresource: string, name: string): Decision {
  if (verb === 'create' && !subresource) return allowed; // the name is in the body: node-restriction.ts compares it
  const verbs = subresource === 'status' ? ['get', 'update', 'patch'] : subresource ? [] : [...read, 'update', 'patch'];
  if (!verbs.includes(verb)) return { allowed: false };
  return name === nodeName
    ? allowed
    : refused(
        `node '${nodeName}' cannot ${read.includes(verb) ? 'read' : 'modify'} node '${name}', only its own Node object`,
      );
}

function podAccess(nodeName: string, attributes: Attributes, name: string, uses: NodeUses): Decision {
  const { verb, subresource, namespace } = attributes;
  if (read.includes(verb) && !subresource && selected(attributes, 'spec.nodeName') === nodeName) return allowed;
  const verbs = subresource === 'status' ? ['get', 'update', 'patch'] : subresource ? [] : ['get', 'delete'];
  // Whose pod a write changes is for admission to say, which sees the pod: one that is gone is 404, not 403, as upstream.
  if (verbs.includes(verb) && verb !== 'get') return allowed;
  const single = ['list', 'watch'].includes(verb) && !subresource && name !== '';
  if (!verbs.includes(verb) && !single)
    return refused('can only list/watch pods with spec.nodeName field selector, and write the status of its own pods');
  return uses(nodeName, 'pods', namespace, name)
    ? allowed
    : refused(`no relationship found between node '${nodeName}' and this object`);
}

/** The value a field selector demands for this field. Every other operator selects more than one. */
function selected({ fieldSelector = '' }: Attributes, field: string): string | undefined {
  for (const term of fieldSelector.split(',')) {
    const match = /^([^=!]+)==?(.*)$/.exec(term.trim());
    if (match?.[1] === field) return match[2];
  }
  return undefined;
}

export function podUses(pod: Readonly<Pod>, kind: Parameters<NodeUses>[1], name: string): boolean {
  if (kind === 'pods') return pod.metadata.name === name;
  const spec = pod.spec;
  if (!spec) return false;
  if (kind === 'serviceaccounts') return (spec.serviceAccountName || 'default') === name;
  const volumes = spec.volumes ?? [];
  if (kind === 'persistentvolumeclaims')
    return volumes.some((volume) => volume.persistentVolumeClaim?.claimName === name);
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])];
  const secret = kind === 'secrets';
  const projected = volumes.flatMap((volume) => volume.projected?.sources ?? []);
  return (
    (secret && (spec.imagePullSecrets ?? []).some((reference) => reference.name === name)) ||
    (secret && volumes.some((volume) => volume.csi?.nodePublishSecretRef?.name === name)) ||
    volumes.some((volume) => (secret ? volume.secret?.secretName : volume.configMap?.name) === name) ||
    projected.some((source) => (secret ? source.secret?.name : source.configMap?.name) === name) ||
    containers.some(
      (container) =>
        (container.envFrom ?? []).some((from) => (secret ? from.secretRef : from.configMapRef)?.name === name) ||
        (container.env ?? []).some(
          ({ valueFrom }) => (secret ? valueFrom?.secretKeyRef : valueFrom?.configMapKeyRef)?.name === name,
        ),
    )
  );
}
