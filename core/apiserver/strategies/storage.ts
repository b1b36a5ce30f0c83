import {
  type CSIDriver,
  type CSINode,
  type CSIStorageCapacity,
  csiDriverKind,
  csiNodeKind,
  csiStorageCapacityKind,
  fieldErrors,
  type KubeObject,
  type StorageClass,
  storageClassKind,
  type VolumeAttachment,
  type VolumeAttributesClass,
  volumeAttachmentKind,
  volumeAttributesClassKind,
} from '#api';
import { checkSelector } from './pod/placement.ts';
import { ageColumn, column, createdColumns, nameColumn } from './rules/columns.ts';
import { dnsSubdomain, qualifiedName } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import {
  checkFixed,
  checkImmutable,
  checkName,
  checkNeededName,
  checkNotNegative,
  checkOneOf,
  checkOneOfUnsorted,
  checkQuantity,
  type Mistakes,
  sameJson,
} from './rules/values.ts';

const parametersMax = 512;
const parametersBytesMax = 256 * 1024;
const driverNameMax = 63;
const nodeIdMax = 256;
export const defaultClassAnnotations = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
] as const;
export const isDefaultClass = (object: Readonly<KubeObject>): boolean =>
  defaultClassAnnotations.some((name) => object.metadata.annotations?.[name] === 'true');

function checkProvisioner(mistakes: Mistakes, field: string, text = ''): void {
  checkNeededName(mistakes, field, text.toLowerCase(), qualifiedName);
}
function checkParameters(
  mistakes: Mistakes,
  parameters: Readonly<Record<string, string>> | undefined,
  needed: boolean,
): void {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > parametersMax) {
    mistakes.push(fieldErrors.tooLong('parameters', parametersMax));
    return;
  }
  let bytes = 0;
  for (const [key, value] of entries) {
    if (key === '') mistakes.push(fieldErrors.invalid('parameters', key, 'field can not be empty.'));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > parametersBytesMax) mistakes.push(fieldErrors.tooLong('parameters', parametersBytesMax));
  if (needed && entries.length === 0)
    mistakes.push(fieldErrors.required('parameters', 'must contain at least one key/value pair'));
}
export function checkDriverName(mistakes: Mistakes, field: string, name: string | undefined): void {
  if (!name) mistakes.push(fieldErrors.required(field));
  else {
    if (name.length > driverNameMax) mistakes.push(fieldErrors.tooLong(field, driverNameMax));
    checkName(mistakes, field, name.toLowerCase(), dnsSubdomain);
  }
}

export const storageClassStrategy = plainStrategy<StorageClass & KubeObject>({
  kind: storageClassKind,
  answersDeleted: true,
  defaults(draft) {
    draft.reclaimPolicy ??= 'Delete';
    draft.volumeBindingMode ??= 'Immediate';
  },
  check(mistakes, next, current) {
    if (current) {
      if (!next.provisioner) mistakes.push(fieldErrors.required('provisioner'));
      for (const field of ['provisioner', 'parameters', 'reclaimPolicy', 'volumeBindingMode'] as const)
        checkFixed(mistakes, field, next[field], current[field]);
      return;
    }
    checkProvisioner(mistakes, 'provisioner', next.provisioner);
    checkParameters(mistakes, next.parameters, false);
    checkOneOf(mistakes, 'reclaimPolicy', next.reclaimPolicy, ['Delete', 'Retain']);
    checkOneOf(mistakes, 'volumeBindingMode', next.volumeBindingMode, ['Immediate', 'WaitForFirstConsumer']);
    for (const [index, term] of (next.allowedTopologies ?? []).entries())
      for (const [inner, expression] of (term.matchLabelExpressions ?? []).entries()) {
        const at = `allowedTopologies[${index}].matchLabelExpressions[${inner}]`;
        checkName(mistakes, `${at}.key`, expression.key, qualifiedName);
        if (!expression.values?.length) mistakes.push(fieldErrors.required(`${at}.values`));
      }
  },
  columns: [
    column(
      'Name',
      'Its name; the default one is marked.',
      (c) => `${c.metadata.name}${isDefaultClass(c) ? ' (default)' : ''}`,
    ),
    column('Provisioner', 'Who makes the volumes.', (c) => c.provisioner),
    column('ReclaimPolicy', 'What happens to a volume that is released.', (c) => c.reclaimPolicy ?? 'Delete'),
    column('VolumeBindingMode', 'When a claim gets its volume.', (c) => c.volumeBindingMode ?? '<unset>'),
    column('AllowVolumeExpansion', 'Whether claims may grow.', (c) => c.allowVolumeExpansion ?? false, 'string'),
    ageColumn,
  ],
});

