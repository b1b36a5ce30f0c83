import { describe, expect, test } from 'bun:test';
import type { Secret } from '#api';
import { systemClock } from '#base';
import { createBootstrapTokens } from './bootstrap-tokens.ts';

const encoded = (data: Record<string, string>) =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
const good = {
  'token-id': 'abcdef',
  'token-secret': '0123456789abcdef',
  'usage-bootstrap-authentication': 'true',
  expiration: '2099-01-01T00:00:00Z',
  'auth-extra-groups': 'system:bootstrappers:workers',
};
const ask = (data: Record<string, string>, token = 'abcdef.0123456789abcdef', more: Partial<Secret> = {}) =>
  createBootstrapTokens({
    clock: systemClock,
    secret: (namespace, name) =>
      namespace === 'kube-system' && name === 'bootstrap-token-abcdef'
        ? { type: 'bootstrap.kubernetes.io/token', data: encoded(data), metadata: { name }, ...more }
        : undefined,
  })(token);

test('a token that is good is who joins', () => {
  expect(ask(good)).toEqual({
    name: 'system:bootstrap:abcdef',
    groups: ['system:bootstrappers', 'system:bootstrappers:workers', 'system:authenticated'],
  });
});
describe('everything else is nobody', () => {
  const table: [why: string, user: ReturnType<typeof ask>][] = [
    ['another secret', ask(good, 'abcdef.0123456789abcdee')],
    ['another id', ask(good, 'abcdeg.0123456789abcdef')],
    ['no such shape', ask(good, 'ABCDEF.0123456789abcdef')],
    ['too long', ask(good, 'abcdef.0123456789abcdef0')],
    ['expired', ask({ ...good, expiration: '2020-01-01T00:00:00Z' })],
    ['a time that cannot be read', ask({ ...good, expiration: 'soon' })],
    ['not for this', ask({ ...good, 'usage-bootstrap-authentication': 'false' })],
    ['a group that is not of joiners', ask({ ...good, 'auth-extra-groups': 'system:masters' })],
    ['a secret of another type', ask(good, undefined, { type: 'Opaque' })],
    [
      'a secret that is being deleted',
      ask(good, undefined, { metadata: { deletionTimestamp: '2020-01-01T00:00:00Z' } }),
    ],
    ['a name that does not match', ask({ ...good, 'token-id': 'zzzzzz' })],
  ];
  test.each(table)('%s', (_why, user) => expect(user).toBeUndefined());
});
