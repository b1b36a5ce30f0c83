import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { CheckedCertificate } from './plan-routing.ts';

/** What a TLS Secret is good for, or why it is not. `data` as stored: base64. */
export function checkCertificate(
  data: Readonly<Record<string, string>> | undefined,
  version: string,
): CheckedCertificate | { readonly problem: string } {
  const [cert, key] = ['tls.crt', 'tls.key'].map((name) =>
    Buffer.from(data?.[name] ?? '', 'base64').toString('latin1'),
  );
  if (!cert || !key) return { problem: 'has no tls.crt or no tls.key' };
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(cert);
  } catch {
    return { problem: 'has a tls.crt that is no certificate' };
  }
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(key)))
      return { problem: 'has a tls.key that does not belong to its tls.crt' };
  } catch {
    return { problem: 'has a tls.key that is no private key' };
  }
  const names = (leaf.subjectAltName ?? '')
    .split(', ')
    .flatMap((one) => (one.startsWith('DNS:') ? [one.slice(4).toLowerCase()] : []));
  const common = /(?:^|\n)CN=([^\n]+)/.exec(leaf.subject)?.[1]?.toLowerCase();
  return { version, cert, key, names: names.length > 0 ? names : common ? [common] : [] };
}
