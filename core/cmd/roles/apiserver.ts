import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Secret } from '#api';
import { podKind, secretKind } from '#api';
import { systemClock, systemRandom } from '#base';
import { createAuthenticator } from '../../apiserver/auth/authenticator.ts';
import { createAuthorizer } from '../../apiserver/auth/authorizer.ts';
import { createBootstrapTokens } from '../../apiserver/auth/bootstrap-tokens.ts';
import { createKubeletTokenSigner } from '../../apiserver/auth/kubelet-tokens.ts';
import { alsoAccounts, createNodeUses, type NodeAccounts } from '../../apiserver/auth/node-authorizer.ts';
import { createNodeRestriction } from '../../apiserver/auth/node-restriction.ts';
import { createServiceAccountTokens } from '../../apiserver/auth/service-account-tokens.ts';
import { openSigningKeys } from '../../apiserver/auth/signing-keys.ts';
import { openTokenFile } from '../../apiserver/auth/token-file.ts';
import { tokenLookup } from '../../apiserver/auth/token-lookup.ts';
import type { AdmissionHook, AnyStrategy, ApiServer, Reader } from '../../apiserver/contract.ts';
import { HeavyPool } from '../../apiserver/heavy/pool.ts';
import { denyExternalIpsHook } from '../../apiserver/hooks/external-ips.ts';
import { loopbackEndpointsHook } from '../../apiserver/hooks/loopback-endpoints.ts';
import { openApi } from '../../apiserver/openapi/openapi.ts';
import { patches } from '../../apiserver/patch/patches.ts';
import { createSchemaEngine } from '../../apiserver/schema/schema.ts';
import { KeyFolder } from '../../apiserver/sealing/root-keys.ts';
import { createApiServer } from '../../apiserver/server.ts';
import { strategies } from '../../apiserver/strategies/index.ts';
import { createStreamHandlers } from '../../apiserver/streaming/handlers.ts';
import type { Tunnels } from '../../apiserver/streaming/tunnels.ts';
import { openSqliteStore } from '../../store/sqlite.ts';
import type { Store } from '../../store/store.ts';
import { type Config, evictAfterSecondsOf, type Home, serviceRangesOf } from '../home.ts';
import type { RoleContext } from '../internal.ts';
import { sealingStatusFile, secretKeysFolder } from '../secrets.ts';
import { parseStore, readStoreTls } from '../store-address.ts';
import { openTracing } from '../tracing/tracing.ts';
import { openDesk, serversOf } from './enrollment.ts';
import { openPluginDoor, ownIdentity, startApiParts } from './plugins.ts';

/** The apiserver process: store, authentication, the API, and the way to kubelets. */
export async function startApiserverRole(context: RoleContext): Promise<void> {
  const { home, config, log, scope } = context;
  const [store, keys, tokenFile] = await Promise.all([
    openStore(context),
    openSigningKeys(home.path('pki', 'sa.key')),
    openTokenFile({ path: home.path('credentials', 'tokens.json'), clock: systemClock }),
  ]);
  scope.use(store);
  const tracer = (await openTracing(context, 'apiserver'))?.('apiserver');
  const holder: { server?: ApiServer } = {};
  const reader = (): Reader => {
    if (!holder.server) throw new Error('the API server is still starting');
    return holder.server.reader;
  };
  const tokens = createServiceAccountTokens({
    keys,
    lookup: tokenLookup(reader),
    clock: systemClock,
    random: systemRandom,
  });
  const loopback = isLoopback(config);
  const itself = ownIdentity('system:apiserver');
  const schema = createSchemaEngine();
  const door = openPluginDoor(context);
  for (const [path, answer] of issuerPaths(tokens.discovery())) door.pages.set(path, answer);
  const ofPlugins: NodeAccounts = (...account) => door.placed.isAccountOn(...account);
  const ofPods = createNodeUses((name) => reader().indexed(podKind, name));
  const nodeUses = alsoAccounts(ofPods, ofPlugins);
  const desk = openDesk(context, { keys, reader, token: itself.token, server: () => holder.server! });
  for (const [path, answer] of Object.entries(desk.paths)) door.pages.set(path, answer);
  const server = await createApiServer({
    store,
    clock: systemClock,
    random: systemRandom,
    log,
    authenticator: createAuthenticator({
      tokenFile: { userOf: (token) => itself.userOf(token) ?? tokenFile.userOf(token) },
      serviceAccounts: tokens,
      bootstrapTokens: createBootstrapTokens({
        secret: (namespace, name) => reader().get(secretKind, namespace, name) as Secret | undefined,
        clock: systemClock,
      }),
      others: async (token) => (await desk.userOf(token)) ?? door.userOf(token),
    }),
    authorizer: door.guarded(createAuthorizer({ nodeUses })),
    admission: [createNodeRestriction(ofPods, ofPlugins), ...hooksOf(config), door.hooks],
    tokens,
    tracer,
    schema,
    patches,
    openApi,
    heavy: process.env['PINTLE_HEAVY'] === 'loop' ? undefined : scope.use(new HeavyPool(log)), // the bench compares
    strategies: strategies as readonly AnyStrategy[],
    streams: streamsOf(home, config, keys, desk.tunnels),
    serviceRange: config.serviceCidr,
    ...(loopback ? { webhookRanges: [config.podCidr, ...serviceRangesOf(config)] } : {}),
    nodePorts: rangeOf(config.nodePorts),
    advertise: advertised(config),
    frontProxy: frontProxyOf(home),
    secretKeys: new KeyFolder(secretKeysFolder(home), log),
    onSealing: (status) => home.writeFile(sealingStatusFile, `${JSON.stringify(status)}\n`),
    tolerationSeconds: evictAfterSecondsOf(config),
    extraPaths: door.pages,
  });
  holder.server = scope.use(server);
  desk.start();
  await startApiParts(context, server, { schema, token: itself.token, door });
  await server.listen({ hostname: loopback ? '127.0.0.1' : '0.0.0.0', port: config.port, tls: servingPair(home) });
  log.info('serving', { port: config.port });
}

