import type { Secret } from '#api';
import { timeText } from '#base';
import { encoded, enrollmentNamespace, fieldOf } from './join-token.ts';

/** The public half of a node's key, P-256. The other half never leaves the node. */
export interface NodePublicKey {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}
/** Who a joined host is: kept as a Secret, so that only administrators write there. */
export interface NodeIdentity {
  readonly nodeName: string;
  readonly key: NodePublicKey;
  /** RFC 7638, of the key. */
  readonly thumbprint: string;
  /** Set by `node remove`: the key is worth nothing any more, and its holder is told so. */
  readonly removedAt?: string;
}
export const identityType = 'pintle.dev/node-identity';
export const identityName = (nodeName: string): string => `node-identity-${nodeName}`;

export function publicKeyOf(value: unknown): NodePublicKey | undefined {
  const { kty, crv, x, y } = (value ?? {}) as Partial<Record<keyof NodePublicKey, unknown>>;
  const isCoordinate = (one: unknown): one is string => typeof one === 'string' && /^[\w-]{43}$/.test(one);
  return kty === 'EC' && crv === 'P-256' && isCoordinate(x) && isCoordinate(y) ? { kty, crv, x, y } : undefined;
}

export function identityOf(secret: Readonly<Secret> | undefined): NodeIdentity | undefined {
  if (secret?.type !== identityType || secret.metadata.deletionTimestamp) return undefined;
  try {
    const key = publicKeyOf(JSON.parse(fieldOf(secret, 'public-key')));
    const nodeName = fieldOf(secret, 'node');
    const removedAt = fieldOf(secret, 'removed-at');
    if (!key || secret.metadata.name !== identityName(nodeName)) return undefined;
    return { nodeName, key, thumbprint: fieldOf(secret, 'thumbprint'), ...(removedAt && { removedAt }) };
  } catch {
    return undefined; // written by hand: nobody's
  }
}

export const identitySecret = ({ nodeName, key, thumbprint }: NodeIdentity, nowMs: number): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: enrollmentNamespace, name: identityName(nodeName) },
  type: identityType,
  data: encoded({ node: nodeName, 'public-key': JSON.stringify(key), thumbprint, 'joined-at': timeText(nowMs) }),
});

/** Merged into the data of an identity that is taken away. */
export const removedNow = (nowMs: number): Record<string, string> => encoded({ 'removed-at': timeText(nowMs) });
