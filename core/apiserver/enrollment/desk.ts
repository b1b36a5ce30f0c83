import { errors, isReason, nodeKind, type Secret, StatusError, secretKind } from '#api';
import type { Clock, Log } from '#base';
import type { Client } from '#client';
import { type KeyPair, signServing } from '../../wire/pki.ts';
import { nodeNameOf } from '../auth/attributes.ts';
import { readText } from '../body.ts';
import type { ExtraPath, Reader } from '../contract.ts';
import {
  identityName,
  identityOf,
  identitySecret,
  type NodeIdentity,
  type NodePublicKey,
  publicKeyOf,
} from './identity.ts';
import { enrollmentNamespace, isJoinTokenId, joinTokenName, judgeJoinToken, usedBy } from './join-token.ts';
import { checkSkew, type NodeTokens, thumbprintOf } from './node-tokens.ts';
import { enrollmentPaths } from './paths.ts';

/** What every node is told of the cluster: at its join and at each of its starts. */
export interface ClusterSettings {
  readonly clusterId: string;
  readonly podCidr: string;
  readonly podCidr6?: string;
  readonly serviceCidr: string;
  readonly nodePorts: string;
  readonly nodeGraceSeconds: number;
  /** Where API servers are reached, such as https://10.0.0.1:6443. */
  readonly servers: readonly string[];
  /** What --enable and --disable said of built-in plugins, by name. */
  readonly plugins: Readonly<Record<string, boolean>>;
  /** Where traces go; absent: nowhere. */
  readonly otlpEndpoint?: string;
  /** Ranges of hosts' addresses on which node ports answer; absent: every address. */
  readonly nodePortAddresses?: readonly string[];
  /** Public keys that sign what the API server asks of kubelets. */
  readonly jwks: object;
}
export interface JoinRequest {
  /** `ID.SECRET`. */
  readonly token: string;
  readonly nodeName: string;
  readonly publicKey: NodePublicKey;
  /** For the kubelet's endpoint: PKCS 10, DER in base64. */
  readonly certificateRequest: string;
  /** The host's clock, milliseconds since the epoch. */
  readonly nowMs: number;
  /** Everything is judged and answered, and the token stays good. */
  readonly dryRun?: boolean;
}
export interface JoinAnswer {
  readonly settings: ClusterSettings;
  /** PEM, of the kubelet's endpoint. */
  readonly certificate: string;
}
export interface TokenAnswer {
  readonly tokens: Readonly<Record<'kubelet' | 'proxy', string>>;
  readonly expiresInSeconds: number;
  /** The server's clock, milliseconds since the epoch. */
  readonly nowMs: number;
}

const certificateDays = 365;
const requestBytesMax = 64 * 1024;
const nodeName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
const nodeNameMax = 63;

export interface DeskOptions {
  /** PEM of the authority that API servers are checked against. */
  readonly ca: string;
  /** Signs for kubelets, and for nothing else: what it signed must not pass for an API server. */
  readonly kubeletAuthority: KeyPair;
  readonly settings: () => ClusterSettings;
  readonly tokens: NodeTokens;
  readonly reader: () => Reader;
  readonly client: () => Client;
  readonly clock: Clock;
  readonly log: Log;
}

/** Where hosts join, and where joined ones get their tokens, settings and certificates. Paths of the API server. */
export function createEnrollmentDesk(options: DeskOptions): Readonly<Record<string, ExtraPath>> {
  const { ca, settings, tokens, clock } = options;
  return {
    [enrollmentPaths.authority]: () => new Response(ca, { headers: { 'content-type': 'application/x-pem-file' } }),
    [enrollmentPaths.join]: async (request) => Response.json(await join(await bodyOf<JoinRequest>(request), options)),
    [enrollmentPaths.tokens]: async (request) => {
      const { assertion } = await bodyOf<{ assertion?: unknown }>(request);
      const { nodeName: name, ...issued } = await tokens.issue(String(assertion ?? ''));
      options.log.debug('tokens given', { node: name });
      return Response.json({ ...issued, nowMs: clock.now() } satisfies TokenAnswer);
    },
    [enrollmentPaths.settings]: () => Response.json(settings()),
    [enrollmentPaths.certificate]: async (request, { user }) => {
      const name = nodeNameOf(user);
      if (!name) throw errors.badRequest('only a node asks for the certificate of its endpoint');
      const { certificateRequest } = await bodyOf<{ certificateRequest?: string }>(request);
      return Response.json({ certificate: await certify(certificateRequest, name, options) });
    },
  };
}

async function bodyOf<T>(request: Request): Promise<Partial<T>> {
  if (request.method !== 'POST')
    throw errors.methodNotAllowed('the server does not allow this method on the requested resource');
  const text = await readText(request);
  if (text.length > requestBytesMax) throw errors.tooLarge(`Request entity too large: limit is ${requestBytesMax}`);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Partial<T>;
  } catch {}
  throw errors.badRequest('the body is no JSON object');
}

