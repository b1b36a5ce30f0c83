import {
  type CertificateSigningRequest,
  type ClusterTrustBundle,
  certificateSigningRequestKind,
  clusterTrustBundleKind,
  fieldErrors,
  type KubeObject,
  type PodCertificateRequest,
  podCertificateRequestKind,
} from '#api';
import { timeText } from '#base';
import { humanDuration } from './rules/age.ts';
import { ageColumn, column, labelsText, nameColumn, wide } from './rules/columns.ts';
import { anyPathSegment } from './rules/metadata.ts';
import { dnsLabel, dnsSubdomain } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkImmutable, checkName, checkOneOf, type Mistakes, sameJson } from './rules/values.ts';

type Csr = CertificateSigningRequest & KubeObject;
type Condition = NonNullable<NonNullable<Csr['status']>['conditions']>[number];
const usages = [
  ...['signing', 'digital signature', 'content commitment', 'key encipherment', 'key agreement', 'data encipherment'],
  ...['cert sign', 'crl sign', 'encipher only', 'decipher only', 'any', 'server auth', 'client auth', 'code signing'],
  ...['email protection', 's/mime', 'ipsec end system', 'ipsec tunnel', 'ipsec user', 'timestamping', 'ocsp signing'],
  ...['microsoft sgc', 'netscape sgc'],
];
const durationSecondsMin = 600;
const signerDomainMax = 253;

const conditionsOf = (csr: Readonly<Csr>, type: string): Condition[] =>
  (csr.status?.conditions ?? []).filter((condition) => condition.type === type);

export function checkSignerName(mistakes: Mistakes, field: string, name: string | undefined): void {
  if (!name) {
    mistakes.push(fieldErrors.required(field));
    return;
  }
  const segments = name.split('/');
  if (segments.length !== 2) {
    mistakes.push(
      fieldErrors.invalid(
        field,
        name,
        "must be a fully qualified domain and path of the form 'example.com/signer-name'",
      ),
    );
    return;
  }
  const [domain = '', path = ''] = segments;
  if (domain.length > signerDomainMax) mistakes.push(fieldErrors.tooLong(field, signerDomainMax));
  const wrongLabel = domain.split('.').find((label) => dnsLabel(label).length > 0);
  for (const why of wrongLabel === undefined ? [] : dnsLabel(wrongLabel))
    mistakes.push(fieldErrors.invalid(field, domain, `validating label ${JSON.stringify(wrongLabel)}: ${why}`));
  if (!domain.includes('.'))
    mistakes.push(
      fieldErrors.invalid(field, domain, 'should be a domain with at least two segments separated by dots'),
    );
  const wrongPart = path.split('.').find((label) => dnsSubdomain(label).length > 0);
  for (const why of wrongPart === undefined ? [] : dnsSubdomain(wrongPart))
    mistakes.push(fieldErrors.invalid(field, path, `validating label ${JSON.stringify(wrongPart)}: ${why}`));
}

function checkConditions(mistakes: Mistakes, next: Readonly<Csr>): void {
  const at = 'status.conditions';
  const seen = new Set<string>();
  for (const [index, { type, status }] of (next.status?.conditions ?? []).entries()) {
    if (!type) mistakes.push(fieldErrors.required(`${at}[${index}].type`));
    const onlyTrue = ['Approved', 'Denied', 'Failed'].includes(type);
    if (!status) mistakes.push(fieldErrors.required(`${at}[${index}].status`));
    else checkOneOf(mistakes, `${at}[${index}].status`, status, onlyTrue ? ['True'] : ['False', 'True', 'Unknown']);
    const opposite = { Approved: 'Denied', Denied: 'Approved' }[type];
    if (opposite && seen.has(opposite))
      mistakes.push(fieldErrors.invalid(at, type, 'Approved and Denied conditions are mutually exclusive'));
    if (seen.has(type)) mistakes.push(fieldErrors.duplicate(`${at}[${index}].type`, type));
    seen.add(type);
  }
}

