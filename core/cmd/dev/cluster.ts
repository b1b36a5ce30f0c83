import { randomBytes } from 'node:crypto';
import { podKind } from '#api';
import { type Log, type Scope, silentLog, systemClock, systemRandom } from '#base';
import type { Client, Fetch } from '#client';
import { createAuthorizer } from '../../apiserver/auth/authorizer.ts';
import { createNodeUses } from '../../apiserver/auth/node-authorizer.ts';
import { createNodeRestriction } from '../../apiserver/auth/node-restriction.ts';
import type { AnyStrategy, ApiServer, ApiServerOptions } from '../../apiserver/contract.ts';
import { patches } from '../../apiserver/patch/patches.ts';
import { createSchemaEngine } from '../../apiserver/schema/schema.ts';
import { createApiServer } from '../../apiserver/server.ts';
import { strategies } from '../../apiserver/strategies/index.ts';
import { strategyKit } from '../../apiserver/strategies/kit.ts';
import { checkMetadata } from '../../apiserver/strategies/rules/metadata.ts';
import { createInformers } from '../../client/cache-informer.ts';
import { createClient } from '../../client/http.ts';
import { coreControllers } from '../../controllers/index.ts';
import { AdmissionList } from '../../host/admission-list.ts';
import { hostApiPart } from '../../host/api-part.ts';
import { startParts } from '../../host/builtin.ts';
import { advisersOf } from '../../host/hooks/advisers.ts';
import { HookBoard } from '../../host/hooks/board.ts';
import { convertingByPlugins } from '../../host/hooks/conversion.ts';
import type { BuiltinPlugin } from '../../host/parts.ts';
import { apiParts, controllersParts } from '../../host/parts.ts';
import { PluginMetrics } from '../../host/plugin-metrics.ts';
import { accountNamespace } from '../../host/rbac.ts';
import { startKubelet } from '../../kubelet/kubelet.ts';
import { createFakeRuntime } from '../../kubelet/runtimes/fake.ts';
import { startScheduler } from '../../scheduler/scheduler.ts';
import { startControllers } from '../../sdk/controller.ts';
import { createEventRecorder } from '../../sdk/recorder.ts';
import { createMemoryStore } from '../../store/memory.ts';
import type { Store } from '../../store/store.ts';
import { memoryFiles, newDisk } from '../../testing/files.ts';
import { createAuthority, issueServing } from '../../wire/pki.ts';
import { type Catalog, onOneHost } from '../catalog.ts';

export interface DevCluster {
  /** The API is served before these are up: controllers, scheduler, node. */
  readonly components: Promise<void>;
  readonly client: Client;
  readonly fetch: Fetch;
  readonly board: HookBoard;
  /** Of the administrator, for kubectl. */
  readonly url: string;
  readonly token: string;
  /** PEM. */
  readonly ca: string;
}
const nodeName = 'dev';
const serviceRange = '10.96.0.0/16';
const wanted = ['crd', 'apps'];

/**
 * A whole cluster in this process: API server on a memory store, controllers, scheduler, and one node whose containers
 * are played. Nothing of it outlives the scope; it listens on loopback alone.
 */
export async function devCluster(scope: Scope, catalog: Catalog, port: number | undefined): Promise<DevCluster> {
  const token = randomBytes(24).toString('base64url');
  const seams = { clock: systemClock, random: systemRandom, log: silentLog };
  const pki = certificates(); // stands in nobody's way
  const hooks = new AdmissionList();
  const board = new HookBoard(systemClock);
  const schema = createSchemaEngine();
  const server: ApiServer = scope.use(
    await createApiServer(serverOptions(await createMemoryStore(), schema, hooks, token, () => server)),
  );
  const fetch: Fetch = (request) => server.fetch(request);
  const clientOf = (name: string): Client =>
    createClient({ fetch, baseUrl: 'http://localhost', token: `${token}${name}`, userAgent: name });
  const client = clientOf('');
  const plugins = onOneHost(catalog).filter(({ name }) => wanted.includes(name));
  const ask = board.ask.bind(board) as Parameters<typeof hostApiPart>[0];
  const own = { name: 'plugin-host', enabled: true, api: async () => ({ default: hostApiPart(ask) }) };
  const { kinds, reader } = server;
  const served = {
    kinds,
    reader,
    schema,
    hooks,
    kit: strategyKit,
    checkMetadata: (...given: Parameters<typeof checkMetadata>) => checkMetadata(...given),
    callWebhook: convertingByPlugins(ask, () => kinds.all(), undefined),
  };
  scope.use(await startParts(apiParts([own, ...plugins], served, { ...seams, client }), seams));
  const { key, cert, ca } = await pki;
  const listener = Bun.serve({
    hostname: '127.0.0.1',
    port: port ?? 0,
    idleTimeout: 0,
    tls: { key, cert },
    fetch: (request) => server.fetch(request),
  });
  scope.defer(() => listener.stop(true));
  const components = startComponents(scope, clientOf, plugins, board, seams);
  scope.defer(() => components.catch(() => {}));
  return { components, client, fetch, board, url: `https://127.0.0.1:${listener.port}`, token, ca };
}

