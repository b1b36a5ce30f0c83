import { expect, test } from 'bun:test';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as jose from 'jose';
import type { Clock } from '#base';
import { seededRandom, systemClock } from '#base';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { anonymousUser } from './attributes.ts';
import { createAuthenticator } from './authenticator.ts';
import { createAuthorizer } from './authorizer.ts';
import { impersonate } from './impersonation.ts';
import { createKubeletTokenSigner, createKubeletTokenVerifier } from './kubelet-tokens.ts';
import { createServiceAccountTokens, type Known } from './service-account-tokens.ts';
import { openSigningKeys } from './signing-keys.ts';
import { openTokenFile, sha256 } from './token-file.ts';

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-auth-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
const keys = await inFolder(async (folder) => {
  const path = join(folder, 'key.pem');
  const made = await openSigningKeys(path);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await openSigningKeys(path)).kid).toBe(made.kid);
  expect(JSON.stringify(made.jwks)).not.toContain('"d"');
  return made;
});

function world() {
  let nowMs = Date.parse('2026-11-21T12:00:00Z');
  const clock: Clock = { ...systemClock, now: () => nowMs, monotonicMs: () => nowMs };
  const objects = new Map<string, Known>([
    ['serviceaccounts default/app', { uid: 'sa-1' }],
    ['pods default/web', { uid: 'pod-1', serviceAccountName: 'app', nodeName: 'n1' }],
    ['nodes /n1', { uid: 'node-1' }],
    ['secrets default/s', { uid: 'secret-1' }],
  ]);
  const tokens = createServiceAccountTokens({
    keys,
    clock,
    random: seededRandom(1),
    lookup: (kind, namespace, name) => objects.get(`${kind} ${namespace}/${name}`),
  });
  const account = { namespace: 'default', name: 'app', uid: 'sa-1' };
  return { clock, objects, tokens, account, advance: (ms: number) => (nowMs += ms) };
}
const podReference = { kind: 'Pod', apiVersion: 'v1', name: 'web', uid: 'pod-1' };

test('a pod-bound token names the account, the pod and the node', async () => {
  const { tokens, account } = world();
  const { token, expirationTimestamp } = await tokens.issue(account, { boundObjectRef: podReference });
  expect(expirationTimestamp).toBe('2026-11-21T13:00:00Z');
  expect(jose.decodeJwt(token)).toMatchObject({
    aud: [tokens.issuer],
    iss: 'https://kubernetes.default.svc.cluster.local',
    sub: 'system:serviceaccount:default:app',
    'kubernetes.io': {
      namespace: 'default',
      serviceaccount: { name: 'app', uid: 'sa-1' },
      pod: { name: 'web', uid: 'pod-1' },
      node: { name: 'n1', uid: 'node-1' },
    },
  });
  const found = await tokens.authenticate(token);
  expect(found?.user).toMatchObject({
    name: 'system:serviceaccount:default:app',
    uid: 'sa-1',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    extra: { 'authentication.kubernetes.io/pod-name': ['web'], 'authentication.kubernetes.io/node-uid': ['node-1'] },
  });
});

test('a token dies with its time, its pod, its account and its uid, also when it is cached', async () => {
  const after = async (change: (w: ReturnType<typeof world>) => void, reference?: unknown): Promise<string> => {
    const w = world();
    const { token } = await w.tokens.issue(w.account, { expirationSeconds: 600, boundObjectRef: reference });
    expect((await w.tokens.authenticate(token))?.user.uid).toBe('sa-1');
    change(w);
    return w.tokens.authenticate(token).then(
      () => 'good',
      (error: Error) => error.message,
    );
  };
  expect(await after((w) => w.advance(599_000))).toBe('good');
  expect(await after((w) => w.advance(611_000))).toBe('service account token has expired');
  expect(await after((w) => w.objects.delete('pods default/web'), podReference)).toBe(
    'service account token has been invalidated',
  );
  expect(await after((w) => w.objects.delete('pods default/web'))).toBe('good');
  expect(await after((w) => w.objects.delete('serviceaccounts default/app'))).toBe('serviceaccounts "app" not found');
  expect(await after((w) => w.objects.set('serviceaccounts default/app', { uid: 'sa-2' }))).toBe(
    'service account UID (sa-2) does not match claim (sa-1)',
  );
  expect(await after((w) => w.objects.set('pods default/web', { uid: 'pod-2' }), podReference)).toBe(
    'pod UID (pod-2) does not match service account pod ref claim (pod-1)',
  );
  const secret = { kind: 'Secret', apiVersion: 'v1', name: 's' };
  expect(await after((w) => w.objects.delete('secrets default/s'), secret)).toBe(
    'service account token has been invalidated',
  );
});

