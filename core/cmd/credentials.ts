import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { isIP as addressFamily } from 'node:net';
import { hostname } from 'node:os';
import { sha256 } from '../apiserver/auth/token-file.ts';
import type { KeyPair, ServingRequest } from '../wire/pki.ts';
import { type Config, type Home, serviceRangesOf } from './home.ts';
import { firstAddress, nthAddress } from './ranges.ts';

interface Account {
  /** File HOME/credentials/NAME.token. */
  readonly file: string;
  readonly user: { readonly name: string; readonly groups: readonly string[] };
}

const accountsOf = (config: Config): Account[] => [
  { file: 'admin', user: { name: 'kubernetes-admin', groups: ['system:masters'] } },
  { file: 'scheduler', user: { name: 'system:kube-scheduler', groups: [] } },
  { file: 'controllers', user: { name: 'system:kube-controller-manager', groups: [] } },
  // Grants plugins what was approved for them: needs every right itself.
  { file: 'plugin-host', user: { name: 'system:pintle:plugin-host', groups: ['system:masters'] } },
  { file: 'proxy', user: { name: 'system:kube-proxy', groups: [] } },
  { file: 'node', user: { name: `system:node:${config.nodeName}`, groups: ['system:nodes'] } },
];

/** Makes what is missing and renews what expires: authority, serving certificates, tokens, kubeconfig. Safe to repeat. */
export async function ensureCredentials(home: Home, config: Config): Promise<void> {
  home.makeFolders();
  const authority = await ensureAuthority(home);
  const gateway = nthAddress(config.podCidr, 1);
  const kubernetes = serviceRangesOf(config).map(firstAddress);
  const names = [
    'localhost',
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
    hostname(),
  ];
  const addresses = ['127.0.0.1', config.nodeIp, gateway, ...kubernetes, ...(config.advertise ?? [])];
  await ensureServing(
    home,
    authority,
    'apiserver',
    [...names, ...addresses.filter((one) => !isIP(one))],
    addresses.filter(isIP),
  );
  // An authority of its own: what it signs for a host that joined must not pass for an API server.
  const kubelets = await ensureAuthority(home, 'kubelet-ca', 'pintle-kubelet-ca');
  await ensureServing(home, kubelets, 'kubelet', [config.nodeName, 'localhost'], ['127.0.0.1', config.nodeIp]);
  await ensureFrontProxy(home);
  ensureSigningKey(home);
  ensureTokens(home, config);
  const admin = home.readFile('credentials/admin.token')!.trim();
  home.writeFile(
    'kubeconfig',
    kubeconfigText(authority.cert, `https://127.0.0.1:${config.port}`, admin, config.clusterId),
  );
}

async function ensureAuthority(home: Home, name = 'ca', commonName = 'pintle-ca'): Promise<KeyPair> {
  const cert = home.readFile(`pki/${name}.crt`);
  const key = home.readFile(`pki/${name}.key`);
  if (cert && key) return { cert, key };
  const { createAuthority } = await import('../wire/pki.ts');
  const made = await createAuthority(commonName, Date.now());
  home.writeFile(`pki/${name}.key`, made.key);
  home.writeFile(`pki/${name}.crt`, made.cert, 0o644);
  return made;
}

/** An authority of its own: what it signs may name any user to aggregated servers, and nothing else may be taken for that. */
async function ensureFrontProxy(home: Home): Promise<void> {
  if (Number(home.readFile('pki/front-proxy-client.note')) > Date.now() && home.readFile('pki/front-proxy-ca.crt'))
    return;
  const authority = await ensureAuthority(home, 'front-proxy-ca', 'pintle-front-proxy-ca');
  const { issueClient } = await import('../wire/pki.ts');
  const nowMs = Date.now();
  const made = await issueClient(authority, {
    commonName: 'front-proxy-client',
    organizations: [],
    days: servingDays,
    nowMs,
  });
  home.writeFile('pki/front-proxy-client.key', made.key);
  home.writeFile('pki/front-proxy-client.crt', made.cert, 0o644);
  home.writeFile('pki/front-proxy-client.note', String(nowMs + servingDays * 0.8 * 86_400_000), 0o644);
}

const servingDays = 365;
const isIP = (text: string): boolean => addressFamily(text) !== 0;

async function ensureServing(
  home: Home,
  authority: KeyPair,
  name: string,
  dnsNames: readonly string[],
  ipAddresses: readonly string[],
): Promise<void> {
  const wanted: ServingRequest = {
    commonName: name,
    dnsNames: [...new Set(dnsNames)],
    ipAddresses: [...new Set(ipAddresses)],
    days: servingDays,
    nowMs: Date.now(),
  };
  // The library takes 100 ms to load: a note of what was issued spares it at every later start.
  const issuer = sha256(authority.cert);
  const note = JSON.stringify({ dnsNames: wanted.dnsNames, ipAddresses: wanted.ipAddresses, issuer });
  const [issued, until] = (home.readFile(`pki/${name}.note`) ?? '').split('\n');
  if (issued === note && Number(until) > Date.now() && home.readFile(`pki/${name}.key`)) return;
  const { issueServing } = await import('../wire/pki.ts');
  const made = await issueServing(authority, wanted);
  home.writeFile(`pki/${name}.key`, made.key);
  home.writeFile(`pki/${name}.crt`, made.cert, 0o644);
  home.writeFile(`pki/${name}.note`, `${note}\n${Date.now() + (servingDays / 2) * 86_400_000}\n`);
}

/** Signs service account tokens. Made before anything starts: apiserver and node both read it. */
function ensureSigningKey(home: Home): void {
  if (home.readFile('pki/sa.key')) return;
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  home.writeFile('pki/sa.key', privateKey);
}

function ensureTokens(home: Home, config: Config): void {
  const accounts = accountsOf(config);
  for (const { file } of accounts)
    if (!home.readFile(`credentials/${file}.token`)?.trim())
      home.writeFile(`credentials/${file}.token`, `${randomBytes(32).toString('base64url')}\n`);
  const table = accounts.map(({ file, user }) => ({
    tokenSha256: sha256(home.readFile(`credentials/${file}.token`)!.trim()),
    user,
  }));
  const text = `${JSON.stringify(table, undefined, 2)}\n`;
  if (home.readFile('credentials/tokens.json') !== text) home.writeFile('credentials/tokens.json', text);
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const kubeconfigText = (ca: string, server: string, token: string, clusterId: string): string => `apiVersion: v1
kind: Config
clusters:
- name: pintle-${clusterId}
  cluster:
    server: ${server}
    certificate-authority-data: ${base64(ca)}
users:
- name: admin
  user:
    token: ${token}
contexts:
- name: pintle
  context:
    cluster: pintle-${clusterId}
    user: admin
current-context: pintle
`;
