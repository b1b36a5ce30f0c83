import { chmod } from 'node:fs/promises';
import * as jose from 'jose';

const algorithm = 'ES256';

/** The key that signs, and what every verifier needs. */
export interface SigningKeys {
  readonly kid: string;
  readonly privateKey: jose.CryptoKey;
  /** Public keys only. Serve it at /openid/v1/jwks. */
  readonly jwks: jose.JSONWebKeySet;
}

/** Reads the PKCS 8 PEM at `path`, or makes a P-256 key there (mode 0600). */
export async function openSigningKeys(path: string): Promise<SigningKeys> {
  const file = Bun.file(path);
  if (!(await file.exists())) {
    const { privateKey } = await jose.generateKeyPair(algorithm, { extractable: true });
    await Bun.write(path, await jose.exportPKCS8(privateKey), { mode: 0o600 });
    await chmod(path, 0o600);
  }
  return signingKeysOf(await Bun.file(path).text()); // a new handle: the old one remembers that there was no file
}

export async function signingKeysOf(pem: string): Promise<SigningKeys> {
  const privateKey = await jose.importPKCS8(pem, algorithm, { extractable: true });
  const { kty, crv, x, y } = await jose.exportJWK(privateKey); // without `d`, the private part
  const kid = await jose.calculateJwkThumbprint({ kty, crv, x, y });
  return { kid, privateKey, jwks: { keys: [{ kty: kty!, crv, x, y, kid, alg: algorithm, use: 'sig' }] } };
}

/** `typ` tells kinds of tokens apart where their claims could be chosen by whoever asks for one. */
export const signToken = (keys: SigningKeys, claims: jose.JWTPayload, typ = 'JWT'): Promise<string> =>
  new jose.SignJWT(claims).setProtectedHeader({ alg: algorithm, kid: keys.kid, typ }).sign(keys.privateKey);

/** Only this algorithm is accepted: never what the token's own header asks for. */
export const verifyOptions = { algorithms: [algorithm] };
