import { cel, type UserInfo } from '#sdk';
import type { Attributes, Authorizer, Decision } from '../../contract.ts';

const { CelOpaque, celTypes: t, failure, method } = cel;
type CelOpaque = cel.CelOpaque;

/** What expressions call `authorizer`: it asks in the name of who makes the request, or of a service account. */

const opaque = (name: string) => t.opaque(`kubernetes.authorization.${name}`);
const types = {
  authorizer: opaque('Authorizer'),
  path: opaque('PathCheck'),
  group: opaque('GroupCheck'),
  resource: opaque('ResourceCheck'),
  decision: opaque('Decision'),
};
interface Asker {
  readonly authorizer: Authorizer;
  readonly user: UserInfo;
}
interface Check extends Asker {
  readonly attributes: Attributes;
}
interface Answer extends Decision {
  readonly error?: string;
}
let values = 0;
/** No two of these values are equal: the text that is compared is never the same. */
const made = (type: keyof typeof types, data: unknown): CelOpaque =>
  new CelOpaque((types[type] as { name: string }).name, data, String(++values));

const nowhere: Attributes = {
  verb: '',
  group: '',
  version: '*',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
  path: '',
  isResource: true,
};
export const authorizerType = types.authorizer;
export const resourceCheckType = types.resource;
export const authorizerValue = (asker: Asker): CelOpaque => made('authorizer', asker);
/** `authorizer.requestResource`: a check of what the request is about. */
export const resourceCheckValue = (asker: Asker, about: Partial<Attributes>): CelOpaque =>
  made('resource', { ...asker, attributes: { ...nowhere, ...about } } satisfies Check);

const dataOf = <T>(value: CelOpaque): T => value.data as T;
const narrowed =
  (field: keyof Attributes) =>
  (value: CelOpaque, text: string): CelOpaque => {
    const check = dataOf<Check>(value);
    return made('resource', { ...check, attributes: { ...check.attributes, [field]: text } });
  };
/** Expressions do not wait; an authorizer that must be waited for cannot be asked by them. */
function ask(value: CelOpaque, verb: string): CelOpaque {
  const { authorizer, user, attributes } = dataOf<Check>(value);
  const asked = { ...attributes, verb };
  const decision = authorizer.authorizeNow?.(user, asked) ?? authorizer.authorize(user, asked);
  const answer: Answer =
    decision instanceof Promise ? { allowed: false, error: 'the authorizer does not answer at once' } : decision;
  return made('decision', answer);
}

function serviceAccount(value: CelOpaque, namespace: string, name: string): CelOpaque {
  const { authorizer } = dataOf<Asker>(value);
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(namespace)) throw failure(`Invalid service account namespace`);
  if (!/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) throw failure(`Invalid service account name`);
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  return made('authorizer', { authorizer, user: { name: `system:serviceaccount:${namespace}:${name}`, groups } });
}

export const authorizerLibrary: readonly cel.Overload[] = [
  method('path', [types.authorizer, t.string], types.path, (value: CelOpaque, path: string) => {
    if (path === '') throw failure('path must not be empty');
    return made('path', { ...dataOf<Asker>(value), attributes: { ...nowhere, version: '', isResource: false, path } });
  }),
  method('group', [types.authorizer, t.string], types.group, (value: CelOpaque, group: string) =>
    made('group', { ...dataOf<Asker>(value), attributes: { ...nowhere, group } }),
  ),
  method('serviceAccount', [types.authorizer, t.string, t.string], types.authorizer, serviceAccount),
  method('resource', [types.group, t.string], types.resource, narrowed('resource')),
  method('subresource', [types.resource, t.string], types.resource, narrowed('subresource')),
  method('namespace', [types.resource, t.string], types.resource, narrowed('namespace')),
  method('name', [types.resource, t.string], types.resource, narrowed('name')),
  method('fieldSelector', [types.resource, t.string], types.resource, narrowed('fieldSelector')),
  method('labelSelector', [types.resource, t.string], types.resource, narrowed('labelSelector')),
  method('check', [types.resource, t.string], types.decision, ask, { cost: () => checkCost }),
  method('check', [types.path, t.string], types.decision, ask, { cost: () => checkCost }),
  method('allowed', [types.decision], t.bool, (value: CelOpaque) => dataOf<Answer>(value).allowed),
  method('reason', [types.decision], t.string, (value: CelOpaque) => dataOf<Answer>(value).reason ?? ''),
  method('errored', [types.decision], t.bool, (value: CelOpaque) => dataOf<Answer>(value).error !== undefined),
  method('error', [types.decision], t.string, (value: CelOpaque) => dataOf<Answer>(value).error ?? ''),
];
const checkCost = 350_000; // as upstream: an authorizer may be far away