async function certificates(): Promise<{ readonly key: string; readonly cert: string; readonly ca: string }> {
  const nowMs = systemClock.now();
  const authority = await createAuthority('pintle dev', nowMs);
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  return { ...(await issueServing(authority, { commonName: 'dev', ...names, days: 30, nowMs })), ca: authority.cert };
}

function serverOptions(
  store: Store,
  schema: ReturnType<typeof createSchemaEngine>,
  hooks: AdmissionList,
  token: string,
  server: () => ApiServer,
): ApiServerOptions {
  const nodeUses = createNodeUses((name) =>
    server()
      .reader.list(podKind)
      .filter(({ spec }) => spec?.nodeName === name),
  );
  return {
    store,
    schema,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    patches,
    strategies: strategies as readonly AnyStrategy[],
    serviceRange,
    advertise: { ip: '192.0.2.1', port: 6443 },
    admission: [createNodeRestriction(nodeUses), hooks],
    authorizer: createAuthorizer({ nodeUses }),
    authenticator: { authenticate: async ({ headers }) => userOf(headers.get('authorization')?.slice(7) ?? '', token) },
    tokens: {
      issue: async ({ name }) => ({ token: `${token}/${name}`, expirationTimestamp: '2100-01-01T00:00:00Z' }),
      review: async () => ({ authenticated: false }),
    },
  };
}
/** The secret alone is the administrator; `SECRET/NAME` the account of a plugin; `SECRETname` a component. */
function userOf(given: string, token: string) {
  if (!given.startsWith(token)) return undefined;
  const rest = given.slice(token.length);
  if (rest.startsWith('/'))
    return {
      name: `system:serviceaccount:${accountNamespace}:${rest.slice(1)}`,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${accountNamespace}`, 'system:authenticated'],
    };
  if (rest === nodeName) return { name: `system:node:${nodeName}`, groups: ['system:nodes', 'system:authenticated'] };
  return { name: rest || 'admin', groups: ['system:masters', 'system:authenticated'] };
}

async function startComponents(
  scope: Scope,
  clientOf: (name: string) => Client,
  plugins: readonly BuiltinPlugin[],
  board: HookBoard,
  seams: { readonly clock: typeof systemClock; readonly random: typeof systemRandom; readonly log: Log },
): Promise<void> {
  const of = (name: string) => {
    const client = clientOf(name);
    return { client, informers: createInformers({ client, ...seams, signal: scope.signal }), ...seams };
  };
  const controllers = of('controllers');
  scope.use(await startControllers(coreControllers({ rootCa: 'dev' }), controllers));
  const { client, informers } = controllers;
  const metrics = new PluginMetrics();
  scope.use(await startParts(controllersParts(plugins, { informers, metrics }, { ...seams, client }), seams));
  const scheduling = of('scheduler');
  const events = scope.use(createEventRecorder({ ...scheduling, component: 'default-scheduler' }));
  scope.use(await startScheduler({ ...scheduling, events, advisers: () => advisersOf(board) }));
  const node = of(nodeName);
  const recorder = scope.use(createEventRecorder({ ...node, component: 'kubelet', host: nodeName }));
  const kubelet = await startKubelet({
    ...node,
    events: recorder,
    nodeName,
    nodeIp: '192.0.2.10',
    runtime: createFakeRuntime({
      clock: systemClock,
      random: systemRandom,
      startMs: 5,
      stopMs: 5,
      pullMs: 5,
      ipPrefix: '10.88.0',
    }),
    stateFolder: '/state',
    files: memoryFiles(newDisk(), async () => {}),
    exec: { run: async () => ({ code: 127, stdout: '', stderr: 'no programs here' }) },
    capacity: { cpu: '8', memory: '16Gi', pods: '110', 'ephemeral-storage': '100Gi' },
    nodeInfo: { kernelVersion: 'played', osImage: 'played', architecture: 'amd64' },
    clusterDns: [],
  });
  scope.use(kubelet);
}
