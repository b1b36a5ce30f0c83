import { errors, type Status, StatusError } from '#api';
import type { AdmissionRequest, AnyObject, JsonObject } from '../../contract.ts';
import type { Subject, Target } from './matching.ts';

/** What a webhook is asked, as `request` of an AdmissionReview; expressions see it under the same name. */
export function reviewRequest(
  request: Pick<AdmissionRequest, 'user' | 'dryRun' | 'info' | 'options'>,
  subject: Subject,
  target: Target,
): JsonObject {
  const { operation, subresource, name, namespace } = subject;
  const { user, dryRun } = request;
  const asked = subject.target;
  const resourceOf = ({ group, version, resource }: Target) => ({ group, version, resource });
  const kindOf = ({ group, version, kind }: Target) => ({ group, version, kind });
  return {
    kind: kindOf(target),
    resource: resourceOf(target),
    ...(subresource && { subResource: subresource }),
    requestKind: kindOf(asked),
    requestResource: resourceOf(asked),
    ...(subresource && { requestSubResource: subresource }),
    ...(name && { name }),
    ...(namespace && { namespace }),
    operation,
    userInfo: {
      username: user.name,
      ...(user.uid && { uid: user.uid }),
      groups: user.groups,
      ...(user.extra && Object.keys(user.extra).length > 0 && { extra: user.extra }),
    },
    dryRun,
    options: optionsOf(request, operation),
  };
}

const optionKinds: Readonly<Record<string, string>> = {
  CREATE: 'CreateOptions',
  UPDATE: 'UpdateOptions',
  DELETE: 'DeleteOptions',
};
function optionsOf(
  { info, options, dryRun }: Pick<AdmissionRequest, 'info' | 'options' | 'dryRun'>,
  operation: string,
): JsonObject | null {
  if (operation === 'CONNECT') return null;
  const kind = info.verb === 'patch' && operation === 'UPDATE' ? 'PatchOptions' : optionKinds[operation]!;
  const query = (name: string) => info.query.get(name) || undefined;
  const force = info.query.get('force');
  return {
    kind,
    apiVersion: 'meta.k8s.io/v1',
    ...(operation === 'DELETE'
      ? options
      : {
          fieldManager: query('fieldManager'),
          fieldValidation: query('fieldValidation'),
          ...(kind === 'PatchOptions' && force !== null && { force: force === 'true' || force === '1' }),
        }),
    ...(dryRun && { dryRun: ['All'] }),
  };
}

export interface Review {
  readonly version: 'v1' | 'v1beta1';
  readonly body: JsonObject;
  readonly uid: string;
}
export function reviewOf(
  request: JsonObject,
  version: Review['version'],
  uid: string,
  object: Readonly<AnyObject> | undefined,
  old: Readonly<AnyObject> | undefined,
): Review {
  return {
    version,
    uid,
    body: {
      kind: 'AdmissionReview',
      apiVersion: `admission.k8s.io/${version}`,
      request: { uid, ...request, object: object ?? null, oldObject: old ?? null },
    },
  };
}

export interface Verdict {
  readonly allowed: boolean;
  /** Of a JSON patch. */
  readonly patch?: unknown;
  readonly warnings: readonly string[];
  readonly status?: Partial<Status>;
}
type Response = {
  readonly uid?: unknown;
  readonly allowed?: unknown;
  readonly patch?: unknown;
  readonly patchType?: unknown;
  readonly warnings?: readonly unknown[];
  readonly status?: Partial<Status>;
};

/** Throws an Error that says what is wrong with the answer. */
export function verdictOf(answer: unknown, { uid, version }: Review, mutating: boolean): Verdict {
  const invalid = (why: string) => new Error(`received invalid webhook response: ${why}`);
  const review = (typeof answer === 'object' && answer !== null ? answer : {}) as JsonObject;
  const response = review['response'] as Response | null | undefined;
  if (!response) throw invalid('webhook response was absent');
  if (version === 'v1') {
    if (response.uid !== uid)
      throw invalid(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid ?? '')}`);
    const { kind = '', apiVersion = '' } = review as { kind?: string; apiVersion?: string };
    if (kind !== 'AdmissionReview' || apiVersion !== 'admission.k8s.io/v1')
      throw invalid(
        `expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`,
      );
    checkPatch(response, mutating, invalid);
  }
  const base = {
    allowed: response.allowed === true,
    warnings: (response.warnings ?? []).filter((one): one is string => typeof one === 'string'),
    status: response.status,
  };
  if (!mutating || !response.patch || !base.allowed) return base;
  if (version === 'v1' && response.patchType !== 'JSONPatch')
    throw new Error(`unsupported patch type ${JSON.stringify(response.patchType)}`);
  try {
    return { ...base, patch: JSON.parse(Buffer.from(String(response.patch), 'base64').toString()) as unknown };
  } catch (error) {
    throw new Error(`received undecodable patch in webhook response: ${(error as Error).message}`);
  }
}
function checkPatch({ patch, patchType }: Response, mutating: boolean, invalid: (why: string) => Error): void {
  if (!mutating) {
    if (patch) throw invalid('validating webhook may not return response.patch');
    if (patchType !== undefined && patchType !== null)
      throw invalid('validating webhook may not return response.patchType');
    return;
  }
  if (patch && (patchType === undefined || patchType === null))
    throw invalid('webhook returned response.patch but not response.patchType');
  if (!patch && patchType !== undefined && patchType !== null)
    throw invalid('webhook returned response.patchType but not response.patch');
  if (patchType === '') throw invalid('webhook returned invalid response.patchType of ""');
}

/** What a client is told of a refusal. */
export function refusalOf(name: string, status: Partial<Status> | undefined): StatusError {
  const by = `admission webhook ${JSON.stringify(name)} denied the request`;
  const { message, reason, code = 0, details } = status ?? {};
  const why = message ? `: ${message}` : reason ? `: ${reason}` : ' without explanation';
  return new StatusError(Math.max(code, 400), reason ?? '', by + why, details);
}
export const failedCalling = (name: string, why: string): StatusError =>
  errors.internal(`failed calling webhook ${JSON.stringify(name)}: ${why}`);
