import { StatusError } from '#api';
import type { UserInfo } from '#sdk';
import { jsonAnswer } from './answer.ts';
import { readObject } from './body.ts';
import type { JsonObject, RequestInfo } from './contract.ts';
import type { Core } from './core.ts';

/** Questions that are asked by POST and never stored: who am I, may I, whose token is this. */
interface Asked {
  readonly core: Core;
  readonly info: RequestInfo;
  readonly user: UserInfo;
  readonly spec: JsonObject;
}
type Review = (asked: Asked) => Promise<{ spec?: JsonObject; status: JsonObject }>;

const reviews: Readonly<Record<string, { readonly kind: string; readonly answer: Review }>> = {
  'authorization.k8s.io/selfsubjectaccessreviews': {
    kind: 'SelfSubjectAccessReview',
    answer: async ({ core, user, spec }) => ({ spec, status: await decide(core, user, spec) }),
  },
  'authorization.k8s.io/subjectaccessreviews': { kind: 'SubjectAccessReview', answer: ofSubject },
  'authorization.k8s.io/localsubjectaccessreviews': { kind: 'LocalSubjectAccessReview', answer: ofSubject },
  'authentication.k8s.io/selfsubjectreviews': {
    kind: 'SelfSubjectReview',
    answer: async ({ user }) => ({ status: { userInfo: wireUser(user) } }),
  },
  'authentication.k8s.io/tokenreviews': {
    kind: 'TokenReview',
    async answer({ core, spec }) {
      const { tokens } = core.options;
      if (!tokens)
        throw new StatusError(501, 'NotImplemented', 'this server knows no tokens: it runs without a signing key');
      const audiences = Array.isArray(spec['audiences']) ? (spec['audiences'] as string[]) : undefined;
      return { spec, status: await tokens.review(String(spec['token'] ?? ''), audiences) };
    },
  },
};

/** Undefined: the request is no review. */
export async function answerReview(
  core: Core,
  request: Request,
  info: RequestInfo,
  user: UserInfo,
): Promise<Response | undefined> {
  const review = info.version === 'v1' && !info.subresource ? reviews[`${info.group}/${info.resource}`] : undefined;
  if (!review) return undefined;
  if (info.verb !== 'create' || info.name) {
    throw new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
  }
  const { value } = await readObject(request);
  const spec = (typeof value['spec'] === 'object' && value['spec'] ? value['spec'] : {}) as JsonObject;
  const answered = await review.answer({ core, info, user, spec });
  const body = {
    kind: review.kind,
    apiVersion: `${info.group}/v1`,
    metadata: { creationTimestamp: null },
    ...answered,
  };
  return jsonAnswer(request, body, { status: 201 });
}

async function ofSubject({ core, info, spec }: Asked): Promise<{ spec: JsonObject; status: JsonObject }> {
  const groups = Array.isArray(spec['groups']) ? (spec['groups'] as string[]) : [];
  const subject = { name: String(spec['user'] ?? ''), uid: spec['uid'] as string | undefined, groups };
  if (!subject.name && groups.length === 0) {
    throw new StatusError(
      422,
      'Invalid',
      'SubjectAccessReview.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified',
    );
  }
  return { spec, status: await decide(core, subject, spec, info.namespace) };
}

async function decide(core: Core, user: UserInfo, spec: JsonObject, within = ''): Promise<JsonObject> {
  const resource = spec['resourceAttributes'] as Record<string, string> | undefined;
  const path = spec['nonResourceAttributes'] as Record<string, string> | undefined;
  if (!resource === !path) {
    throw new StatusError(
      422,
      'Invalid',
      'SubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
  }
  const { allowed, reason } = await core.options.authorizer.authorize(user, {
    verb: resource?.['verb'] ?? path?.['verb'] ?? '',
    group: resource?.['group'] ?? '',
    version: resource?.['version'] ?? '',
    resource: resource?.['resource'] ?? '',
    subresource: resource?.['subresource'] ?? '',
    namespace: within || (resource?.['namespace'] ?? ''),
    name: resource?.['name'] ?? '',
    path: path?.['path'] ?? '',
    isResource: resource !== undefined,
  });
  return { allowed, ...(reason ? { reason } : {}) };
}

const wireUser = ({ name, uid, groups, extra }: UserInfo) => ({ username: name, uid, groups, extra });
