import { errors } from '#api';
import type { UserInfo } from '#sdk';
import type { Authorizer } from '../contract.ts';
import { type Attributes, authenticatedGroup, forbidden } from './attributes.ts';

const extraPrefix = 'impersonate-extra-';
const authentication = 'authentication.k8s.io';
interface Asked {
  readonly name: string;
  readonly uid: string | undefined;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** Who the request is to be taken for. Every part of it needs the verb `impersonate`; throws 400 and 403. */
export async function impersonate(user: UserInfo, headers: Headers, authorizer: Authorizer): Promise<UserInfo> {
  const asked = askedOf(headers);
  if (!asked) return user;
  if (asked.name === '') throw errors.badRequest(`requested ${goText(asked)} without impersonating a user name`);
  for (const attributes of attributesOf(asked)) {
    const { allowed, reason } = await authorizer.authorize(user, attributes);
    if (!allowed) throw forbidden(user, attributes, reason);
  }
  const { name, uid, groups, extra } = asked;
  return { name, uid, groups: withImplied(name, groups), ...(Object.keys(extra).length > 0 && { extra }) };
}

export function wantsImpersonation(headers: Headers): boolean {
  for (const header of headers.keys()) if (header.startsWith('impersonate-')) return true;
  return false;
}

function askedOf(headers: Headers): Asked | undefined {
  if (!wantsImpersonation(headers)) return undefined;
  const extra: Record<string, string[]> = Object.create(null);
  for (const [header, value] of headers)
    if (header.startsWith(extraPrefix)) extra[decodeKey(header.slice(extraPrefix.length))] = list(value);
  return {
    name: headers.get('impersonate-user') ?? '',
    uid: headers.get('impersonate-uid') ?? undefined,
    groups: list(headers.get('impersonate-group')),
    extra,
  };
}

const accountOf = (name: string) => /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);

/** One question for each part of the identity. */
function* attributesOf({ name, uid, groups, extra }: Asked): Generator<Attributes> {
  const base: Attributes = {
    verb: 'impersonate',
    group: '',
    version: 'v1',
    resource: 'users',
    subresource: '',
    namespace: '',
    name,
    path: '',
    isResource: true,
  };
  const account = accountOf(name);
  yield account ? { ...base, resource: 'serviceaccounts', namespace: account[1]!, name: account[2]! } : base;
  for (const text of groups) yield { ...base, resource: 'groups', name: text };
  for (const [key, values] of Object.entries(extra))
    for (const value of values)
      yield { ...base, group: authentication, resource: 'userextras', subresource: key, name: value };
  if (uid !== undefined) yield { ...base, group: authentication, resource: 'uids', name: uid };
}

function withImplied(name: string, asked: readonly string[]): string[] {
  const account = accountOf(name);
  const implied =
    account && asked.length === 0 ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : [];
  const anonymous = name === 'system:anonymous';
  return [...new Set([...asked, ...implied, anonymous ? 'system:unauthenticated' : authenticatedGroup])];
}

const quote = JSON.stringify;
function goText({ name, uid = '', groups, extra }: Asked): string {
  const strings = (values: readonly string[]): string =>
    values.length === 0 ? '[]string(nil)' : `[]string{${values.map((text) => quote(text)).join(', ')}}`;
  const entries = Object.entries(extra);
  const map =
    entries.length === 0
      ? '(nil)'
      : `{${entries.map(([key, values]) => `${quote(key)}:${strings(values)}`).join(', ')}}`;
  return `&user.DefaultInfo{Name:${quote(name)}, UID:${quote(uid)}, Groups:${strings(groups)}, Extra:map[string][]string${map}}`;
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
