import { errors } from '#api';
import type { UserInfo } from '#sdk';
import { authenticatedGroup, forbidden, mastersGroup } from './attributes.ts';

const extraPrefix = 'impersonate-extra-';

/** Who the request is to be taken for. Until there are roles, only administrators may ask. */
export function impersonate(user: UserInfo, headers: Headers): UserInfo {
  const name = headers.get('impersonate-user') ?? '';
  const uid = headers.get('impersonate-uid') ?? undefined;
  const groups = list(headers.get('impersonate-group'));
  const extra: Record<string, string[]> = Object.create(null);
  for (const [header, value] of headers)
    if (header.startsWith(extraPrefix)) extra[decodeKey(header.slice(extraPrefix.length))] = list(value);
  const asked = name !== '' || uid !== undefined || groups.length > 0 || Object.keys(extra).length > 0;
  if (!asked) return user;
  if (name === '') throw errors.badRequest('requested impersonation without impersonating a user name');
  if (!user.groups.includes(mastersGroup)) {
    const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
    throw forbidden(user, {
      verb: 'impersonate',
      group: '',
      version: 'v1',
      resource: account ? 'serviceaccounts' : 'users',
      subresource: '',
      namespace: account?.[1] ?? '',
      name: account?.[2] ?? name,
      path: '',
      isResource: true,
    });
  }
  return { name, uid, groups: withImplied(name, groups), ...(Object.keys(extra).length > 0 && { extra }) };
}

function withImplied(name: string, asked: readonly string[]): string[] {
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  const implied =
    account && asked.length === 0 ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : [];
  const anonymous = name === 'system:anonymous';
  return [...new Set([...asked, ...implied, anonymous ? 'system:unauthenticated' : authenticatedGroup])];
}

// Repeated headers arrive joined by a comma; group names that hold one cannot be told apart and are not supported.
const list = (value: string | null): string[] =>
  (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
