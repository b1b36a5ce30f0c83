import { X509Certificate } from 'node:crypto';
import type { Client } from '#client';
import { enrollmentPaths } from '../../apiserver/enrollment/paths.ts';
import type { Home } from '../home.ts';

/** True when half of its life is over, or when it is none. */
export function isOld(pem: string | undefined, nowMs: number): boolean {
  try {
    const { validFrom, validTo } = new X509Certificate(pem ?? '');
    return nowMs > (Date.parse(validFrom) + Date.parse(validTo)) / 2;
  } catch {
    return true;
  }
}

/** A new key and certificate for the kubelet's endpoint, when the old one is. True: there is a new one. */
export async function renewCertificate(client: Client, home: Home, nowMs: number): Promise<boolean> {
  if (!isOld(home.readFile('pki/kubelet.crt'), nowMs)) return false;
  const { requestCertificate } = await import('../../wire/pki.ts'); // takes 100 ms to load
  const { key, requestDer } = await requestCertificate('ECDSAP256');
  const certificateRequest = Buffer.from(requestDer).toString('base64');
  const answer = await client.request<{ certificate: string }>('POST', enrollmentPaths.certificate, {
    certificateRequest,
  });
  home.writeFile('pki/kubelet.key', key);
  home.writeFile('pki/kubelet.crt', answer.certificate, 0o644);
  return true;
}
