import {
  type DeviceClass,
  type DeviceTaintRule,
  deviceClassKind,
  deviceTaintRuleKind,
  fieldErrors,
  type KubeObject,
  type ResourceClaimTemplate,
  type ResourceResourceClaim,
  type ResourceSlice,
  resourceClaimKind,
  resourceClaimTemplateKind,
  resourceSliceKind,
} from '#api';
import { timeText } from '#base';
import { since } from './rules/age.ts';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { dnsLabel, dnsSubdomain, qualifiedName } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkFixed, checkImmutable, checkName, checkNeededName, checkOneOf, type Mistakes } from './rules/values.ts';
import { checkDriverName } from './storage.ts';

type Spec = NonNullable<ResourceResourceClaim['spec']>;
const requestsMax = 32;
const modes = ['All', 'ExactCount'];
interface Counted {
  allocationMode?: string;
  count?: number;
  deviceClassName?: string;
}

function defaultCount(request: Counted): void {
  request.allocationMode ||= 'ExactCount';
  if (request.allocationMode === 'ExactCount') request.count ||= 1;
}
function defaultClaim(spec: Spec | undefined): void {
  for (const request of spec?.devices?.requests ?? []) {
    if (request.exactly) defaultCount(request.exactly);
    for (const alternative of request.firstAvailable ?? []) defaultCount(alternative);
  }
}

function checkCount(mistakes: Mistakes, at: string, request: Readonly<Counted>): void {
  checkNeededName(mistakes, `${at}.deviceClassName`, request.deviceClassName, dnsSubdomain);
  const { allocationMode, count = 0 } = request;
  checkOneOf(mistakes, `${at}.allocationMode`, allocationMode, modes);
  if (allocationMode === 'ExactCount' && count <= 0)
    mistakes.push(fieldErrors.invalid(`${at}.count`, count, 'must be greater than zero'));
  if (allocationMode === 'All' && count !== 0)
    mistakes.push(fieldErrors.invalid(`${at}.count`, count, "must not be specified when allocationMode is 'All'"));
}
function checkClaim(mistakes: Mistakes, at: string, spec: Readonly<Spec> | undefined): void {
  const requests = spec?.devices?.requests ?? [];
  if (requests.length > requestsMax)
    mistakes.push({
      type: 'FieldValueTooMany',
      field: `${at}.devices.requests`,
      message: `Too many: ${requests.length}: must have at most ${requestsMax} items`,
    });
  const names = new Set<string>();
  for (const [index, request] of requests.entries()) {
    const field = `${at}.devices.requests[${index}]`;
    checkNeededName(mistakes, `${field}.name`, request.name, dnsLabel);
    if (names.has(request.name)) mistakes.push(fieldErrors.duplicate(`${field}`, request.name));
    names.add(request.name);
    const { exactly, firstAvailable } = request;
    if (!exactly === !firstAvailable?.length)
      mistakes.push(fieldErrors.required(field, 'exactly one of `exactly` or `firstAvailable` is required'));
    if (exactly) checkCount(mistakes, `${field}.exactly`, exactly);
    for (const [inner, alternative] of (firstAvailable ?? []).entries())
      checkCount(mistakes, `${field}.firstAvailable[${inner}]`, alternative);
  }
}

export const resourceClaimStrategy = plainStrategy<ResourceResourceClaim & KubeObject>({
  kind: resourceClaimKind,
  answersDeleted: true,
  subresources: ['status'],
  defaults: ({ spec }) => defaultClaim(spec),
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') return;
    if (current) checkFixed(mistakes, 'spec', next.spec, current.spec);
    else checkClaim(mistakes, 'spec', next.spec);
  },
  columns: [
    nameColumn,
    column('State', 'Whether it has its devices.', ({ metadata, status }) => {
      const states = metadata.deletionTimestamp ? ['deleted'] : [];
      if (!status?.allocation) return [...states, ...(metadata.deletionTimestamp ? [] : ['pending'])].join(',');
      return [...states, 'allocated', ...(status.reservedFor?.length ? ['reserved'] : [])].join(',');
    }),
    ageColumn,
  ],
});
export const resourceClaimTemplateStrategy = plainStrategy<ResourceClaimTemplate & KubeObject>({
  kind: resourceClaimTemplateKind,
  answersDeleted: true,
  defaults: ({ spec }) => defaultClaim(spec?.spec),
  check(mistakes, next, current) {
    if (current) checkImmutable(mistakes, 'spec', next.spec, current.spec);
    else checkClaim(mistakes, 'spec.spec', next.spec?.spec);
  },
});
export const deviceClassStrategy = plainStrategy<DeviceClass & KubeObject>({
  kind: deviceClassKind,
  answersDeleted: true,
  generation: true,
  check(mistakes, { spec }) {
    for (const [index, selector] of (spec?.selectors ?? []).entries())
      if (!selector.cel?.expression) mistakes.push(fieldErrors.required(`spec.selectors[${index}].cel`));
  },
});

