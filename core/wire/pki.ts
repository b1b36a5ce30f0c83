import 'reflect-metadata'; // before @peculiar/x509, which needs it at import
import * as x509 from '@peculiar/x509';

/** A certificate and its key, both PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}
export interface ServingRequest {
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly days: number;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;
const authorityDays = 3650;
const backdateMs = 5 * 60_000; // clocks of other hosts may run behind

x509.cryptoProvider.set(crypto);

/** A self-signed authority of ten years that can sign leaves only. */
export async function createAuthority(commonName: string, nowMs: number): Promise<KeyPair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: nameOf({ CN: [commonName] }),
    ...validity(nowMs, authorityDays),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(certificate), key: await keyPem(keys.privateKey) };
}

/** For a TLS server that is reached by these names and addresses. */
export function issueServing(authority: KeyPair, request: ServingRequest): Promise<KeyPair> {
  const names = [
    ...request.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...request.ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ];
  return issue(authority, { CN: [request.commonName] }, request, x509.ExtendedKeyUsage.serverAuth, [
    new x509.SubjectAlternativeNameExtension(names),
  ]);
}

/** For a client; `commonName` is the user and `organizations` are its groups. */
export function issueClient(
  authority: KeyPair,
  request: {
    readonly commonName: string;
    readonly organizations: readonly string[];
    readonly days: number;
    readonly nowMs: number;
  },
): Promise<KeyPair> {
  const subject = { O: [...request.organizations], CN: [request.commonName] };
  return issue(authority, subject, request, x509.ExtendedKeyUsage.clientAuth, []);
}

/** True when less than a fifth of its life is left, or when it does not name one of these. */
export function needsRenewal(
  cert: string,
  nowMs: number,
  wanted: { readonly dnsNames?: readonly string[]; readonly ipAddresses?: readonly string[] } = {},
): boolean {
  const certificate = new x509.X509Certificate(cert);
  const from = certificate.notBefore.getTime();
  const until = certificate.notAfter.getTime();
  if (nowMs < from || until - nowMs < (until - from) / 5) return true;
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  const held = new Set(names.map(({ type, value }) => `${type} ${value}`));
  return (
    (wanted.dnsNames ?? []).some((name) => !held.has(`dns ${name}`)) ||
    (wanted.ipAddresses ?? []).some((address) => !held.has(`ip ${address}`))
  );
}

async function issue(
  authority: KeyPair,
  subject: { readonly O?: string[]; readonly CN: string[] },
  life: { readonly days: number; readonly nowMs: number },
  usage: x509.ExtendedKeyUsage,
  extensions: readonly x509.Extension[],
): Promise<KeyPair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await certify(authority, keys.publicKey, subject, life, usage, extensions);
  return { cert, key: await keyPem(keys.privateKey) };
}

async function certify(
  authority: KeyPair,
  publicKey: x509.PublicKeyType,
  subject: { readonly O?: string[]; readonly CN: string[] },
  { days, nowMs }: { readonly days: number; readonly nowMs: number },
  usage: x509.ExtendedKeyUsage,
  extensions: readonly x509.Extension[],
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.cert);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: nameOf(subject),
    issuer: issuer.subjectName,
    ...validity(nowMs, days),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: await importKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...extensions,
    ],
  });
  return pem(certificate);
}

const validity = (nowMs: number, days: number) => ({
  notBefore: new Date(nowMs - backdateMs),
  notAfter: new Date(nowMs + days * dayMs),
});

/** Structured, so that no character of a name can add another attribute. */
const nameOf = ({ O = [], CN }: { readonly O?: string[]; readonly CN: string[] }): x509.Name =>
  new x509.Name([...O.map((value) => ({ O: [value] })), { CN }]);

/** 127 random bits: positive, and never the same twice. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

const pem = (certificate: x509.X509Certificate): string => `${certificate.toString('pem').trim()}\n`;

async function keyPem(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY').trim()}\n`;
}

const importKey = (key: string): Promise<CryptoKey> =>
  crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(key), algorithm, false, ['sign']);

const keyAlgorithms = {
  ECDSAP256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  ECDSAP384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  ECDSAP521: { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  ED25519: { name: 'Ed25519' },
  RSA3072: rsa(3072),
  RSA4096: rsa(4096),
} as const;
function rsa(modulusLength: number) {
  return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength, publicExponent: new Uint8Array([1, 0, 1]) };
}

/** A new key, and a request for a certificate that says nothing but that its sender holds it. Throws for a type of key that is not known. */
export async function requestCertificate(
  keyType: string,
): Promise<{ readonly key: string; readonly requestDer: Uint8Array }> {
  if (!Object.hasOwn(keyAlgorithms, keyType)) throw new Error(`keys of type ${keyType} cannot be made`);
  const chosen = keyAlgorithms[keyType as keyof typeof keyAlgorithms];
  const keys = (await crypto.subtle.generateKey(chosen, true, ['sign', 'verify'])) as CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: chosen });
  return { key: await keyPem(keys.privateKey), requestDer: new Uint8Array(request.rawData) };
}

/** Signs what a node asked for with its own key, for TLS servers named as we say. Throws when the request is not its sender's. */
export async function signServing(
  authority: KeyPair,
  requestDer: Uint8Array,
  { commonName, dnsNames, days, nowMs }: Omit<ServingRequest, 'ipAddresses'>,
): Promise<string> {
  const request = new x509.Pkcs10CertificateRequest(requestDer as Uint8Array<ArrayBuffer>);
  if (!(await request.verify())) throw new Error('the request for a certificate is not signed by its own key');
  const names = dnsNames.map((value) => ({ type: 'dns' as const, value }));
  const subject = { CN: [commonName] };
  const alternative = new x509.SubjectAlternativeNameExtension(names);
  return certify(authority, request.publicKey, subject, { days, nowMs }, x509.ExtendedKeyUsage.serverAuth, [
    alternative,
  ]);
}
