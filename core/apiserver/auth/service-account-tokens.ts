import * as jose from 'jose';
import { errors, fieldErrors, invalidObject } from '#api';
import { type Clock, type Random, randomUuid, timeText } from '#base';
import type { UserInfo } from '#sdk';
import { authenticatedGroup } from './attributes.ts';
import { type SigningKeys, signToken, verifyOptions } from './signing-keys.ts';
import { sha256 } from './token-file.ts';

export const defaultIssuer = 'https://kubernetes.default.svc.cluster.local';
const expirationSecondsMin = 600;
const expirationSecondsDefault = 3600;
const expirationSecondsMax = 86_400;
const cachedTokensMax = 10_000;
const clockSkewMs = 10_000;

/** What binding and verification need of an object. */
export interface Known {
  readonly uid: string;
  readonly deletedAtMs?: number;
  readonly serviceAccountName?: string;
  readonly nodeName?: string;
}
export type Lookup = (
  kind: 'serviceaccounts' | 'pods' | 'secrets' | 'nodes',
  namespace: string,
  name: string,
) => Known | undefined;

export interface ServiceAccountTokenOptions {
  readonly keys: SigningKeys;
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly random: Random;
  readonly issuer?: string;
  /** What a token without audiences is for, and what this server accepts. Default: the issuer. */
  readonly audiences?: readonly string[];
}
interface Reference {
  readonly name: string;
  readonly uid: string;
}
interface Claims extends jose.JWTPayload {
  readonly 'kubernetes.io': {
    readonly namespace: string;
    readonly serviceaccount: Reference;
    readonly pod?: Reference;
    readonly secret?: Reference;
    readonly node?: Reference;
  };
}
interface BoundObject {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly name?: string;
  readonly uid?: string;
}
interface TokenSpec {
  readonly audiences?: readonly string[];
  readonly expirationSeconds?: number;
  readonly boundObjectRef?: BoundObject;
}
export type ReviewStatus = {
  authenticated?: boolean;
  audiences?: string[];
  error?: string;
  user?: { username: string; uid?: string; groups: string[]; extra?: Record<string, string[]> };
};
export type ServiceAccountTokens = ReturnType<typeof createServiceAccountTokens>;

