import { fieldErrors, type KubeObject, type Node, nodeKind } from '#api';
import type { Strategy } from '#sdk';
import { roundResources } from './pod/defaults.ts';
import { ageColumn, column, nameColumn, wide } from './rules/columns.ts';
import { splitStatus } from './rules/lifecycle.ts';
import { checkMetadata } from './rules/metadata.ts';
import { qualifiedName } from './rules/names.ts';
import { checkName, checkOneOfUnsorted, checkQuantity, isCidr, type Mistakes, sameJson } from './rules/values.ts';

type NodeObject = Node & KubeObject;

function statusText(node: Readonly<Node>): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const words = [ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'];
  if (node.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}
const rolePrefix = 'node-role.kubernetes.io/';
function rolesText(node: Readonly<NodeObject>): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith(rolePrefix) && key.length > rolePrefix.length) roles.add(key.slice(rolePrefix.length));
    else if (key === 'kubernetes.io/role' && value) roles.add(value);
  }
  return [...roles].sort().join(',') || '<none>';
}
const address = (node: Readonly<Node>, type: string): string =>
  node.status?.addresses?.find((entry) => entry.type === type)?.address ?? '<none>';
function kernelText(node: Readonly<Node>): string {
  const info = node.status?.nodeInfo;
  return (info?.kernelVersion || '<unknown>') + (info?.architecture ? ` (${info.architecture})` : '');
}

function checkTaints(mistakes: Mistakes, node: Readonly<Node>): void {
  const seen = new Set<string>();
  for (const [index, taint] of (node.spec?.taints ?? []).entries()) {
    const at = `metadata.taints[${index}]`;
    checkName(mistakes, `${at}.key`, taint.key, qualifiedName);
    checkOneOfUnsorted(mistakes, `${at}.effect`, taint.effect, ['NoSchedule', 'PreferNoSchedule', 'NoExecute']);
    const pair = `${taint.key}:${taint.effect}`;
    if (seen.has(pair)) {
      const shown = JSON.stringify({
        Key: taint.key,
        Value: taint.value ?? '',
        Effect: taint.effect,
        TimeAdded: taint.timeAdded ?? null,
      });
      mistakes.push({
        type: 'FieldValueDuplicate',
        field: at,
        message: `Duplicate value: ${shown}: taints must be unique by key and effect pair`,
      });
    }
    seen.add(pair);
  }
}

export const nodeStrategy: Strategy<NodeObject> = {
  kind: nodeKind,
  subresources: ['status'],
  defaults(node) {
    const spec = (node.spec ??= {});
    // The single range and the list say the same; whichever is given fills the other.
    if (spec.podCIDR && !spec.podCIDRs?.length) spec.podCIDRs = [spec.podCIDR];
    else if (!spec.podCIDR && spec.podCIDRs?.length) spec.podCIDR = spec.podCIDRs[0];
    const status = (node.status ??= {});
    if (!status.allocatable && status.capacity) status.allocatable = { ...status.capacity };
    roundResources(status.capacity);
    roundResources(status.allocatable);
  },
  prepareForCreate() {
    // A node brings its own first status.
  },
  prepareForUpdate(next, current, request) {
    splitStatus(next, current, request.subresource);
  },
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    checkTaints(mistakes, next);
    for (const list of ['capacity', 'allocatable'] as const)
      for (const [name, value] of Object.entries(next.status?.[list] ?? {}))
        checkQuantity(mistakes, `status.${list}.${name}`, value);
    for (const [index, range] of (next.spec?.podCIDRs ?? []).entries())
      if (!isCidr(range))
        mistakes.push(
          fieldErrors.invalid(
            `spec.podCIDRs[${index}]`,
            range,
            'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
          ),
        );
    if (!current) return mistakes;
    if (current.spec?.podCIDRs?.length && !sameJson(next.spec?.podCIDRs, current.spec.podCIDRs))
      mistakes.push(
        fieldErrors.forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'),
      );
    if (current.spec?.providerID && next.spec?.providerID !== current.spec.providerID)
      mistakes.push(
        fieldErrors.forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'),
      );
    return mistakes;
  },
  selectableFields: (node) => ({ 'spec.unschedulable': String(node.spec?.unschedulable ?? false) }),
  columns: [
    nameColumn,
    column('Status', 'Whether the node is ready, and open for pods.', statusText),
    column('Roles', 'From its node-role labels.', rolesText),
    ageColumn,
    column('Version', 'Version of its agent.', (node) => node.status?.nodeInfo?.kubeletVersion ?? ''),
    wide('Internal-IP', 'Address inside the cluster.', (node) => address(node, 'InternalIP')),
    wide('External-IP', 'Address outside the cluster.', (node) => address(node, 'ExternalIP')),
    wide('OS-Image', 'Operating system.', (node) => node.status?.nodeInfo?.osImage || '<unknown>'),
    wide('Kernel-Version', 'Kernel and architecture.', kernelText),
    wide(
      'Container-Runtime',
      'What runs its containers.',
      (node) => node.status?.nodeInfo?.containerRuntimeVersion || '<unknown>',
    ),
  ],
};
