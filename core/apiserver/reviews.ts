import { apiVersionOf, errors, type FieldError, fieldErrors, invalidObject } from '#api';
import { timeText } from '#base';
import type { UserInfo } from '#sdk';
import { jsonAnswer } from './answer.ts';
import { readObject } from './body.ts';
import type { AnyObject, Attributes, JsonObject, RequestInfo, ServedKind } from './contract.ts';
import type { Core } from './core.ts';
import { jsonType, negotiate, notAcceptable, protobufType, yamlType } from './negotiate.ts';

/** Questions that are asked by POST and never stored: who am I, may I, whose token is this. */
interface Asked {
  readonly core: Core;
  readonly info: RequestInfo;
  readonly user: UserInfo;
  readonly object: AnyObject;
  readonly spec: JsonObject;
}
type Review = (asked: Asked) => Promise<JsonObject>;

const reviews: Readonly<Record<string, Review>> = {
  'authorization.k8s.io/selfsubjectaccessreviews': async (asked) => {
    refuse(asked, checkAccess(asked.spec));
    return { status: await decide(asked, asked.user) };
  },
  'authorization.k8s.io/subjectaccessreviews': ofSubject,
  'authorization.k8s.io/localsubjectaccessreviews': ofSubject,
  'authorization.k8s.io/selfsubjectrulesreviews': ofRules,
  'authentication.k8s.io/selfsubjectreviews': async ({ core, user }) => ({
    metadata: { creationTimestamp: timeText(core.clock.now()) },
    spec: undefined,
    status: { userInfo: wireUser(user) },
  }),
  'authentication.k8s.io/tokenreviews': ofToken,
};

/** Almost nothing is: said without waiting and before anything is looked up. */
export const isReview = (info: RequestInfo): boolean =>
  (info.group === 'authorization.k8s.io' || info.group === 'authentication.k8s.io') && info.isResource;

/** Undefined: the request is no review. */
export async function answerReview(
  core: Core,
  request: Request,
  info: RequestInfo,
  user: UserInfo,
): Promise<Response | undefined> {
  const review = info.version === 'v1' && !info.subresource ? reviews[`${info.group}/${info.resource}`] : undefined;
  const served = review && core.kinds.find(info.group, info.version, info.resource);
  if (!review || !served) return undefined;
  if (info.verb !== 'create' || info.name || Boolean(info.namespace) !== served.kind.namespaced) {
    throw errors.methodNotAllowed('the server does not allow this method on the requested resource');
  }
  // Their answers have no rows: https://kubernetes.io/docs/reference/using-api/api-concepts#table-fetches
  if (negotiate(request, info.query, { protobuf: true, verb: info.verb }).as === 'Table')
    throw notAcceptable([jsonType, yamlType, protobufType]);
  const { value } = await readObject(request);
  const object = decode(core, served, value);
  const spec = (typeof object['spec'] === 'object' && object['spec'] ? object['spec'] : {}) as JsonObject;
  if (info.namespace) object.metadata.namespace = info.namespace;
  const track = {
    manager: (request.headers.get('user-agent') ?? '').split('/')[0] || 'unknown',
    nowMs: core.clock.now(),
  };
  const { kind } = served;
  const answered = await review({ core, info, user, object, spec });
  if (!answered['metadata']) core.patches.trackUpdate(kind.type, undefined, object, track);
  const body = { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata: object.metadata, spec, ...answered };
  return jsonAnswer(request, body, { status: 201 });
}

function decode(core: Core, { kind }: ServedKind, value: JsonObject): AnyObject {
  const given = value['kind'];
  if (given !== undefined && given !== '' && given !== kind.kind) {
    throw errors.badRequest(
      `${String(given)} in version "${String(value['apiVersion'] ?? '')}" cannot be handled as a ${kind.kind}: converting (${String(given)}) to (${kind.kind}): unknown conversion`,
    );
  }
  const { errors: mistakes } = core.schema?.decode(kind.type, value) ?? { errors: [] as FieldError[] };
  if (mistakes.length > 0)
    throw errors.badRequest(
      `${kind.kind} in version "v1" cannot be handled as a ${kind.kind}: ${mistakes.map(({ message }) => message).join(', ')}`,
    );
  const metadata = (value['metadata'] ?? {}) as AnyObject['metadata'];
  return { ...value, metadata, apiVersion: apiVersionOf(kind), kind: kind.kind } as AnyObject;
}

/** Upstream's refusals of reviews name no kind. */
function refuse({ info }: Asked, mistakes: readonly FieldError[]): void {
  if (mistakes.length > 0) throw invalidObject('', info.group, '', mistakes);
}

function checkAccess(spec: JsonObject): FieldError[] {
  const both = !spec['resourceAttributes'] === !spec['nonResourceAttributes'];
  return both
    ? [
        fieldErrors.invalid(
          'spec',
          spec['nonResourceAttributes'],
          'exactly one of nonResourceAttributes or resourceAttributes must be specified',
        ),
      ]
    : [];
}

