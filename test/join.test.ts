import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leaseKind, type Node, nodeKind, podKind, type Secret, secretKind, serviceAccountKind } from '#api';
import { type Clock, seededRandom, silentLog, systemClock } from '#base';
import type { Client } from '#client';
import { createAuthenticator } from '../core/apiserver/auth/authenticator.ts';
import { createAuthorizer } from '../core/apiserver/auth/authorizer.ts';
import { createNodeUses } from '../core/apiserver/auth/node-authorizer.ts';
import { createNodeRestriction } from '../core/apiserver/auth/node-restriction.ts';
import { type SigningKeys, signingKeysOf } from '../core/apiserver/auth/signing-keys.ts';
import type { ApiServer } from '../core/apiserver/contract.ts';
import { createEnrollmentDesk, type JoinRequest } from '../core/apiserver/enrollment/desk.ts';
import { identityName, identityOf } from '../core/apiserver/enrollment/identity.ts';
import {
  enrollmentNamespace,
  type JoinToken,
  joinTokenSecret,
  newJoinToken,
} from '../core/apiserver/enrollment/join-token.ts';
import { createNodeTokens, signAssertion } from '../core/apiserver/enrollment/node-tokens.ts';
import { enrollmentPaths } from '../core/apiserver/enrollment/paths.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { createClient } from '../core/client/http.ts';
import { renewCertificate } from '../core/cmd/agent/certificate.ts';
import { joinAt, pinnedAuthority, serverUrl } from '../core/cmd/agent/enroll.ts';
import { NodeIdentityKeeper, nodeKey } from '../core/cmd/agent/identity.ts';
import { clientOf, ServerWay } from '../core/cmd/agent/way.ts';
import { Home } from '../core/cmd/home.ts';
import { checkRanges } from '../core/cmd/join.ts';
import { removeNode } from '../core/cmd/node.ts';
import { keepControlPlaneLabel } from '../core/cmd/roles/own-node.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { createAuthority, issueServing, type KeyPair, requestCertificate } from '../core/wire/pki.ts';
import { eventually } from './fixtures/eventually.ts';
import { rejection } from './fixtures/rejection.ts';

/** A server that hosts join, over TLS; the hosts are folders. */
let skewMs = 0;
const clock: Clock = { ...systemClock, now: () => systemClock.now() + skewMs };
let server: ApiServer;
let url: string;
let ca: KeyPair;
let kubelets: KeyPair;
let keys: SigningKeys;
let admin: Client;
const folders: string[] = [];
const stop = new AbortController();

