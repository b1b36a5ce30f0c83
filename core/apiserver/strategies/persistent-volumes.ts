import {
  fieldErrors,
  type KubeObject,
  type PersistentVolume,
  type PersistentVolumeClaim,
  parseNano,
  persistentVolumeClaimKind,
  persistentVolumeKind,
} from '#api';
import { tableOf, timeText } from '#base';
import { checkSelector } from './pod/placement.ts';
import { ageColumn, column, nameColumn, wide } from './rules/columns.ts';
import { dnsSubdomain } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkImmutable, checkName, checkOneOf, type Mistakes, sameJson } from './rules/values.ts';

type Volume = PersistentVolume & KubeObject;
type Claim = PersistentVolumeClaim & KubeObject;
const accessModes = tableOf<string>({
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
});
const volumeModes = ['Block', 'Filesystem'];
const classAnnotation = 'volume.beta.kubernetes.io/storage-class';
const sources = [
  ...['hostPath', 'gcePersistentDisk', 'awsElasticBlockStore', 'glusterfs', 'flocker', 'nfs', 'rbd', 'quobyte'],
  ...['cephfs', 'iscsi', 'cinder', 'fc', 'azureFile', 'vsphereVolume', 'photonPersistentDisk', 'portworxVolume'],
  ...['azureDisk', 'scaleIO', 'local', 'storageos', 'csi'],
] as const;

const modesText = (modes: readonly string[] | undefined): string =>
  Object.entries(accessModes)
    .filter(([mode]) => modes?.includes(mode))
    .map(([, short]) => short)
    .join(',');
const classOf = (object: Readonly<KubeObject>, name: string | undefined): string =>
  object.metadata.annotations?.[classAnnotation] ?? name ?? '';

function checkModes(mistakes: Mistakes, modes: readonly string[] | undefined, why: string): void {
  if (!modes?.length) mistakes.push(fieldErrors.required('spec.accessModes', why));
  for (const mode of modes ?? []) checkOneOf(mistakes, 'spec.accessModes', mode, Object.keys(accessModes));
  if (modes?.includes('ReadWriteOncePod') && modes.some((mode) => mode !== 'ReadWriteOncePod' && accessModes[mode]))
    mistakes.push(fieldErrors.forbidden('spec.accessModes', 'may not use ReadWriteOncePod with other access modes'));
}
const isPositive = (value: string): boolean => (parseNano(value) ?? 0n) > 0n;
const notPositive = (field: string, value: string) => fieldErrors.invalid(field, value, 'must be greater than zero');

function checkVolumeSpec(mistakes: Mistakes, next: Readonly<Volume>): void {
  const spec = next.spec ?? {};
  checkModes(mistakes, spec.accessModes, '');
  const capacity = Object.entries(spec.capacity ?? {});
  if (capacity.length === 0) mistakes.push(fieldErrors.required('spec.capacity'));
  if (!spec.capacity?.['storage'] || capacity.length > 1)
    mistakes.push(fieldErrors.notSupported('spec.capacity', spec.capacity ?? null, ['storage']));
  for (const [name, value] of capacity)
    if (!isPositive(value)) mistakes.push(notPositive(`spec.capacity[${name}]`, value));
  checkOneOf(mistakes, 'spec.persistentVolumeReclaimPolicy', spec.persistentVolumeReclaimPolicy, [
    'Delete',
    'Recycle',
    'Retain',
  ]);
  const given = sources.filter((source) => spec[source] !== undefined);
  for (const source of given.slice(1))
    mistakes.push(fieldErrors.forbidden(`spec.${source}`, 'may not specify more than 1 volume type'));
  if (given[0] === 'local' && !spec.nodeAffinity)
    mistakes.push(fieldErrors.required('spec.nodeAffinity', 'Local volume requires node affinity'));
  if (given.length === 0) mistakes.push(fieldErrors.required('spec', 'must specify a volume type'));
  if (spec.storageClassName) checkName(mistakes, 'spec.storageClassName', spec.storageClassName, dnsSubdomain);
  checkOneOf(mistakes, 'spec.volumeMode', spec.volumeMode, volumeModes);
}

