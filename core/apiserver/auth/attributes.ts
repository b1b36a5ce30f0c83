import { errors, StatusError } from '#api';
import type { UserInfo } from '#sdk';

/** What a request wants, as its path was parsed once. The same shape as the server's contract. */
export interface Attributes {
  /** get list watch create update patch delete deletecollection; the lower-case HTTP method outside resources. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
  readonly isResource: boolean;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}
export interface Decision {
  readonly allowed: boolean;
  readonly reason?: string;
}

export const mastersGroup = 'system:masters';
export const nodesGroup = 'system:nodes';
export const authenticatedGroup = 'system:authenticated';
export const anonymousUser: UserInfo = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** The name of the node this user is, undefined for everybody else. */
export const nodeNameOf = (user: UserInfo): string | undefined =>
  user.groups.includes(nodesGroup) && user.name.startsWith('system:node:') ? user.name.slice(12) : undefined;

/** 403 in the words that clients match on. */
export function forbidden(user: UserInfo, attributes: Attributes, reason = ''): StatusError {
  const { verb, group, resource, subresource, namespace, name, path } = attributes;
  const quoted = JSON.stringify;
  const because = reason && `: ${reason}`;
  const who = `User ${quoted(user.name)} cannot ${verb}`;
  if (!attributes.isResource)
    return new StatusError(403, 'Forbidden', `forbidden: ${who} path ${quoted(path)}${because}`, {});
  const what = quoted(subresource ? `${resource}/${subresource}` : resource);
  const where = namespace ? `in the namespace ${quoted(namespace)}` : 'at the cluster scope';
  const why = `${who} resource ${what} in API group ${quoted(group)} ${where}${because}`;
  return errors.forbidden(group ? `${resource}.${group}` : resource, name, why);
}