beforeAll(async () => {
  ca = await createAuthority('pintle-ca', systemClock.now());
  kubelets = await createAuthority('pintle-kubelet-ca', systemClock.now());
  const { privateKey } = await crypto.subtle
    .generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    .then(async (pair) => ({ privateKey: await crypto.subtle.exportKey('pkcs8', pair.privateKey) }));
  const pem = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(privateKey).toString('base64')}\n-----END PRIVATE KEY-----\n`;
  keys = await signingKeysOf(pem);
  const holder: { server?: ApiServer } = {};
  const reader = () => holder.server!.reader;
  const identity = (name: string) => identityOf(reader().get(secretKind, enrollmentNamespace, identityName(name)));
  const tokens = createNodeTokens({ keys, clusterId: 'c1', identity, clock });
  const nodeUses = createNodeUses((name) => reader().indexed(podKind, name));
  const adminUser = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };
  const settings = {
    clusterId: 'c1',
    podCidr: '10.244.0.0/16',
    serviceCidr: '10.96.0.0/16',
    nodePorts: '30000-32767',
    nodeGraceSeconds: 10,
    servers: [],
    plugins: {},
    jwks: keys.jwks,
  };
  const client = (): Client => admin;
  const desk = createEnrollmentDesk({
    ca: ca.cert,
    kubeletAuthority: kubelets,
    settings: () => settings,
    tokens,
    reader,
    client,
    clock,
    log: silentLog,
  });
  server = holder.server = await createApiServer({
    store: await createMemoryStore(),
    clock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/16',
    authenticator: createAuthenticator({
      tokenFile: { userOf: (token) => (token === 'admin' ? adminUser : undefined) },
      others: tokens.userOf,
    }),
    authorizer: createAuthorizer({ nodeUses }),
    admission: [createNodeRestriction(nodeUses)],
    extraPaths: new Map(Object.entries(desk)),
  });
  admin = createClient({ fetch: (request) => server.fetch(request), baseUrl: 'http://localhost', token: 'admin' });
  const tls = await issueServing(ca, {
    commonName: 'apiserver',
    dnsNames: ['kubernetes.default.svc'], // no address: agents know the server by its name
    ipAddresses: [],
    days: 1,
    nowMs: systemClock.now(),
  });
  url = `https://127.0.0.1:${(await server.listen({ hostname: '127.0.0.1', port: 0, tls })).port}`;
});
afterAll(async () => {
  stop.abort();
  await server[Symbol.asyncDispose]();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newHome(): Home {
  const folder = mkdtempSync(join(tmpdir(), 'pj-'));
  folders.push(folder);
  const home = new Home(folder);
  home.makeFolders();
  return home;
}
async function newToken(ttlSeconds = 900): Promise<JoinToken> {
  const token = newJoinToken(ca.cert);
  await admin.create(secretKind, joinTokenSecret(token, ttlSeconds, clock.now()));
  return token;
}
async function requestOf(home: Home, token: JoinToken, nodeName: string, more: Partial<JoinRequest> = {}) {
  const { requestDer } = await requestCertificate('ECDSAP256');
  return {
    token: `${token.id}.${token.secret}`,
    nodeName,
    publicKey: (await nodeKey(home)).publicKey,
    certificateRequest: Buffer.from(requestDer).toString('base64'),
    nowMs: clock.now(),
    ...more,
  };
}
const codeOf = async (work: Promise<unknown>) => ((await rejection(work)) as Error & { code?: string }).code;

/** What the process of a joined host has. */
function agentOf(home: Home, nodeName: string, servers = [url]) {
  const way = new ServerWay({ servers: () => servers, ca: ca.cert, clock, log: silentLog });
  const removed: string[] = [];
  const keeper = new NodeIdentityKeeper({
    home,
    nodeName,
    clusterId: 'c1',
    fetch: way.fetch,
    baseUrl: way.baseUrl,
    clock,
    log: silentLog,
    signal: stop.signal,
    onRemoved: (message) => void removed.push(message),
  });
  void keeper.keep();
  const client = (part: 'kubelet' | 'proxy') => clientOf(way, (signal) => keeper.token(part, signal), keeper.refused);
  return { node: client('kubelet'), proxy: client('proxy'), removed, way };
}
const nodeObject = (name: string, spec: Node['spec'] = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec,
});

test('a host joins: its key is its own, its certificate names it, its identities are held to what is theirs', async () => {
  const home = newHome();
  const token = await newToken();
  const pem = await pinnedAuthority(url, token);
  const { settings, certificate } = await joinAt(url, pem, await requestOf(home, token, 'a'));
  expect(settings.podCidr).toBe('10.244.0.0/16');
  const leaf = new X509Certificate(certificate);
  expect(leaf.checkHost('a')).toBe('a');
  expect(leaf.verify(new X509Certificate(kubelets.cert).publicKey)).toBe(true);
  expect(leaf.verify(new X509Certificate(ca.cert).publicKey)).toBe(false); // it cannot pass for an API server
  expect(statSync(home.path('pki', 'node.key')).mode & 0o777).toBe(0o600);
  const { node, proxy } = agentOf(home, 'a');
  await node.create(nodeKind, nodeObject('a'));
  expect(await codeOfStatus(node.create(nodeKind, nodeObject('b')))).toBe(403);
  expect(await codeOfStatus(node.list(secretKind))).toBe(403);
  expect(await codeOfStatus(proxy.get(secretKind, { namespace: enrollmentNamespace, name: identityName('a') }))).toBe(
    403,
  );
  expect((await proxy.get(nodeKind, { name: 'a' })).metadata.name).toBe('a');
  // Which addresses a node's pods have is the cluster's to say.
  const spec = { podCIDR: '10.244.9.0/24', podCIDRs: ['10.244.9.0/24'] };
  expect(await codeOfStatus(node.patch(nodeKind, { name: 'a' }, { type: 'merge', body: { spec } }))).toBe(403);
  const { settings: again } = { settings: await node.request<object>('GET', enrollmentPaths.settings) };
  expect(again).toEqual(settings);
  expect(await codeOfStatus(proxy.request('GET', enrollmentPaths.settings))).toBe(403);
  const text = JSON.stringify(await admin.list(secretKind, { namespace: enrollmentNamespace }));
  expect(text).not.toContain(token.secret);
});
const codeOfStatus = async (work: Promise<unknown>) => ((await rejection(work)) as Error & { code?: number }).code;

test('no node gives itself a role; the server says what its own node is', async () => {
  const [home, role] = [newHome(), 'node-role.kubernetes.io/control-plane'];
  await joinAt(url, ca.cert, await requestOf(home, await newToken(), 'own'));
  const { node } = agentOf(home, 'own');
  const named = { ...nodeObject('own'), metadata: { name: 'own', labels: { [role]: '' } } };
  expect(await codeOfStatus(node.create(nodeKind, named))).toBe(403);
  keepControlPlaneLabel('own', server.reader, admin, silentLog);
  await node.create(nodeKind, nodeObject('own'));
  const labelsOf = async () => (await admin.get(nodeKind, { name: 'own' })).metadata.labels ?? {};
  await eventually(labelsOf, (labels) => labels[role] === '');
  const body = { metadata: { labels: { [role]: null } } };
  expect(await codeOfStatus(node.patch(nodeKind, { name: 'own' }, { type: 'merge', body }))).toBe(403);
});

test('the certificate of a kubelet is renewed by the node itself, and by nobody else', async () => {
  const home = newHome();
  const { certificate } = await joinAt(url, ca.cert, await requestOf(home, await newToken(), 'aged'));
  home.writeFile('pki/kubelet.crt', certificate);
  const { node, proxy } = agentOf(home, 'aged');
  const dayMs = 86_400_000;
  expect(await renewCertificate(node, home, clock.now() + 180 * dayMs)).toBe(false);
  expect(await codeOfStatus(renewCertificate(proxy, home, clock.now() + 190 * dayMs))).toBe(403);
  expect(await renewCertificate(node, home, clock.now() + 190 * dayMs)).toBe(true);
  const renewed = new X509Certificate(home.readFile('pki/kubelet.crt')!);
  expect(renewed.fingerprint).not.toBe(new X509Certificate(certificate).fingerprint);
  expect(renewed.checkHost('aged')).toBe('aged');
  expect(renewed.checkPrivateKey(createPrivateKey(home.readFile('pki/kubelet.key')!))).toBe(true);
});

test('tokens: used, expired, unknown, of another cluster; one name, one host', async () => {
  const [home, other] = [newHome(), newHome()];
  const token = await newToken();
  const first = await requestOf(home, token, 'c');
  await joinAt(url, ca.cert, { ...first, dryRun: true }); // costs nothing
  await joinAt(url, ca.cert, first);
  await joinAt(url, ca.cert, first); // the answer was lost: the same host asks again
  const otherHost = (with_: JoinToken, name: string, more?: Partial<JoinRequest>) =>
    requestOf(other, with_, name, more).then((request) => joinAt(url, ca.cert, request));
  expect(await codeOf(otherHost(token, 'd'))).toBe('JOIN_TOKEN_USED');
  expect(await codeOf(otherHost(token, 'c'))).toBe('JOIN_TOKEN_USED');
  expect(await codeOf(otherHost(newJoinToken(ca.cert), 'd'))).toBe('JOIN_TOKEN_UNKNOWN');
  const fresh = await newToken();
  expect(await codeOf(otherHost({ ...fresh, secret: '0'.repeat(32) }, 'd'))).toBe('JOIN_TOKEN_UNKNOWN');
  expect(await codeOf(otherHost(fresh, 'c'))).toBe('NODE_NAME_TAKEN');
  expect(await codeOf(otherHost(fresh, 'd', { nowMs: clock.now() - 120_000 }))).toBe('CLOCK_SKEW');
  expect(await codeOf(otherHost(fresh, 'UPPER'))).toBe('JOIN_REFUSED');
  expect(await codeOf(otherHost(fresh, 'd', { certificateRequest: 'AAAA' }))).toBe('JOIN_REFUSED');
  expect(await codeOf(otherHost(await newToken(-1), 'd'))).toBe('JOIN_TOKEN_EXPIRED');
  await otherHost(fresh, 'd'); // none of the refusals cost it
  const stranger = await createAuthority('other', systemClock.now());
  expect(await codeOf(pinnedAuthority(url, newJoinToken(stranger.cert)))).toBe('JOIN_PIN_MISMATCH');
  expect(await codeOf(pinnedAuthority('https://127.0.0.1:1', token))).toBe('SERVER_UNREACHABLE');
});

test('of many hosts that show one token at the same time, one joins', async () => {
  const token = await newToken();
  const names = ['r1', 'r2', 'r3', 'r4', 'r5'];
  const requests = await Promise.all(names.map((name) => requestOf(newHome(), token, name)));
  const ends = await Promise.allSettled(requests.map((request) => joinAt(url, ca.cert, request)));
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

test('a removed host is cut off at once, is told so, and may come back as another', async () => {
  const home = newHome();
  await joinAt(url, ca.cert, await requestOf(home, await newToken(), 'gone'));
  const { node, removed } = agentOf(home, 'gone');
  await node.create(nodeKind, nodeObject('gone'));
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } };
  await admin.create(serviceAccountKind, account);
  await admin.create(podKind, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'left', namespace: 'default' },
    spec: { nodeName: 'gone', containers: [{ name: 'c', image: 'demo:1' }] },
  });
  await removeNode(admin, 'gone');
  expect((await admin.list(podKind)).items).toEqual([]);
  expect(await codeOfStatus(node.get(nodeKind, { name: 'gone' }))).toBe(401);
  await eventually(
    () => removed,
    (found) => found.length === 1,
  );
  expect(removed[0]).toContain('node gone was removed');
  expect(await codeOfStatus(admin.get(nodeKind, { name: 'gone' }))).toBe(404);
  expect(((await rejection(removeNode(admin, 'gone'))) as Error & { code?: string }).code).toBe('NODE_UNKNOWN');
  // Its old key stays worthless; a new one takes the name.
  const fresh = newHome();
  await joinAt(url, ca.cert, await requestOf(fresh, await newToken(), 'gone'));
  await agentOf(fresh, 'gone').node.create(nodeKind, nodeObject('gone'));
});