function checkConditionChange(
  mistakes: Mistakes,
  next: Readonly<Csr>,
  current: Readonly<Csr>,
  subresource: string | undefined,
): void {
  const refuse = (why: string) => mistakes.push(fieldErrors.forbidden('status.conditions', why));
  for (const type of ['Approved', 'Denied', 'Failed'])
    if (conditionsOf(next, type).length < conditionsOf(current, type).length)
      refuse(`updates may not remove a condition of type "${type}"`);
  for (const type of subresource === 'approval' ? [] : ['Approved', 'Denied']) {
    const [after, before] = [conditionsOf(next, type), conditionsOf(current, type)];
    if (after.length > before.length) refuse(`updates may not add a condition of type "${type}"`);
    else if (after.length === before.length && !sameJson(after, before))
      refuse(`updates may not modify a condition of type "${type}"`);
  }
  if (next.status?.certificate === current.status?.certificate) return;
  if (subresource !== 'status')
    mistakes.push(fieldErrors.forbidden('status.certificate', 'updates may not set certificate content'));
  else if (current.status?.certificate)
    mistakes.push(fieldErrors.forbidden('status.certificate', 'updates may not modify existing certificate content'));
}

/** Conditions that a client added get their times. */
function stampConditions(next: Csr, current: Readonly<Csr>, nowMs: number): void {
  for (const condition of next.status?.conditions ?? []) {
    condition.lastUpdateTime ??= timeText(nowMs);
    if (condition.lastTransitionTime) continue;
    const old = current.status?.conditions?.find((other) => other.type === condition.type);
    condition.lastTransitionTime =
      old?.status === condition.status && old.lastTransitionTime ? old.lastTransitionTime : timeText(nowMs);
  }
}

export const certificateSigningRequestStrategy = plainStrategy<Csr>({
  kind: certificateSigningRequestKind,
  subresources: ['status', 'approval'],
  nameRule: anyPathSegment,
  defaults({ spec }) {
    if (spec && !spec.usages?.length) delete (spec as { usages?: unknown }).usages;
  },
  create(draft, { user }) {
    const { name, uid, groups, extra } = user;
    draft.spec = {
      ...draft.spec,
      username: name,
      uid,
      groups: [...groups],
      extra: extra && Object.keys(extra).length > 0 ? (structuredClone(extra) as Record<string, string[]>) : undefined,
    };
    draft.status = {};
  },
  update(next, current, { subresource, nowMs }) {
    next.spec = current.spec;
    if (subresource === 'approval') next.status = { ...current.status, conditions: next.status?.conditions };
    if (subresource) stampConditions(next, current, nowMs);
  },
  check(mistakes, next, current, subresource) {
    const { spec } = next;
    const pem = Buffer.from(spec.request ?? '', 'base64').toString('latin1');
    const wrong = (why: string) => mistakes.push(fieldErrors.invalid('spec.request', spec.request, why));
    if (!/^-----BEGIN (NEW )?CERTIFICATE REQUEST-----\r?\n/m.test(pem))
      wrong('PEM block type must be CERTIFICATE REQUEST');
    else if (isCut(pem)) wrong('asn1: syntax error: data truncated');
    if (!spec.usages?.length) mistakes.push(fieldErrors.required('spec.usages'));
    for (const [index, usage] of (spec.usages ?? []).entries()) {
      checkOneOf(mistakes, `spec.usages[${index}]`, usage, usages);
      if (spec.usages!.indexOf(usage) < index) mistakes.push(fieldErrors.duplicate(`spec.usages[${index}]`, usage));
    }
    if (spec.signerName === 'kubernetes.io/legacy-unknown')
      mistakes.push(
        fieldErrors.invalid(
          'spec.signerName',
          spec.signerName,
          'the legacy signerName is not allowed via this API version',
        ),
      );
    else checkSignerName(mistakes, 'spec.signerName', spec.signerName);
    if (spec.expirationSeconds !== undefined && spec.expirationSeconds < durationSecondsMin)
      mistakes.push(
        fieldErrors.invalid(
          'spec.expirationSeconds',
          spec.expirationSeconds,
          'may not specify a duration less than 600 seconds (10 minutes)',
        ),
      );
    checkConditions(mistakes, next);
    if (current) checkConditionChange(mistakes, next, current, subresource);
  },
  fields: (csr) => ({ 'spec.signerName': csr.spec.signerName ?? '' }),
  columns: [
    nameColumn,
    ageColumn,
    column('SignerName', 'Who is asked to sign.', (csr) => csr.spec.signerName || '<none>'),
    column('Requestor', 'Who asked.', (csr) => csr.spec.username ?? ''),
    column('RequestedDuration', 'For how long.', ({ spec }) =>
      spec.expirationSeconds === undefined ? '<none>' : humanDuration(spec.expirationSeconds * 1000),
    ),
    column('Condition', 'What became of it.', conditionText),
  ],
});

