import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { messageOf } from '#sdk';
import type { Certificate, Routing } from '../model.ts';
import { isHost } from './names.ts';
import type { Rejected } from './tables.ts';

/** A file of HAProxy's certificate store: its name stands for whose it is and for which names, its text for the version. */
export interface CertificateFile {
  readonly file: string;
  /** For the log: never the key. */
  readonly id: string;
  readonly version: string;
  readonly names: readonly string[];
  /** Certificates and key, without an empty line. */
  readonly pem: string;
}
export const defaultCertificateFile = 'default.pem';
/** The first certificate is for everybody who is not named; of its own it has a name that nobody asks for. */
const nobody = 'default.invalid';
const pemBytesMax = 11_000; // has to fit into one payload of the runtime socket

/** The default one first. What HAProxy would refuse is left out here: one bad certificate must not cost the others theirs. */
export function certificatesOf(routing: Routing): { files: CertificateFile[]; rejected: Rejected[] } {
  const rejected: Rejected[] = [];
  const files: CertificateFile[] = [];
  for (const certificate of [routing.defaultCertificate, ...routing.certificates]) {
    const isDefault = certificate === routing.defaultCertificate;
    const names = isDefault ? [nobody] : certificate.names.filter((name) => name !== '' && isHost(name));
    if (names.length === 0) continue;
    const problem = problemOf(certificate);
    if (problem === undefined) files.push(fileOf(certificate, names, isDefault));
    else rejected.push({ id: certificate.id, reason: problem });
  }
  return { files, rejected };
}

function fileOf(certificate: Certificate, names: readonly string[], isDefault: boolean): CertificateFile {
  const digest = createHash('sha256')
    .update(JSON.stringify([certificate.id, names]))
    .digest('hex')
    .slice(0, 32);
  const pem = pemOf(certificate);
  const version = createHash('sha256').update(pem).digest('hex');
  return { file: isDefault ? defaultCertificateFile : `${digest}.pem`, id: certificate.id, version, names, pem };
}
const pemOf = ({ cert, key }: Certificate): string =>
  `${cert}\n${key}\n`
    .replaceAll(/\r/g, '')
    .replaceAll(/\n\s*\n+/g, '\n')
    .trimStart();

function problemOf(certificate: Certificate): string | undefined {
  try {
    const leaf = new X509Certificate(certificate.cert);
    if (!leaf.checkPrivateKey(createPrivateKey(certificate.key))) return 'its key is not that of its certificate';
  } catch (error) {
    return `it cannot be read: ${messageOf(error).slice(0, 200)}`;
  }
  return pemOf(certificate).length > pemBytesMax ? `it is longer than ${pemBytesMax} bytes` : undefined;
}

/** A line of the list: the file and for whom it is. */
export const listLine = ({ file, names }: CertificateFile): string => `${file} ${names.join(' ')}`;