export const persistentVolumeStrategy = plainStrategy<Volume>({
  kind: persistentVolumeKind,
  answersDeleted: true,
  subresources: ['status'],
  defaults(volume) {
    (volume.status ??= {}).phase ||= 'Pending';
    const spec = (volume.spec ??= {});
    spec.persistentVolumeReclaimPolicy ||= 'Retain';
    spec.volumeMode ??= 'Filesystem';
    if (spec.hostPath) spec.hostPath.type ??= '';
  },
  create(volume, { nowMs }) {
    volume.status = { phase: 'Pending', lastPhaseTransitionTime: timeText(nowMs) };
  },
  update(next, current, { subresource, nowMs }) {
    if (subresource !== 'status' || !next.status) return;
    const [time, old] = [next.status.lastPhaseTransitionTime, current.status?.lastPhaseTransitionTime];
    const moved = next.status.phase !== current.status?.phase;
    if (!moved && time === undefined && old) next.status.lastPhaseTransitionTime = old;
    if (moved && (time === undefined || time === old)) next.status.lastPhaseTransitionTime = timeText(nowMs);
  },
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') return;
    checkVolumeSpec(mistakes, next);
    if (!current) return;
    if (sources.some((source) => !sameJson(next.spec?.[source], current.spec?.[source])))
      mistakes.push(
        fieldErrors.forbidden('spec.persistentvolumesource', 'spec.persistentvolumesource is immutable after creation'),
      );
    checkImmutable(mistakes, 'volumeMode', next.spec?.volumeMode, current.spec?.volumeMode);
  },
  columns: [
    nameColumn,
    column('Capacity', 'How large it is.', (volume) => volume.spec?.capacity?.['storage'] ?? '0'),
    column('Access Modes', 'How it may be mounted.', (volume) => modesText(volume.spec?.accessModes)),
    column('Reclaim Policy', 'What happens when it is released.', (v) => v.spec?.persistentVolumeReclaimPolicy ?? ''),
    column('Status', 'Where it is in its life.', (volume) =>
      volume.metadata.deletionTimestamp ? 'Terminating' : (volume.status?.phase ?? ''),
    ),
    column('Claim', 'Who holds it.', ({ spec }) =>
      spec?.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : '',
    ),
    column('StorageClass', 'Its class.', (volume) => classOf(volume, volume.spec?.storageClassName)),
    column('VolumeAttributesClass', 'Class of its attributes.', (v) => v.spec?.volumeAttributesClassName ?? '<unset>'),
    column('Reason', 'Why it failed.', (volume) => volume.status?.reason ?? ''),
    ageColumn,
    wide('VolumeMode', 'Filesystem or Block.', (volume) => volume.spec?.volumeMode ?? '<unset>'),
  ],
});

export const persistentVolumeClaimStrategy = plainStrategy<Claim>({
  kind: persistentVolumeClaimKind,
  answersDeleted: true,
  subresources: ['status'],
  defaults(claim) {
    (claim.status ??= {}).phase ||= 'Pending';
    (claim.spec ??= {}).volumeMode ??= 'Filesystem';
  },
  create(claim) {
    claim.status = { phase: 'Pending' };
    const spec = claim.spec ?? {};
    if (spec.dataSource && !spec.dataSourceRef) spec.dataSourceRef = { ...spec.dataSource };
    else if (spec.dataSourceRef && !spec.dataSource && !spec.dataSourceRef.namespace)
      spec.dataSource = { ...spec.dataSourceRef };
  },
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') return;
    const spec = next.spec ?? {};
    checkModes(mistakes, spec.accessModes, 'at least 1 access mode is required');
    checkSelector(mistakes, 'spec.selector', spec.selector);
    const size = spec.resources?.requests?.['storage'];
    if (size === undefined) mistakes.push(fieldErrors.required('spec.resources[storage]'));
    else if (!isPositive(size)) mistakes.push(notPositive('spec.resources[storage]', size));
    if (spec.storageClassName) checkName(mistakes, 'spec.storageClassName', spec.storageClassName, dnsSubdomain);
    checkOneOf(mistakes, 'spec.volumeMode', spec.volumeMode, volumeModes);
    if (current) checkClaimChange(mistakes, next, current);
  },
  columns: [
    nameColumn,
    column('Status', 'Where it is in its life.', (claim) =>
      claim.metadata.deletionTimestamp ? 'Terminating' : (claim.status?.phase ?? ''),
    ),
    column('Volume', 'The volume it got.', (claim) => claim.spec?.volumeName ?? ''),
    column('Capacity', 'How large that is.', (claim) =>
      claim.spec?.volumeName ? (claim.status?.capacity?.['storage'] ?? '0') : '',
    ),
    column('Access Modes', 'How it may be mounted.', (claim) =>
      claim.spec?.volumeName ? modesText(claim.status?.accessModes) : '',
    ),
    column('StorageClass', 'Its class.', (claim) => classOf(claim, claim.spec?.storageClassName)),
    column('VolumeAttributesClass', 'Class of its attributes.', (c) => c.spec?.volumeAttributesClassName ?? '<unset>'),
    ageColumn,
    wide('VolumeMode', 'Filesystem or Block.', (claim) => claim.spec?.volumeMode ?? '<unset>'),
  ],
});

/** A bound claim may ask for more room; nothing else ever changes. */
function checkClaimChange(mistakes: Mistakes, next: Readonly<Claim>, current: Readonly<Claim>): void {
  const bound = next.status?.phase === 'Bound';
  const rest = (claim: Readonly<Claim>, other: Readonly<Claim>) => ({
    ...claim.spec,
    volumeName: current.spec?.volumeName ? claim.spec?.volumeName : undefined,
    storageClassName:
      other.spec?.storageClassName === undefined || claim.spec?.storageClassName === undefined
        ? undefined
        : claim.spec.storageClassName,
    ...(bound
      ? {
          volumeAttributesClassName: undefined,
          resources: { ...claim.spec?.resources, requests: { ...claim.spec?.resources?.requests, storage: '' } },
        }
      : {}),
  });
  if (!sameJson(rest(next, current), rest(current, next)))
    mistakes.push(
      fieldErrors.forbidden(
        'spec',
        'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      ),
    );
  const size = (claim: Readonly<Claim>) => parseNano(claim.spec?.resources?.requests?.['storage'] ?? '0') ?? 0n;
  const held = parseNano(current.status?.capacity?.['storage'] ?? '0') ?? 0n;
  if (size(next) < size(current) && size(next) <= held)
    mistakes.push(
      fieldErrors.forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'),
    );
  checkImmutable(mistakes, 'volumeMode', next.spec?.volumeMode, current.spec?.volumeMode);
}
