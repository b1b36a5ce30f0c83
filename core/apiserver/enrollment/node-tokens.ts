import * as jose from 'jose';
import { StatusError } from '#api';
import type { Clock } from '#base';
import type { UserInfo } from '#sdk';
import { authenticatedGroup, nodesGroup } from '../auth/attributes.ts';
import { type SigningKeys, signToken, verifyOptions } from '../auth/signing-keys.ts';
import { sha256 } from '../auth/token-file.ts';
import type { NodeIdentity, NodePublicKey } from './identity.ts';

/** The parts of a node that act under names of their own. */
export const nodeParts = ['kubelet', 'proxy'] as const;
export type NodePart = (typeof nodeParts)[number];

export const nodeTokenSeconds = 600;
/** How far the clocks of two hosts may differ before neither trusts what the other signed. */
export const clockSkewSecondsMax = 60;
const rememberedMax = 2_000;
const audience = 'pintle:node';
// Types of their own: an account could ask for a token of this audience, but never of this type.
const tokenType = 'pintle-node+jwt';
const assertionType = 'pintle-assertion+jwt';

/** A node's proof that it holds its key now, for one cluster. `nowMs` by the server's clock, as far as the node knows it. */
export const signAssertion = async (
  key: jose.CryptoKey,
  nodeName: string,
  clusterId: string,
  nowMs: number,
): Promise<string> =>
  new jose.SignJWT({ iss: nodeName, aud: clusterId, iat: Math.floor(nowMs / 1000) })
    .setProtectedHeader({ alg: 'ES256', typ: assertionType })
    .sign(key);

export const thumbprintOf = (key: NodePublicKey): Promise<string> => jose.calculateJwkThumbprint({ ...key });

export interface NodeTokens {
  /** A token for each part of the node. Throws StatusError: 401 NodeUnknown or ClockSkew, 410 NodeRemoved. */
  issue(assertion: string): Promise<{ nodeName: string; tokens: Record<NodePart, string>; expiresInSeconds: number }>;
  /** Undefined: not one of these, or not good any more. */
  userOf(token: string): Promise<UserInfo | undefined>;
}

export function createNodeTokens(options: {
  readonly keys: SigningKeys;
  readonly clusterId: string;
  /** From a cache that follows the store: what is taken away is gone within a second, tokens in circulation included. */
  readonly identity: (nodeName: string) => NodeIdentity | undefined;
  readonly clock: Clock;
}): NodeTokens {
  const { keys, clusterId, identity, clock } = options;
  const keySet = jose.createLocalJWKSet(keys.jwks);
  const remembered = new Map<string, Claims>();

  const claimsOf = async (token: string): Promise<Claims | undefined> => {
    const hash = sha256(token);
    const known = remembered.get(hash);
    if (known) return known;
    const claims = await verified(token, keySet, clock);
    if (!claims) return undefined;
    if (remembered.size >= rememberedMax) remembered.delete(remembered.keys().next().value!); // the oldest
    remembered.set(hash, claims);
    return claims;
  };

  return {
    async issue(assertion) {
      const { nodeName, thumbprint } = await checkAssertion(assertion, identity, clusterId, clock.now());
      const iat = Math.floor(clock.now() / 1000);
      const claims = { aud: audience, iat, exp: iat + nodeTokenSeconds, sub: nodeName, key: thumbprint };
      const token = (part: NodePart) => signToken(keys, { ...claims, part }, tokenType);
      const [kubelet, proxy] = await Promise.all([token('kubelet'), token('proxy')]);
      return { nodeName, tokens: { kubelet, proxy }, expiresInSeconds: nodeTokenSeconds };
    },
    async userOf(token) {
      if (!looksLikeOurs(token)) return undefined;
      const claims = await claimsOf(token);
      if (!claims || claims.exp * 1000 <= clock.now()) return undefined;
      const found = identity(claims.sub);
      // The token names the key that asked for it: a node that joined anew under the same name has another.
      if (!found || found.removedAt || found.thumbprint !== claims.key) return undefined;
      return userFor(claims.sub, claims.part);
    },
  };
}

interface Claims {
  readonly sub: string;
  readonly key: string;
  readonly part: NodePart;
  readonly exp: number;
}

function userFor(nodeName: string, part: NodePart): UserInfo {
  const extra = { 'authentication.kubernetes.io/node-name': [nodeName] };
  return part === 'kubelet'
    ? { name: `system:node:${nodeName}`, groups: [nodesGroup, authenticatedGroup], extra }
    : { name: 'system:kube-proxy', groups: [authenticatedGroup], extra };
}

/** Spares others' tokens two parsers. */
function looksLikeOurs(token: string): boolean {
  try {
    return jose.decodeProtectedHeader(token).typ === tokenType;
  } catch {
    return false;
  }
}

async function verified(
  token: string,
  keySet: ReturnType<typeof jose.createLocalJWKSet>,
  clock: Clock,
): Promise<Claims | undefined> {
  try {
    const { payload } = await jose.jwtVerify(token, keySet, {
      ...verifyOptions,
      typ: tokenType,
      audience,
      currentDate: new Date(clock.now()),
      requiredClaims: ['exp', 'sub', 'key', 'part'],
    });
    const { sub, key, part, exp } = payload as jose.JWTPayload & Partial<Claims>;
    return sub && key && part && nodeParts.includes(part) ? { sub, key, part, exp: exp! } : undefined;
  } catch {
    return undefined;
  }
}

async function checkAssertion(
  assertion: string,
  identity: (nodeName: string) => NodeIdentity | undefined,
  clusterId: string,
  nowMs: number,
): Promise<NodeIdentity> {
  const unknown = new StatusError(401, 'NodeUnknown', 'this cluster does not know the key that signed this');
  let claimed: jose.JWTPayload;
  try {
    claimed = jose.decodeJwt(assertion);
  } catch {
    throw unknown;
  }
  const found = identity(claimed.iss ?? '');
  if (!found) throw unknown;
  try {
    await jose.jwtVerify(assertion, await jose.importJWK({ ...found.key }, 'ES256'), {
      ...verifyOptions,
      typ: assertionType,
      audience: clusterId,
      requiredClaims: ['iat'],
      currentDate: new Date(nowMs),
    });
  } catch {
    throw unknown;
  }
  if (found.removedAt)
    throw new StatusError(
      410,
      'NodeRemoved',
      `node ${found.nodeName} was removed from the cluster at ${found.removedAt}`,
    );
  checkSkew(claimed.iat! * 1000, nowMs);
  return found;
}

/** Throws 401 ClockSkew, which says by how much. */
export function checkSkew(theirMs: number, nowMs: number): void {
  const seconds = Math.round((theirMs - nowMs) / 1000);
  if (Number.isFinite(seconds) && Math.abs(seconds) <= clockSkewSecondsMax) return;
  const how = `${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'}`;
  throw new StatusError(401, 'ClockSkew', `the clock of this host is ${how} the server's`);
}