test('after a month off, with a clock that is an hour wrong, a host comes back', async () => {
  const home = newHome();
  await joinAt(url, ca.cert, await requestOf(home, await newToken(), 'slow'));
  skewMs = 3_600_000; // the server's clock and the tokens' lives; the assertion is signed by the host's own
  try {
    const { privateKey } = await nodeKey(home);
    const stale = await signAssertion(privateKey, 'slow', 'c1', systemClock.now());
    const ask = (assertion: string) =>
      server.fetch(
        new Request(`http://localhost${enrollmentPaths.tokens}`, {
          method: 'POST',
          body: JSON.stringify({ assertion }),
        }),
      );
    expect(((await (await ask(stale)).json()) as { reason: string }).reason).toBe('ClockSkew');
    const other = await signAssertion(privateKey, 'slow', 'c2', clock.now());
    expect(((await (await ask(other)).json()) as { reason: string }).reason).toBe('NodeUnknown');
    const { node } = agentOf(home, 'slow');
    await node.create(nodeKind, nodeObject('slow'));
  } finally {
    skewMs = 0;
  }
});

test('an agent goes on to the next server of its list, and back', async () => {
  const home = newHome();
  await joinAt(url, ca.cert, await requestOf(home, await newToken(), 'roams'));
  const { node, way } = agentOf(home, 'roams', ['https://127.0.0.1:1', url]);
  const lease = { namespace: 'kube-node-lease', name: 'roams' };
  await eventually(
    () =>
      node.create(leaseKind, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: lease }).then(
        () => 'made',
        (error: Error) => error.message,
      ),
    (found) => found === 'made',
  );
  expect(way.server).toBe(url);
});

