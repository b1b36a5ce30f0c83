import { StatusError } from '#api';
import type { UserInfo } from '#sdk';
import { impersonate, wantsImpersonation } from './auth/impersonation.ts';
import type { Attributes, RequestInfo } from './contract.ts';
import type { Core } from './core.ts';

const anonymous: UserInfo = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** Who asks; as whom, when the request says so and that is allowed. */
export async function authenticate(core: Core, request: Request): Promise<UserInfo> {
  const known = core.options.authenticator.authenticate(request);
  const user = named(known instanceof Promise ? await known : known, request);
  return wantsImpersonation(request.headers) ? impersonate(user, request.headers, core.options.authorizer) : user;
}

function named(user: UserInfo | undefined, request: Request): UserInfo {
  if (user)
    return user.groups.includes('system:authenticated') || user.name === anonymous.name
      ? user
      : { ...user, groups: [...user.groups, 'system:authenticated'] };
  if (/^bearer\b/i.test(request.headers.get('authorization') ?? ''))
    throw new StatusError(401, 'Unauthorized', 'Unauthorized');
  return anonymous;
}

/** Throws 403 with upstream's sentence. Nothing is allowed that no rule allows. */
export async function authorize(core: Core, user: UserInfo, info: RequestInfo): Promise<void> {
  const attributes: Attributes = {
    verb: info.verb,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    path: info.path,
    isResource: info.isResource,
    fieldSelector: info.query.get('fieldSelector') ?? undefined,
    labelSelector: info.query.get('labelSelector') ?? undefined,
  };
  const decision = core.options.authorizer.authorize(user, attributes);
  const { allowed, reason } = decision instanceof Promise ? await decision : decision;
  if (!allowed) throw forbidden(user, info, reason ?? '');
  // A WebSocket upgrade arrives as GET, yet it runs commands: `create` is needed too, as upstream demands it.
  if (info.verb === 'get' && info.resource === 'pods' && streamed.has(info.subresource)) {
    const create = await core.options.authorizer.authorize(user, { ...attributes, verb: 'create' });
    if (!create.allowed) throw forbidden(user, { ...info, verb: 'create' }, create.reason ?? '');
  }
}
const streamed: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward']);

function forbidden(user: UserInfo, info: RequestInfo, reason: string): StatusError {
  const who = `User ${JSON.stringify(user.name)} cannot ${info.verb}`;
  const why = reason ? `: ${reason}` : '';
  if (!info.isResource)
    return new StatusError(403, 'Forbidden', `forbidden: ${who} path ${JSON.stringify(info.path)}${why}`, {});
  const resource = info.subresource ? `${info.resource}/${info.subresource}` : info.resource;
  const scope = info.namespace ? `in the namespace ${JSON.stringify(info.namespace)}` : 'at the cluster scope';
  const subject = `${info.resource}${info.group && `.${info.group}`}${info.name ? ` ${JSON.stringify(info.name)}` : ''}`;
  return new StatusError(
    403,
    'Forbidden',
    `${subject} is forbidden: ${who} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(info.group)} ${scope}${why}`,
    { name: info.name || undefined, group: info.group || undefined, kind: info.resource },
  );
}
