import { createHash, randomBytes, timingSafeEqual, X509Certificate } from 'node:crypto';
import type { Secret } from '#api';
import { timeText } from '#base';

/** What a new host is given to join with, printed as `pintle.ID.SECRET.CA`: good once, for a short time, at one cluster. */
export interface JoinToken {
  /** Six letters or digits; names the token in lists. */
  readonly id: string;
  /** 128 bits in hex. Only its hash is stored. */
  readonly secret: string;
  /** SHA-256 of the cluster authority's public key, in hex: the host believes no other. */
  readonly caHash: string;
}
export const joinTokenType = 'pintle.dev/join-token';
export const enrollmentNamespace = 'kube-system';
export const isJoinTokenId = (text: string): boolean => /^[a-z0-9]{6}$/.test(text);
export const joinTokenName = (id: string): string => `join-token-${id}`;

const shape = /^pintle\.([a-z0-9]{6})\.([0-9a-f]{32})\.([0-9a-f]{64})$/;
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'; // 32: every byte gives one without a bias

export function newJoinToken(caPem: string): JoinToken {
  const id = [...randomBytes(6)].map((byte) => alphabet[byte % alphabet.length]).join('');
  return { id, secret: randomBytes(16).toString('hex'), caHash: hashOfAuthority(caPem) };
}
export const joinTokenText = ({ id, secret, caHash }: JoinToken): string => `pintle.${id}.${secret}.${caHash}`;

/** Undefined for a text that is no such token. */
export function parseJoinToken(text: string): JoinToken | undefined {
  const [, id, secret, caHash] = shape.exec(text.trim()) ?? [];
  return id && secret && caHash ? { id, secret, caHash } : undefined;
}

/** The same number that kubeadm prints for an authority, without its `sha256:`. */
export const hashOfAuthority = (pem: string): string =>
  createHash('sha256')
    .update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');

const base64 = (text: string): string => Buffer.from(text).toString('base64');
/** One field of a Secret as text; empty when there is none. */
export const fieldOf = (secret: Readonly<Secret>, name: string): string =>
  Buffer.from(secret.data?.[name] ?? '', 'base64').toString();
export const encoded = (fields: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, base64(text)]));
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** How a token is kept: never its secret. */
export const joinTokenSecret = (token: JoinToken, ttlSeconds: number, nowMs: number): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: enrollmentNamespace, name: joinTokenName(token.id) },
  type: joinTokenType,
  data: encoded({ 'secret-sha256': digest(token.secret), expiration: timeText(nowMs + ttlSeconds * 1000) }),
});

/** Written over a token when a host has joined with it. */
export const usedBy = (nodeName: string, thumbprint: string, nowMs: number): Record<string, string> =>
  encoded({ 'used-by': nodeName, 'used-key': thumbprint, 'used-at': timeText(nowMs) });

export type JoinTokenVerdict =
  | { readonly type: 'good' }
  /** By this very host, whose answer got lost. */
  | { readonly type: 'again' }
  | { readonly type: 'unknown' }
  | { readonly type: 'expired'; readonly at: string }
  | { readonly type: 'used'; readonly by: string; readonly at: string };

/** What a token that was shown is worth. Who does not know its secret learns nothing about it. Pure. */
export function judgeJoinToken(
  found: Readonly<Secret> | undefined,
  secret: string,
  asker: { readonly nodeName: string; readonly thumbprint: string },
  nowMs: number,
): JoinTokenVerdict {
  if (found?.type !== joinTokenType || found.metadata.deletionTimestamp) return { type: 'unknown' };
  if (!isSame(fieldOf(found, 'secret-sha256'), digest(secret))) return { type: 'unknown' };
  const by = fieldOf(found, 'used-by');
  if (by)
    return by === asker.nodeName && fieldOf(found, 'used-key') === asker.thumbprint
      ? { type: 'again' }
      : { type: 'used', by, at: fieldOf(found, 'used-at') };
  const at = fieldOf(found, 'expiration');
  return Date.parse(at) > nowMs ? { type: 'good' } : { type: 'expired', at }; // a time that cannot be read has passed
}

/** In a time that says nothing about where they differ. */
const isSame = (left: string, right: string): boolean =>
  timingSafeEqual(Buffer.from(digest(left)), Buffer.from(digest(right)));