test('nobody signs as a node with a key that an account of the cluster can have signed', async () => {
  const identity: Secret = await admin.get(secretKind, { namespace: enrollmentNamespace, name: identityName('a') });
  const thumbprint = identityOf(identity)!.thumbprint;
  const { signToken } = await import('../core/apiserver/auth/signing-keys.ts');
  const exp = Math.floor(systemClock.now() / 1000) + 600;
  const forged = await signToken(keys, { aud: 'pintle:node', sub: 'a', key: thumbprint, part: 'kubelet', exp });
  const answer = await server.fetch(
    new Request('http://localhost/api/v1/nodes/a', { headers: { authorization: `Bearer ${forged}` } }),
  );
  expect(answer.status).toBe(401);
});

test('addresses as people type them; ranges that this host uses', () => {
  expect(serverUrl('10.0.0.1')).toBe('https://10.0.0.1:6443');
  expect(serverUrl('https://h.example:443')).toBe('https://h.example:443');
  expect(serverUrl('[fd00::1]:6444')).toBe('https://[fd00::1]:6444');
  for (const wrong of ['http://10.0.0.1', 'https://h/path', 'a b', '']) expect(() => serverUrl(wrong)).toThrow();
  const settings = { podCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/16' } as Parameters<typeof checkRanges>[0];
  checkRanges(settings, ['default', '10.0.0.0/24', '192.168.1.0/24']);
  expect(() => checkRanges(settings, ['10.244.7.0/24'])).toThrow('10.244.7.0/24');
  expect(() => checkRanges(settings, ['10.96.0.1'])).toThrow('services');
});
