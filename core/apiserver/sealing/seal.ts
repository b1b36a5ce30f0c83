import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/** 32 secret bytes under a name that may be shown. */
export interface RootKey {
  /** `0001-9f3c21aa`: the order in which keys came, and chance. */
  readonly id: string;
  readonly bytes: Uint8Array;
}
export const rootKeyBytes = 32;
export const rootKeyId = /^\d{4,9}-[0-9a-f]{8}$/;

/** NUL begins no JSON text: what is sealed cannot be taken for what is plain. */
const head = '\0pintle-sealed-1 ';
const headBytes = Buffer.from(head, 'latin1');
const idBytesMax = 24;
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;
const cipher = 'aes-256-gcm';

/**
 * `head id LF salt nonce tag ciphertext`. The key of each sealing comes by HKDF-SHA-256 from the root key, a new salt and the
 * store key path; that path is associated data too, so that bytes moved under another name do not open.
 * Synchronous: simulated code must not wait on WebCrypto.
 */
export function seal(root: RootKey, path: string, plain: Uint8Array): Uint8Array {
  const salt = randomBytes(saltBytes);
  const nonce = randomBytes(nonceBytes);
  const sealing = createCipheriv(cipher, keyOf(root, path, salt), nonce).setAAD(associated(root.id, path));
  const body = Buffer.concat([sealing.update(plain), sealing.final()]);
  return Buffer.concat([Buffer.from(`${head}${root.id}\n`, 'latin1'), salt, nonce, sealing.getAuthTag(), body]);
}

/** The id of the key that these bytes are sealed with; undefined for plain ones. Empty when the id itself is damaged. */
export function sealedWith(value: Uint8Array): string | undefined {
  if (value[0] !== 0) return undefined; // all but secrets: decided by one byte
  const start = Buffer.from(value.buffer, value.byteOffset, Math.min(value.byteLength, headBytes.length + idBytesMax));
  if (!start.subarray(0, headBytes.length).equals(headBytes)) return '';
  const end = start.indexOf(0x0a);
  const id = end < 0 ? '' : start.toString('latin1', headBytes.length, end);
  return rootKeyId.test(id) ? id : '';
}

/** Undefined: another key, another path, or damaged bytes. */
export function unseal(root: RootKey, path: string, value: Uint8Array): Uint8Array | undefined {
  const from = headBytes.length + root.id.length + 1;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength).subarray(from);
  if (bytes.length < saltBytes + nonceBytes + tagBytes) return undefined;
  const nonce = bytes.subarray(saltBytes, saltBytes + nonceBytes);
  const tag = bytes.subarray(saltBytes + nonceBytes, saltBytes + nonceBytes + tagBytes);
  try {
    const opening = createDecipheriv(cipher, keyOf(root, path, bytes.subarray(0, saltBytes)), nonce)
      .setAAD(associated(root.id, path))
      .setAuthTag(tag);
    return Buffer.concat([opening.update(bytes.subarray(saltBytes + nonceBytes + tagBytes)), opening.final()]);
  } catch {
    return undefined; // the library's message says no more than that
  }
}

const keyOf = (root: RootKey, path: string, salt: Uint8Array): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', root.bytes, salt, `pintle secret ${path}`, 32));
const associated = (id: string, path: string): Buffer => Buffer.from(`${id}\n${path}`);
