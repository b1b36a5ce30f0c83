import { createHash, createHmac, generateKeyPairSync } from 'node:crypto';

/** Both halves in base64, as wireguard-tools write them. The private one is never put into an argument or a message. */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

const base64 = (base64url: string): string => Buffer.from(base64url, 'base64url').toString('base64');

/** A Curve25519 pair, as `wg genkey` and `wg pubkey` make it. */
export function newKeyPair(): KeyPair {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  return { privateKey: base64(d!), publicKey: base64(x!) };
}

/** 32 bytes in base64 with its padding, and not all zero: what WireGuard takes as a key. */
export function isKey(text: string): boolean {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return false;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text && bytes.some((byte) => byte !== 0);
}

/**
 * The key that two hosts share beside their own pairs, from a secret of the cluster. The same on both ends, another for
 * each pair and each generation of keys.
 */
export function presharedKey(secret: string, generation: number, nodes: readonly [string, string]): string {
  const [first, second] = [...nodes].sort();
  return createHmac('sha256', secret)
    .update(JSON.stringify(['pintle preshared key', generation, first, second]))
    .digest('base64');
}
/** Tells two secrets apart without giving anything of them away that could be guessed from. */
export const secretMark = (secret: string): string =>
  createHash('sha256').update(`pintle preshared mark ${secret}`).digest('hex').slice(0, 12);