/** Whether the outermost sequence says to be longer than it is. */
function isCut(pem: string): boolean {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
  const first = der[1] ?? 0x80;
  const lengthBytes = first & 0x80 ? first & 0x7f : 0;
  if (lengthBytes > 4 || der.length < 2 + lengthBytes) return true;
  const length = lengthBytes === 0 ? first : der.readUIntBE(2, lengthBytes);
  return der.length < 2 + lengthBytes + length;
}

function conditionText(csr: Readonly<Csr>): string {
  const has = (type: string) => conditionsOf(csr, type).length > 0;
  const parts = [has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending'];
  if (has('Failed')) parts.push('Failed');
  if (csr.status?.certificate) parts.push('Issued');
  return parts.join(',');
}

export const clusterTrustBundleStrategy = plainStrategy<ClusterTrustBundle & KubeObject>({
  kind: clusterTrustBundleKind,
  needsVersion: true,
  nameRule: anyPathSegment,
  check(mistakes, { metadata, spec }, current) {
    const { signerName = '', trustBundle = '' } = spec ?? {};
    const name = metadata.name ?? '';
    const wrongName = (why: string) => mistakes.push(fieldErrors.invalid('metadata.name', name, why));
    const prefix = `${signerName.replaceAll('/', ':')}:`;
    if (!signerName) {
      if (name.includes(':')) wrongName('ClusterTrustBundle without signer name must not have ":" in its name');
      else checkName(mistakes, 'metadata.name', name, dnsSubdomain);
    } else if (!name.startsWith(prefix))
      wrongName(`ClusterTrustBundle for signerName ${signerName} must be named with prefix ${prefix}`);
    else for (const why of dnsSubdomain(name.slice(prefix.length))) wrongName(why);
    if (signerName) checkSignerName(mistakes, 'spec.signerName', signerName);
    if (current) checkImmutable(mistakes, 'spec.signerName', signerName, current.spec?.signerName ?? '');
    const blocks = trustBundle.match(/-----BEGIN CERTIFICATE-----/g) ?? [];
    if (blocks.length === 0)
      mistakes.push(
        fieldErrors.invalid('spec.trustBundle', '<value omitted>', 'at least one trust anchor must be provided'),
      );
  },
  fields: (bundle) => ({ 'spec.signerName': bundle.spec?.signerName ?? '' }),
  columns: [nameColumn, column('SignerName', 'Whose trust anchors.', (b) => b.spec?.signerName || '<none>')],
});

type PodRequest = PodCertificateRequest & KubeObject;
export const podCertificateRequestStrategy = plainStrategy<PodRequest>({
  kind: podCertificateRequestKind,
  needsVersion: true,
  subresources: ['status'],
  defaults({ spec }) {
    if (spec) spec.maxExpirationSeconds ??= 86_400;
  },
  check(mistakes, { spec }, current) {
    checkSignerName(mistakes, 'spec.signerName', spec.signerName);
    for (const name of ['podName', 'serviceAccountName', 'nodeName'] as const)
      checkName(mistakes, `spec.${name}`, spec[name] ?? '', dnsSubdomain);
    for (const name of ['podUID', 'serviceAccountUID', 'nodeUID'] as const)
      if (!spec[name]) mistakes.push(fieldErrors.required(`spec.${name}`, 'must not be empty'));
    if (current) checkImmutable(mistakes, 'spec', spec, current.spec);
  },
  fields: ({ spec }) => ({ 'spec.signerName': spec.signerName ?? '', 'spec.nodeName': spec.nodeName ?? '' }),
  columns: [
    nameColumn,
    column('PodName', 'The pod.', ({ spec }) => spec.podName ?? ''),
    column('ServiceAccountName', 'Its service account.', ({ spec }) => spec.serviceAccountName ?? ''),
    column('NodeName', 'Where it runs.', ({ spec }) => spec.nodeName ?? ''),
    column('SignerName', 'Who is asked to sign.', ({ spec }) => spec.signerName ?? ''),
    column('State', 'What became of it.', ({ status }) => {
      const types = (status?.conditions ?? []).map((condition) => condition.type);
      return types.filter((type) => ['Issued', 'Denied', 'Failed'].includes(type)).at(-1) ?? 'Pending';
    }),
    wide('UnverifiedUserAnnotations', 'What the pod says of itself.', ({ spec }) =>
      labelsText(spec.unverifiedUserAnnotations),
    ),
  ],
});