export const deviceTaintRuleStrategy = plainStrategy<DeviceTaintRule & KubeObject>({
  kind: deviceTaintRuleKind,
  needsVersion: true,
  subresources: ['status'],
  generation: true,
  create(draft, { nowMs }) {
    if (draft.spec?.taint) draft.spec.taint.timeAdded ??= timeText(nowMs);
  },
  check(mistakes, { spec }, _current, subresource) {
    if (subresource === 'status') return;
    const { key, effect } = spec?.taint ?? {};
    checkName(mistakes, 'spec.taint.key', key ?? '', qualifiedName);
    if (!effect) mistakes.push(fieldErrors.required('spec.taint.effect'));
    else checkOneOf(mistakes, 'spec.taint.effect', effect, ['NoExecute', 'NoSchedule', 'None']);
    const driver = spec?.deviceSelector?.driver;
    if (driver !== undefined) checkDriverName(mistakes, 'spec.deviceSelector.driver', driver);
  },
  columns: [
    nameColumn,
    column('Key', 'What it says.', ({ spec }) => spec?.taint?.key ?? ''),
    column('Value', 'More about it.', ({ spec }) => spec?.taint?.value ?? ''),
    column('Effect', 'What it does.', ({ spec }) => spec?.taint?.effect ?? ''),
    column('TimeAdded', 'Since when.', ({ spec }, nowMs) => since(spec?.taint?.timeAdded, nowMs)),
    ageColumn,
  ],
});

export const resourceSliceStrategy = plainStrategy<ResourceSlice & KubeObject>({
  kind: resourceSliceKind,
  answersDeleted: true,
  generation: true,
  check(mistakes, { spec }, current, _part, late) {
    checkDriverName(mistakes, 'spec.driver', spec.driver);
    if (!spec.pool?.name) mistakes.push(fieldErrors.required('spec.pool.name'));
    else for (const part of spec.pool.name.split('/')) checkName(mistakes, 'spec.pool.name', part, dnsSubdomain);
    const places = ['nodeName', 'nodeSelector', 'allNodes', 'perDeviceNodeSelection'] as const;
    const given = places.filter((name) => spec[name] !== undefined && spec[name] !== false);
    const union = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';
    if (given.length === 0) late.push(fieldErrors.required('spec', union));
    if (given.length > 1) late.push(fieldErrors.invalid('spec', `{${given.join(', ')}}`, union));
    const count = spec.pool?.resourceSliceCount ?? 0;
    if (count <= 0)
      mistakes.push(fieldErrors.invalid('spec.pool.resourceSliceCount', count, 'must be greater than zero'));
    for (const [index, device] of (spec.devices ?? []).entries())
      checkNeededName(mistakes, `spec.devices[${index}].name`, device.name, dnsLabel);
    if (!current) return;
    checkImmutable(mistakes, 'spec.pool.name', spec.pool?.name ?? '', current.spec.pool?.name);
    checkImmutable(mistakes, 'spec.driver', spec.driver ?? '', current.spec.driver);
    checkImmutable(mistakes, 'spec.nodeName', spec.nodeName, current.spec.nodeName);
  },
  fields: ({ spec }) => ({
    'spec.nodeName': spec?.nodeName ?? '',
    'spec.driver': spec?.driver ?? '',
    'spec.pool.name': spec?.pool?.name ?? '',
  }),
  columns: [
    nameColumn,
    column('Node', 'The node, if it is one.', ({ spec }) => spec.nodeName ?? ''),
    column('Driver', 'Who publishes it.', ({ spec }) => spec.driver),
    column('Pool', 'The pool it is part of.', ({ spec }) => spec.pool.name),
    ageColumn,
  ],
});
