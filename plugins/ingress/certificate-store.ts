import type { api, KubeObject } from '#sdk';
import { certificateSecrets } from './places.ts';
import type { CheckedCertificate } from './plan-routing.ts';

export type SecretObject = Readonly<api.Secret & KubeObject>;

/** Which of the Secrets holds the copy of one; stable. */
export const secretOf = (id: string): string =>
  certificateSecrets[Number(Bun.hash(id) % BigInt(certificateSecrets.length))]!;
/** `namespace/name` as a key of a Secret: namespaces have no dots. */
const keyOf = (id: string): string => id.replace('/', '.');

/** Copies as they are stored. */
export function packCertificates(
  certificates: ReadonlyMap<string, CheckedCertificate>,
  bytesMax: number,
): { readonly data: Readonly<Record<string, string>>; readonly leftOut: readonly string[] } {
  const data: Record<string, string> = {};
  const leftOut: string[] = [];
  let bytes = 0;
  for (const [id, certificate] of [...certificates].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const text = Buffer.from(JSON.stringify(certificate)).toString('base64');
    if (bytes + text.length > bytesMax) leftOut.push(id);
    else {
      bytes += text.length;
      data[keyOf(id)] = text;
    }
  }
  return { data, leftOut };
}

/** What is there, and nothing of what cannot be read. */
export function readCertificates(secret: SecretObject | undefined): Map<string, CheckedCertificate> {
  const found = new Map<string, CheckedCertificate>();
  for (const [key, text] of Object.entries(secret?.data ?? {})) {
    try {
      const read = JSON.parse(Buffer.from(text, 'base64').toString()) as CheckedCertificate;
      if (typeof read.cert === 'string' && typeof read.key === 'string') found.set(key.replace('.', '/'), read);
    } catch {} // the controllers write it anew
  }
  return found;
}