/** What this cluster refuses, and others may not. */
const hooksOf = (config: Config): AdmissionHook[] => [
  ...(isLoopback(config) ? [] : [loopbackEndpointsHook]),
  ...(config.externalIps ? [] : [denyExternalIpsHook]),
];

const servingPair = (home: RoleContext['home']) => ({
  key: readFileSync(home.path('pki', 'apiserver.key'), 'utf8'),
  cert: readFileSync(home.path('pki', 'apiserver.crt'), 'utf8'),
});

async function openStore({ home, config, log }: RoleContext): Promise<Store> {
  const where = parseStore(config.store);
  if (where.type === 'sqlite') return openSqliteStore({ path: home.path('data', 'store.db'), clock: systemClock, log });
  const { endpoints, prefix, tls } = where;
  const { openEtcdStore } = await import('../../store/etcd.ts');
  const secrets = tls ? { tls: readStoreTls(tls) } : { plaintext: true };
  return openEtcdStore({ endpoints, prefix, ...secrets, clock: systemClock, log });
}

const rangeOf = (text: string): [from: number, to: number] => {
  const [from, to] = text.split('-').map(Number);
  return [from!, to!];
};

const advertised = (config: Config) => ({
  ip: config.advertise?.find((one) => isIP(one) !== 0) ?? config.nodeIp,
  port: config.port,
  urls: serversOf(config),
  ...(isLoopback(config) && process.getuid?.() !== 0 ? { servicePort: config.port } : {}),
});

/** Absent in a home that no `up` of this version has seen. */
function frontProxyOf(home: Home) {
  const read = (name: string) => home.readFile(`pki/${name}`);
  const [cert, key, ca] = [read('front-proxy-client.crt'), read('front-proxy-client.key'), read('front-proxy-ca.crt')];
  return cert && key && ca ? { cert, key, ca, clientCa: read('ca.crt') } : undefined;
}

/** Without root the cluster's own addresses are loopback ones. */
const isLoopback = (config: Config): boolean => config.podCidr.startsWith('127.');

const streamsOf = (
  home: Home,
  config: Config,
  keys: Awaited<ReturnType<typeof openSigningKeys>>,
  tunnels: Tunnels | undefined,
) =>
  createStreamHandlers({
    signKubeletToken: createKubeletTokenSigner(keys, systemClock),
    tunnels,
    kubeletCa: readFileSync(home.path('pki', 'kubelet-ca.crt'), 'utf8'),
    ...(isLoopback(config)
      ? { allowedRanges: [config.podCidr, ...serviceRangesOf(config)], kubeletRanges: [`${config.nodeIp}/32`] }
      : {}),
  });

/** What relying parties read to check tokens; it may be kept for an hour, as upstream says. */
const issuerPaths = (documents: Readonly<Record<string, unknown>>): [path: string, answer: () => Response][] =>
  Object.entries(documents).map(([path, document]) => {
    const type = path.endsWith('/jwks') ? 'application/jwk-set+json' : 'application/json';
    const headers = { 'content-type': type, 'cache-control': 'public, max-age=3600' };
    return [path, () => new Response(JSON.stringify(document), { headers })];
  });