/** Mints and verifies the tokens of service accounts; structurally the server's TokenIssuer. */
export function createServiceAccountTokens(options: ServiceAccountTokenOptions) {
  const issuer = options.issuer ?? defaultIssuer;
  const ownAudiences = options.audiences ?? [issuer];
  const verify = createVerifier(options, issuer);

  /** The user, and which of the wanted audiences the token is for. Throws Error with upstream's sentence. Undefined: not ours. */
  async function authenticate(token: string, wanted: readonly string[] = ownAudiences) {
    const claims = await verify(token);
    if (!claims) return undefined;
    const held = [claims.aud ?? []].flat();
    const audiences = wanted.filter((audience) => held.includes(audience));
    if (audiences.length === 0)
      throw new Error(`token audiences ${goList(held)} is invalid for the target audiences ${goList(wanted)}`);
    checkReferences(claims, options.lookup, options.clock.now());
    return { user: userOf(claims), audiences };
  }

  return {
    issuer,
    authenticate,
    async issue(account: { namespace: string; name: string; uid: string }, spec: Record<string, unknown>) {
      const { audiences = [], expirationSeconds = expirationSecondsDefault, boundObjectRef } = spec as TokenSpec;
      checkExpiration(expirationSeconds);
      const lifeSeconds = Math.min(expirationSeconds, expirationSecondsMax);
      const aud = audiences.length > 0 ? [...audiences] : [...ownAudiences];
      const iat = Math.floor(options.clock.now() / 1000);
      const token = await signToken(options.keys, {
        aud,
        exp: iat + lifeSeconds,
        iat,
        iss: issuer,
        jti: randomUuid(options.random),
        'kubernetes.io': {
          namespace: account.namespace,
          ...bind(account, boundObjectRef, options.lookup),
          serviceaccount: { name: account.name, uid: account.uid },
        },
        nbf: iat,
        sub: `system:serviceaccount:${account.namespace}:${account.name}`,
      });
      return { token, expirationTimestamp: timeText((iat + lifeSeconds) * 1000), audiences: aud };
    },
    async review(token: string, audiences: readonly string[] | undefined): Promise<ReviewStatus> {
      try {
        const found = await authenticate(token, audiences?.length ? audiences : undefined);
        if (!found) return { error: 'invalid bearer token' };
        const { name, uid, groups, extra } = found.user;
        const user = { username: name, uid, groups: [...groups], extra: extra as Record<string, string[]> };
        return { authenticated: true, audiences: found.audiences, user };
      } catch (error) {
        return { error: `[invalid bearer token, ${(error as Error).message}]` };
      }
    },
    /** The documents a relying party reads: exact path → JSON. */
    discovery: (): Record<string, unknown> => ({
      '/.well-known/openid-configuration': {
        issuer,
        jwks_uri: `${issuer}/openid/v1/jwks`,
        response_types_supported: ['id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
      },
      '/openid/v1/jwks': options.keys.jwks,
    }),
  };
}

const goList = (list: readonly string[]): string => `[${list.map((item) => JSON.stringify(item)).join(' ')}]`;

function checkExpiration(seconds: number): void {
  const field = 'spec.expirationSeconds';
  const wrong = (detail: string) =>
    invalidObject('TokenRequest', 'authentication.k8s.io', '', [fieldErrors.invalid(field, seconds, detail)]);
  if (!(seconds >= expirationSecondsMin)) throw wrong('may not specify a duration less than 10 minutes');
  if (seconds > 2 ** 32) throw wrong('may not specify a duration larger than 2^32 seconds');
}

function bind(account: { namespace: string; name: string }, reference: BoundObject | undefined, lookup: Lookup) {
  if (!reference) return {};
  const { kind = '', apiVersion = '', name = '', uid } = reference;
  const resource = ({ Pod: 'pods', Secret: 'secrets', Node: 'nodes' } as const)[kind];
  if (!resource || apiVersion !== 'v1') {
    const slash = apiVersion.indexOf('/');
    const [group, version] = slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
    throw errors.badRequest(`cannot bind token to object of type ${group}/${version}, Kind=${kind}`);
  }
  const found = lookup(resource, resource === 'nodes' ? '' : account.namespace, name);
  if (!found) throw errors.notFound(resource, name);
  if (resource === 'pods' && found.serviceAccountName !== account.name)
    throw errors.badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(account.name)} to pod running with different serviceaccount name.`,
    );
  if (uid && uid !== found.uid)
    throw errors.conflict(
      kind,
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  const nodeName = resource === 'pods' ? found.nodeName : undefined;
  const node = nodeName ? { node: { name: nodeName, uid: lookup('nodes', '', nodeName)?.uid } } : {};
  return { ...node, [kind.toLowerCase()]: { name, uid: found.uid } };
}

/** Signature, issuer and time. Signatures that were good are remembered by hash until the token expires. */
function createVerifier({ keys, clock }: ServiceAccountTokenOptions, issuer: string) {
  const keySet = jose.createLocalJWKSet(keys.jwks);
  const cache = new Map<string, Claims>();
  return async (token: string): Promise<Claims | undefined> => {
    const hash = sha256(token);
    const cached = cache.get(hash);
    if (cached) {
      if (cached.exp! * 1000 + clockSkewMs > clock.now()) return cached;
      cache.delete(hash);
      throw new Error('service account token has expired');
    }
    if (peekIssuer(token) !== issuer) return undefined;
    try {
      const currentDate = new Date(clock.now());
      const checks = {
        issuer,
        currentDate,
        clockTolerance: clockSkewMs / 1000,
        requiredClaims: ['exp', 'sub', 'kubernetes.io'],
      };
      const { payload } = await jose.jwtVerify(token, keySet, { ...verifyOptions, ...checks });
      if (cache.size >= cachedTokensMax) cache.delete(cache.keys().next().value!); // the oldest
      cache.set(hash, payload as Claims);
      return payload as Claims;
    } catch (error) {
      if (error instanceof jose.errors.JWTExpired) throw new Error('service account token has expired');
      if (error instanceof jose.errors.JWTClaimValidationFailed && error.claim === 'nbf')
        throw new Error('service account token is not valid yet');
      return undefined; // no word about why: whoever holds a forged token learns nothing
    }
  };
}

function peekIssuer(token: string): unknown {
  try {
    return jose.decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

/** The account and what the token is bound to must still be the same objects, at every request. */
function checkReferences(claims: Claims, lookup: Lookup, nowMs: number): void {
  const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io'];
  const dead = (known: Known) => known.deletedAtMs !== undefined && known.deletedAtMs < nowMs - clockSkewMs;
  const account = lookup('serviceaccounts', namespace, serviceaccount.name);
  if (!account) throw new Error(`serviceaccounts ${JSON.stringify(serviceaccount.name)} not found`);
  if (account.uid !== serviceaccount.uid)
    throw new Error(`service account UID (${account.uid}) does not match claim (${serviceaccount.uid})`);
  if (dead(account)) throw new Error(`service account ${namespace}/${serviceaccount.name} has been deleted`);
  const bound = [
    ['pods', 'pod', namespace, pod],
    ['secrets', 'secret', namespace, secret],
    ['nodes', 'node', '', pod ? undefined : node], // with a pod, the node is information
  ] as const;
  for (const [kind, word, where, reference] of bound) {
    if (!reference) continue;
    const found = lookup(kind, where, reference.name);
    if (!found || dead(found)) throw new Error('service account token has been invalidated');
    if (found.uid !== reference.uid)
      throw new Error(`${word} UID (${found.uid}) does not match service account ${word} ref claim (${reference.uid})`);
  }
}

function userOf(claims: Claims): UserInfo {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io'];
  const extra: Record<string, string[]> = {};
  const say = (name: string, value: string | undefined) => {
    if (value) extra[`authentication.kubernetes.io/${name}`] = [value];
  };
  say('credential-id', claims.jti && `JTI=${claims.jti}`);
  say('node-name', node?.name);
  say('node-uid', node?.uid);
  say('pod-name', pod?.name);
  say('pod-uid', pod?.uid);
  return {
    name: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, authenticatedGroup],
    extra,
  };
}