test('TokenRequest refuses what upstream refuses', async () => {
  const { tokens, account } = world();
  const refusal = (spec: Record<string, unknown>, who = account) =>
    tokens.issue(who, spec).then(
      () => 'issued',
      (error: Error) => error.message,
    );
  expect(await refusal({ expirationSeconds: 599 })).toContain('may not specify a duration less than 10 minutes');
  expect(await refusal({ expirationSeconds: 2 ** 33 })).toContain(
    'may not specify a duration larger than 2^32 seconds',
  );
  expect(await refusal({ boundObjectRef: { ...podReference, uid: 'other' } })).toContain(
    'The object might have been deleted and then recreated',
  );
  expect(await refusal({ boundObjectRef: { ...podReference, name: 'none' } })).toBe('pods "none" not found');
  expect(await refusal({ boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1' } })).toBe(
    'cannot bind token to object of type /v1, Kind=ConfigMap',
  );
  expect(await refusal({ boundObjectRef: podReference }, { ...account, name: 'else' })).toContain(
    'pod running with different serviceaccount name',
  );
});

test('audiences: a token for another one is no token for us; TokenReview says which match', async () => {
  const { tokens, account } = world();
  const { token } = await tokens.issue(account, { audiences: ['vault', 'b'] });
  expect((await rejection(tokens.authenticate(token))).message).toMatch('is invalid for the target audiences');
  expect(await tokens.review(token, ['vault', 'c'])).toMatchObject({ authenticated: true, audiences: ['vault'] });
  const refused = await tokens.review(token, undefined);
  expect(refused.authenticated).toBeUndefined();
  expect(refused.error).toContain('token audiences ["vault" "b"] is invalid');
  expect(await tokens.review('nonsense', undefined)).toEqual({ error: 'invalid bearer token' });
});

test('forged tokens: another key, no signature, a changed claim', async () => {
  const { tokens, account, clock } = world();
  const { token } = await tokens.issue(account, {});
  const [head, body, signature] = token.split('.') as [string, string, string];
  const claims = jose.decodeJwt(token);
  const changed = Buffer.from(JSON.stringify({ ...claims, sub: 'system:serviceaccount:kube-system:admin' })).toString(
    'base64url',
  );
  expect(await tokens.authenticate(`${head}.${changed}.${signature}`)).toBeUndefined();
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  expect(await tokens.authenticate(`${none}.${body}.`)).toBeUndefined();
  const { privateKey } = await jose.generateKeyPair('ES256');
  const other = await new jose.SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: keys.kid }).sign(privateKey);
  expect(await tokens.authenticate(other)).toBeUndefined();
  const hmac = await new jose.SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(JSON.stringify(keys.jwks)));
  expect(await tokens.authenticate(hmac)).toBeUndefined();
  const kubelet = await createKubeletTokenSigner(keys, clock)('n1', { op: 'exec' });
  expect(await tokens.authenticate(kubelet)).toBeUndefined();
});

test('a kubelet token is good for one node, one operation and one minute', async () => {
  const { clock, advance, tokens, account } = world();
  const operation = { op: 'exec', namespace: 'default', pod: 'web', container: 'c' } as const;
  const token = await createKubeletTokenSigner(keys, clock)('n1', operation);
  const verify = createKubeletTokenVerifier(keys.jwks, 'n1', clock);
  expect(await verify(token)).toEqual(operation);
  expect(await createKubeletTokenVerifier(keys.jwks, 'n2', clock)(token)).toBeUndefined();
  const spoof = await tokens.issue(account, { audiences: ['kubelet:n1'] });
  expect(await verify(spoof.token)).toBeUndefined(); // a service account cannot ask for a token that opens a kubelet
  advance(66_000);
  expect(await verify(token)).toBeUndefined();
});

test('the token file is read again when it changes; impersonation needs a right to it', async () =>
  inFolder(async (folder) => {
    const w = world();
    const path = join(folder, 'tokens.json');
    const row = (token: string, name: string, ...groups: string[]) => ({
      tokenSha256: sha256(token),
      user: { name, groups },
    });
    await Bun.write(path, JSON.stringify([row('a', 'admin', 'system:masters'), row('b', 'bob')]));
    const tokenFile = await openTokenFile({ path, clock: w.clock });
    const { authenticate } = createAuthenticator({ tokenFile, serviceAccounts: w.tokens });
    const ask = (token: string | undefined, headers: Record<string, string> = {}) =>
      asked(
        new Request('http://localhost/', {
          headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers },
        }),
      ).then(
        (user) => user ?? 'nobody',
        (error: Error) => error.message,
      );
    const authorizer = createAuthorizer({ nodeUses: () => false });
    const asked = async (request: Request) => {
      const user = await authenticate(request);
      return impersonate(user ?? anonymousUser, request.headers, authorizer);
    };
    expect(await ask('a')).toEqual({ name: 'admin', groups: ['system:masters', 'system:authenticated'] });
    expect(await ask('wrong')).toBe('Unauthorized');
    expect(await ask(undefined)).toEqual(anonymousUser);
    expect(await ask(undefined, { 'impersonate-user': 'admin' })).toContain(
      'User "system:anonymous" cannot impersonate',
    );
    const { token } = await w.tokens.issue(w.account, {});
    expect(await ask(token)).toMatchObject({ name: 'system:serviceaccount:default:app' });
    expect(await ask('a', { 'Impersonate-User': 'eve', 'Impersonate-Group': 'dev' })).toEqual({
      name: 'eve',
      uid: undefined,
      groups: ['dev', 'system:authenticated'],
    });
    expect(await ask('b', { 'Impersonate-User': 'admin' })).toBe(
      'users "admin" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope',
    );
    expect(await ask('b', { 'Impersonate-Group': 'system:masters' })).toContain('without impersonating a user name');
    await Bun.write(path, JSON.stringify([row('b2', 'bob')]));
    w.advance(1000);
    expect(await ask('a')).toBe('Unauthorized');
    expect(await ask('b2')).toMatchObject({ name: 'bob' });
  }));