async function ofSubject(asked: Asked): Promise<JsonObject> {
  const { spec, info } = asked;
  const groups = (spec['groups'] as string[] | undefined) ?? [];
  const name = (spec['user'] as string | undefined) ?? '';
  const mistakes = checkAccess(spec);
  if (!name && groups.length === 0)
    mistakes.push(fieldErrors.invalid('spec.user', '', 'at least one of user or group must be specified'));
  const resource = spec['resourceAttributes'] as { namespace?: string } | undefined;
  if (info.namespace && resource && (resource.namespace ?? '') !== info.namespace)
    mistakes.push(
      fieldErrors.invalid(
        'spec.resourceAttributes.namespace',
        resource.namespace ?? '',
        'must match metadata.namespace',
      ),
    );
  if (info.namespace && spec['nonResourceAttributes'])
    mistakes.push(
      fieldErrors.invalid(
        'spec.nonResourceAttributes',
        spec['nonResourceAttributes'],
        'disallowed on this kind of request',
      ),
    );
  refuse(asked, mistakes);
  const subject: UserInfo = {
    name,
    uid: spec['uid'] as string | undefined,
    groups,
    extra: spec['extra'] as Record<string, string[]> | undefined,
  };
  return { status: await decide(asked, subject) };
}

interface Selector {
  readonly rawSelector?: string;
  readonly requirements?: readonly { readonly key: string; readonly operator: string; readonly values?: string[] }[];
}
/** As a query would carry it; what cannot be said so is left out, which allows less. */
const selectorText = (selector: Selector | undefined): string | undefined =>
  selector?.rawSelector ||
  selector?.requirements
    ?.filter(({ operator, values }) => operator === 'In' && values?.length === 1)
    .map(({ key, values }) => `${key}=${values![0]}`)
    .join(',');

async function decide({ core, spec }: Asked, user: UserInfo): Promise<JsonObject> {
  type Resource = Record<string, string> & { fieldSelector?: Selector; labelSelector?: Selector };
  const resource = spec['resourceAttributes'] as Resource | undefined;
  const path = spec['nonResourceAttributes'] as Record<string, string> | undefined;
  const asked: Attributes = {
    verb: resource?.['verb'] ?? path?.['verb'] ?? '',
    group: resource?.['group'] ?? '',
    version: resource?.['version'] ?? '',
    resource: resource?.['resource'] ?? '',
    subresource: resource?.['subresource'] ?? '',
    namespace: resource?.['namespace'] ?? '',
    name: resource?.['name'] ?? '',
    path: path?.['path'] ?? '',
    isResource: resource !== undefined,
    fieldSelector: selectorText(resource?.fieldSelector as unknown as Selector | undefined),
    labelSelector: selectorText(resource?.labelSelector as unknown as Selector | undefined),
  };
  const { allowed, denied, reason } = await core.options.authorizer.authorize(user, asked);
  return { allowed, ...(denied ? { denied } : {}), ...(reason ? { reason } : {}) };
}

async function ofRules({ core, user, spec }: Asked): Promise<JsonObject> {
  const namespace = (spec['namespace'] as string | undefined) ?? '';
  if (!namespace) throw errors.badRequest('no namespace on request');
  const held = core.options.authorizer.rulesFor?.(user, namespace);
  const rules = held?.rules ?? [];
  return {
    spec: {},
    status: {
      resourceRules: rules
        .filter((rule) => rule.resources?.length)
        .map(({ verbs, apiGroups, resources, resourceNames }) => ({
          verbs,
          apiGroups,
          resources,
          ...(resourceNames?.length && { resourceNames }),
        })),
      nonResourceRules: rules
        .filter((rule) => rule.nonResourceURLs?.length)
        .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete: held?.incomplete ?? true,
      ...(held?.error && { evaluationError: held.error }),
    },
  };
}

async function ofToken({ core, spec }: Asked): Promise<JsonObject> {
  const token = (spec['token'] as string | undefined) ?? '';
  if (!token) throw errors.badRequest('token is required for TokenReview in authentication');
  const audiences = Array.isArray(spec['audiences']) ? (spec['audiences'] as string[]) : undefined;
  // Every credential that this server takes, not only its own tokens.
  const request = new Request('http://localhost/', { headers: { authorization: `Bearer ${token}` } });
  const known = audiences?.length
    ? undefined
    : await Promise.try(() => core.options.authenticator.authenticate(request)).catch(() => undefined);
  if (known && !known.name.startsWith('system:serviceaccount:')) {
    const groups = [...new Set([...known.groups, 'system:authenticated'])];
    return { status: { authenticated: true, user: wireUser({ ...known, groups }) } };
  }
  const { tokens } = core.options;
  if (!tokens) return { status: { user: {}, error: 'invalid bearer token' } };
  const status = await tokens.review(token, audiences);
  return { status: status['authenticated'] ? status : { user: {}, ...status } };
}

const wireUser = ({ name, uid, groups, extra }: UserInfo) => ({ username: name, uid, groups, extra });