async function join(request: Partial<JoinRequest>, options: DeskOptions): Promise<JoinAnswer> {
  const { clock, client, reader, log } = options;
  const nowMs = clock.now();
  const key = publicKeyOf(request.publicKey);
  const name = typeof request.nodeName === 'string' ? request.nodeName : '';
  const [id = '', secret = ''] = typeof request.token === 'string' ? request.token.split('.') : [];
  if (!key) throw errors.badRequest('the public key of the node is missing or not of P-256');
  const identity: NodeIdentity = { nodeName: name, key, thumbprint: await thumbprintOf(key) };
  refuseToken(judgeJoinToken(await tokenOf(id, client()), secret, identity, nowMs));
  checkSkew(Number(request.nowMs), nowMs);
  if (name.length > nodeNameMax || !nodeName.test(name))
    throw new StatusError(422, 'NodeNameInvalid', `${JSON.stringify(name)} is no name for a node`);
  refuseTaken(identity, reader());
  if (request.dryRun === true) return { settings: options.settings(), certificate: '' };
  const certificate = await certify(request.certificateRequest, name, options);
  await redeem(id, secret, identity, options);
  await remember(identity, client(), nowMs);
  log.info('a host joined', { node: name, token: id });
  return { settings: options.settings(), certificate };
}

/** Read as of now, since another API server may have made it a moment ago; our cache has what that has, too. */
async function tokenOf(id: string, client: Client): Promise<Secret | undefined> {
  if (!isJoinTokenId(id)) return undefined; // it becomes part of a path
  try {
    return await client.get(secretKind, { namespace: enrollmentNamespace, name: joinTokenName(id) });
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

function refuseToken(verdict: ReturnType<typeof judgeJoinToken>): void {
  switch (verdict.type) {
    case 'unknown':
      throw new StatusError(401, 'JoinTokenUnknown', 'this cluster has no such join token');
    case 'expired':
      throw new StatusError(401, 'JoinTokenExpired', `the join token expired at ${verdict.at}`);
    case 'used':
      throw new StatusError(401, 'JoinTokenUsed', `host ${verdict.by} joined with this token at ${verdict.at}`);
    case 'good':
    case 'again':
  }
}

/** The name of a living host, or of a Node that somebody else keeps, such as the server's own. */
function refuseTaken({ nodeName: name, thumbprint }: NodeIdentity, reader: Reader): void {
  const known = identityOf(reader.get(secretKind, enrollmentNamespace, identityName(name)));
  const isTaken = known
    ? !known.removedAt && known.thumbprint !== thumbprint
    : reader.get(nodeKind, '', name) !== undefined;
  if (isTaken) throw taken(name);
}
const taken = (name: string): StatusError =>
  new StatusError(409, 'NodeNameTaken', `the cluster has a node ${name} already`);

/** One of those who show a token at the same time wins: the write expects the version that was judged. */
async function redeem(
  id: string,
  secret: string,
  identity: NodeIdentity,
  { client, clock }: DeskOptions,
): Promise<void> {
  const key = { namespace: enrollmentNamespace, name: joinTokenName(id) };
  for (;;) {
    const current = await client().get(secretKind, key);
    const verdict = judgeJoinToken(current, secret, identity, clock.now());
    refuseToken(verdict);
    if (verdict.type === 'again') return;
    const used = usedBy(identity.nodeName, identity.thumbprint, clock.now());
    try {
      await client().update(secretKind, { ...current, data: { ...current.data, ...used } });
      return;
    } catch (error) {
      if (!isReason(error, 'Conflict')) throw error; // judged anew, which ends: it is used by then
    }
  }
}

async function remember(identity: NodeIdentity, client: Client, nowMs: number): Promise<void> {
  const wanted = identitySecret(identity, nowMs);
  try {
    await client.create(secretKind, wanted);
    return;
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error;
  }
  const there: Secret = await client.get(secretKind, { namespace: enrollmentNamespace, name: wanted.metadata.name! });
  const known = identityOf(there);
  if (known && !known.removedAt && known.thumbprint === identity.thumbprint) return;
  if (known && !known.removedAt) throw taken(identity.nodeName);
  try {
    await client.update(secretKind, { ...there, type: wanted.type, data: wanted.data });
  } catch (error) {
    throw isReason(error, 'Conflict') ? taken(identity.nodeName) : error; // another host took the name meanwhile
  }
}

async function certify(request: unknown, name: string, { kubeletAuthority, clock }: DeskOptions): Promise<string> {
  const der = Buffer.from(typeof request === 'string' ? request : '', 'base64');
  try {
    // By the node's name, not by addresses: a host behind NAT, or one that moves, is still itself.
    const wanted = { commonName: name, dnsNames: [name], days: certificateDays, nowMs: clock.now() };
    return await signServing(kubeletAuthority, der, wanted);
  } catch {
    throw errors.badRequest('the request for a certificate cannot be used');
  }
}