export const volumeAttributesClassStrategy = plainStrategy<VolumeAttributesClass & KubeObject>({
  kind: volumeAttributesClassKind,
  answersDeleted: true,
  check(mistakes, next, current) {
    if (current && next.driverName !== current.driverName)
      mistakes.push(fieldErrors.forbidden('driverName', 'updates to driverName are forbidden.'));
    if (current && !sameJson(next.parameters, current.parameters))
      mistakes.push(fieldErrors.forbidden('parameters', 'updates to parameters are forbidden.'));
    checkProvisioner(mistakes, 'driverName', next.driverName);
    checkParameters(mistakes, next.parameters, true);
  },
  columns: [nameColumn, column('DriverName', 'The driver it is for.', (c) => c.driverName), ageColumn],
});

const fsGroupPolicies = ['ReadWriteOnceWithFSType', 'File', 'None'];
export const csiDriverStrategy = plainStrategy<CSIDriver & KubeObject>({
  kind: csiDriverKind,
  needsVersion: true,
  answersDeleted: true,
  defaults({ spec }) {
    if (!spec) return;
    spec.attachRequired ??= true;
    for (const name of [
      'podInfoOnMount',
      'storageCapacity',
      'requiresRepublish',
      'seLinuxMount',
      'preventPodSchedulingIfMissing',
    ] as const)
      spec[name] ??= false;
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ['Persistent'];
  },
  check(mistakes, next, current) {
    const { spec } = next;
    checkOneOf(mistakes, 'spec.fsGroupPolicy', spec.fsGroupPolicy, fsGroupPolicies);
    const audiences = new Set<string>();
    for (const [index, request] of (spec.tokenRequests ?? []).entries()) {
      const at = `spec.tokenRequests[${index}]`;
      if (audiences.has(request.audience)) mistakes.push(fieldErrors.duplicate(`${at}.audience`, request.audience));
      audiences.add(request.audience);
      const seconds = request.expirationSeconds;
      if (seconds !== undefined && seconds < 600)
        mistakes.push(
          fieldErrors.invalid(`${at}.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes'),
        );
    }
    for (const mode of spec.volumeLifecycleModes ?? [])
      checkOneOfUnsorted(mistakes, 'spec.volumeLifecycleModes', mode, ['Persistent', 'Ephemeral']);
    const period = spec.nodeAllocatableUpdatePeriodSeconds;
    if (period !== undefined && period < 10)
      mistakes.push(
        fieldErrors.invalid(
          'spec.nodeAllocatableUpdatePeriodSeconds',
          period,
          'must be greater than or equal to 10 seconds',
        ),
      );
    if (!current) return;
    checkImmutable(mistakes, 'spec.attachedRequired', spec.attachRequired, current.spec.attachRequired);
    checkFixed(mistakes, 'spec.volumeLifecycleModes', spec.volumeLifecycleModes, current.spec.volumeLifecycleModes);
  },
  warnings: ({ spec }) =>
    spec.tokenRequests?.length && spec.serviceAccountTokenInSecrets === undefined
      ? [
          'spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes',
        ]
      : [],
  columns: [
    nameColumn,
    column('AttachRequired', 'Whether volumes are attached first.', (d) => d.spec.attachRequired ?? true, 'boolean'),
    column('PodInfoOnMount', 'Whether it learns of the pod.', (d) => d.spec.podInfoOnMount ?? false, 'boolean'),
    column('StorageCapacity', 'Whether it publishes capacity.', (d) => d.spec.storageCapacity ?? false, 'boolean'),
    column(
      'TokenRequests',
      'Audiences of the tokens it gets.',
      (d) => d.spec.tokenRequests?.map((request) => request.audience).join(',') ?? '<unset>',
    ),
    column('RequiresRepublish', 'Whether mounts are repeated.', (d) => d.spec.requiresRepublish ?? false, 'boolean'),
    column('Modes', 'Kinds of volumes.', (d) => d.spec.volumeLifecycleModes?.join(',') || '<none>'),
    ageColumn,
  ],
});

export const csiNodeStrategy = plainStrategy<CSINode & KubeObject>({
  kind: csiNodeKind,
  needsVersion: true,
  answersDeleted: true,
  subresources: ['status'],
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') return;
    const names = new Set<string>();
    for (const [index, driver] of (next.spec?.drivers ?? []).entries()) {
      const at = `spec.drivers[${index}]`;
      checkDriverName(mistakes, `${at}.name`, driver.name);
      if (!driver.nodeID) mistakes.push(fieldErrors.required(`${at}.nodeID`));
      else if (driver.nodeID.length > nodeIdMax)
        mistakes.push(fieldErrors.invalid(`${at}.nodeID`, driver.nodeID, `must be ${nodeIdMax} characters or less`));
      checkNotNegative(mistakes, `${at}.allocatable.count`, driver.allocatable?.count);
      if (names.has(driver.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, driver.name));
      names.add(driver.name);
      for (const key of driver.topologyKeys ?? []) checkNeededName(mistakes, at, key, qualifiedName);
      const old = current?.spec?.drivers?.find((other) => other.name === driver.name);
      const rest = { ...driver, allocatable: undefined };
      if (old && !sameJson(rest, { ...old, allocatable: undefined }))
        mistakes.push(fieldErrors.invalid('spec.drivers', rest, 'field is immutable'));
    }
  },
  columns: [
    nameColumn,
    column('Drivers', 'How many drivers run there.', (n) => n.spec?.drivers?.length ?? 0, 'integer'),
    ageColumn,
  ],
});

export const csiStorageCapacityStrategy = plainStrategy<CSIStorageCapacity & KubeObject>({
  kind: csiStorageCapacityKind,
  needsVersion: true,
  check(mistakes, next, current) {
    if (current) {
      checkImmutable(mistakes, 'nodeTopology', next.nodeTopology, current.nodeTopology);
      checkImmutable(mistakes, 'storageClassName', next.storageClassName, current.storageClassName);
      return;
    }
    checkSelector(mistakes, 'nodeTopology', next.nodeTopology);
    checkName(mistakes, 'storageClassName', next.storageClassName, dnsSubdomain);
    if (next.capacity !== undefined) checkQuantity(mistakes, 'capacity', next.capacity);
  },
  columns: createdColumns,
});

export const volumeAttachmentStrategy = plainStrategy<VolumeAttachment & KubeObject>({
  kind: volumeAttachmentKind,
  needsVersion: true,
  answersDeleted: true,
  subresources: ['status'],
  create: (draft) => {
    draft.status = { attached: false };
  },
  check(mistakes, next, current, _part, late) {
    const { spec } = next;
    checkDriverName(late, 'spec.attacher', spec.attacher);
    const { inlineVolumeSpec, persistentVolumeName } = spec.source ?? {};
    const one = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName';
    if (inlineVolumeSpec && persistentVolumeName !== undefined)
      mistakes.push(fieldErrors.forbidden('spec.source', one));
    else if (!inlineVolumeSpec && persistentVolumeName === undefined)
      mistakes.push(fieldErrors.required('spec.source', one));
    checkName(mistakes, 'spec.nodeName', spec.nodeName ?? '', dnsSubdomain);
    if (persistentVolumeName !== undefined)
      checkName(mistakes, 'spec.source.persistentVolumeName', persistentVolumeName, dnsSubdomain);
    if (current) checkFixed(late, 'spec', spec, current.spec);
  },
  columns: [
    nameColumn,
    { ...column('Attacher', 'Who attaches it.', (a) => a.spec.attacher), format: 'name' },
    column('PV', 'The volume.', (a) => a.spec.source.persistentVolumeName ?? ''),
    column('Node', 'Where to.', (a) => a.spec.nodeName),
    column('Attached', 'Whether it is attached now.', (a) => a.status?.attached ?? false, 'boolean'),
    ageColumn,
  ],
});
