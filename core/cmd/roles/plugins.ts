import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import {
  type Log,
  type MetricsPage,
  messageOf,
  programOnPath,
  programPath,
  spawnDuplex,
  systemClock,
  systemExec,
  systemFiles,
  systemRandom,
} from '#base';
import type { Client, InformerFactory } from '#client';
import type { PacketFilter } from '#net/packet-filter';
import type { ApiPartContext, MeasuredWay, Metrics, NetworkBackends, NodePartContext, UserInfo } from '#sdk';
import type { AddressAnnouncer } from '../../../net/announcer.ts';
import { measurePaths } from '../../../net/mtu/path-mtu.ts';
import type { SourceLimit } from '../../../net/source-limit.ts';
import type { ApiServer, ExtraPath } from '../../apiserver/contract.ts';
import type { DefinableSchema } from '../../apiserver/schema/schema.ts';
import { strategyKit } from '../../apiserver/strategies/kit.ts';
import { checkMetadata } from '../../apiserver/strategies/rules/metadata.ts';
import { createInformers } from '../../client/cache-informer.ts';
import { createClient } from '../../client/http.ts';
import { AdmissionList } from '../../host/admission-list.ts';
import { hostApiPart } from '../../host/api-part.ts';
import { type Part, startParts } from '../../host/builtin.ts';
import type { ContainerEngine } from '../../host/container.ts';
import { KnownHooks } from '../../host/hooks/admission.ts';
import { pluginAuthenticators } from '../../host/hooks/authenticators.ts';
import { withPluginAuthorizers } from '../../host/hooks/authorizers.ts';
import { HookBoard } from '../../host/hooks/board.ts';
import { convertingByPlugins } from '../../host/hooks/conversion.ts';
import { type AskPlugin, knockingAt, type MetricsOf, openHookDoor } from '../../host/hooks/door.ts';
import { PluginHost } from '../../host/host.ts';
import { NodePluginHost } from '../../host/node-host.ts';
import { NodePlugins } from '../../host/node-rights.ts';
import { apiParts, controllersParts, nodeParts } from '../../host/parts.ts';
import { startControllers } from '../../sdk/controller.ts';
import { createAuthority, issueServing, type KeyPair } from '../../wire/pki.ts';
import type { Carried } from '../carried.ts';
import { connect } from '../connect.ts';
import { type Config, podRangesOf } from '../home.ts';
import { hostAddresses } from '../host-addresses.ts';
import type { RoleContext } from '../internal.ts';
import { pluginContainers } from '../plugin-containers.ts';
import { noteParts } from '../plugin-reports.ts';
import type { PodGates } from '../pod-gates.ts';
import { nthAddress } from '../ranges.ts';
import type { NodeAddress } from './node-address.ts';
import type { NodeWay } from './node-way.ts';

/** A user of this process alone: its token is made at the start and never written down. */
export function ownIdentity(name: string): { readonly token: string; userOf(token: string): UserInfo | undefined } {
  const token = randomBytes(32).toString('base64url');
  const user = { name, groups: ['system:masters', 'system:authenticated'] };
  return { token, userOf: (given) => (given === token ? user : undefined) };
}

const metadataRules: ApiPartContext['checkMetadata'] = (object, current) => checkMetadata(object, current);

const selfSignedDays = 3_650;
async function selfSigned(commonName: string): Promise<KeyPair> {
  const nowMs = systemClock.now();
  const authority = await createAuthority(`${commonName} authority`, nowMs);
  const names = { dnsNames: [commonName], ipAddresses: [] };
  return issueServing(authority, { commonName, ...names, days: selfSignedDays, nowMs });
}

/** Where API servers of this home ask its plugin host: below a folder of their own user, by a secret of this run. */
const hookSocket = (home: RoleContext['home']): string => home.path('run', 'p', '.hooks');
const hookSecret = (home: RoleContext['home']): string => home.path('run', 'p', '.hooks.secret');

/** The API server's way to plugins: which hooks there are, and who answers them. */
export interface PluginDoor {
  /** Stands in the chain for the hooks that parts add. */
  readonly hooks: AdmissionList;
  readonly ask: AskPlugin;
  /** Outside resources, by path. */
  readonly pages: Map<string, ExtraPath>;
  readonly known: KnownHooks;
  readonly placed: NodePlugins;
  readonly userOf: (token: string) => Promise<UserInfo | undefined>;
  /** Plugins may refuse what these rights allow. */
  readonly guarded: <A extends Guarded>(authorizer: A) => ReturnType<typeof withPluginAuthorizers<A>>;
}
type Guarded = Parameters<typeof withPluginAuthorizers>[0];
export function openPluginDoor({ home, log, scope }: RoleContext): PluginDoor {
  const known = new KnownHooks();
  const ask = scope.use(
    knockingAt({
      path: hookSocket(home),
      secret: () => systemFiles.readFile(hookSecret(home), 'utf8'),
      clock: systemClock,
    }),
  );
  const metrics = (of: MetricsOf) => () =>
    ask.metricsText(of).then(
      (text) => new Response(text, { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } }),
      (error: unknown) => new Response(messageOf(error), { status: 503 }),
    );
  return {
    hooks: new AdmissionList(),
    ask,
    pages: new Map<string, ExtraPath>([
      ['/metrics/plugins', metrics('plugins')],
      ['/metrics/controllers', metrics('process')],
    ]),
    known,
    placed: new NodePlugins(),
    userOf: pluginAuthenticators(known, ask, { clock: systemClock, log }),
    guarded: (authorizer) => withPluginAuthorizers(authorizer, known, ask, { clock: systemClock, log }),
  };
}

/** Built-in plugins of the API server: before it listens, so that nobody meets it without their kinds. */
export function startApiParts(
  context: RoleContext,
  server: ApiServer,
  parts: { readonly schema: DefinableSchema; readonly token: string; readonly door: PluginDoor },
): Promise<void> {
  const client = createClient({
    fetch: (request) => server.fetch(request),
    baseUrl: 'http://localhost',
    token: parts.token,
    userAgent: 'pintle-apiserver',
  });
  const { kinds, reader } = server;
  const { schema, door } = parts;
  const { hooks } = door;
  const callWebhook = convertingByPlugins(door.ask, () => kinds.all(), server.callWebhook);
  // The host's own kind comes by the same door as everybody's.
  const ownKinds = {
    name: 'plugin-host',
    enabled: true,
    api: async () => ({ default: hostApiPart(door.ask, door.known, door.placed) }),
  };
  return run(
    context,
    'apiserver',
    apiParts(
      [ownKinds, ...context.catalog],
      {
        ...{
          kinds,
          reader,
          callWebhook,
          schema,
          hooks,
          pages: door.pages,
          kit: strategyKit,
          checkMetadata: metadataRules,
        },
        cluster: { podRanges: podRangesOf(context.config), selfSigned },
      },
      seamsOf(context, client),
    ),
  );
}

export interface HostHooks {
  readonly board: HookBoard;
  /** Filled in by the host once it runs. */
  readonly own: { metricsText?: () => string };
}
/** The hooks that plugins have attached, and the door for the API servers that call them. */
export async function openHooks({ home, scope }: RoleContext, page: MetricsPage): Promise<HostHooks> {
  const board = new HookBoard(systemClock);
  const secret = randomBytes(32).toString('base64url');
  await mkdir(home.path('run', 'p'), { recursive: true, mode: 0o700 });
  await writeFile(hookSecret(home), secret, { mode: 0o600 });
  const own: { metricsText?: () => string } = {};
  const metricsText = (of: MetricsOf) => (of === 'process' ? page.text() : (own.metricsText?.() ?? ''));
  scope.use(await openHookDoor(hookSocket(home), secret, board, systemClock, metricsText));
  return { board, own };
}

/** The engine for isolation `container`, without what a former life of this host left in it. */
async function enginePart({ engine }: Config, host: string, log: Log): Promise<{ containers?: ContainerEngine }> {
  if (!engine) return {};
  const containers = pluginContainers(engine.socket, systemClock);
  await containers.sweep(host).catch((error: unknown) => {
    log.warn('containers of plugins that ended were not looked for', { error: messageOf(error) });
  });
  return { containers };
}

/** Of the machine, for those who run plugins here. */
function hostMeans(home: RoleContext['home'], config: Config) {
  const ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
  return {
    files: systemFiles,
    spawn: spawnDuplex,
    fetch: (request: Request) => fetch(request, { tls: { ca } }),
    baseUrl: `https://127.0.0.1:${config.port}`,
    folder: home.path('plugins'),
    clusterId: config.clusterId,
  };
}

/** Plugin objects: what they say runs as processes of this one. */
export async function startPluginHost({ home, config, log, scope }: RoleContext, hooks: HostHooks): Promise<void> {
  const client = connect(home, config, 'plugin-host');
  const seams = { clock: systemClock, random: systemRandom, log };
  const host = scope.use(
    new PluginHost({
      client,
      ...seams,
      ...hostMeans(home, config),
      runFolder: home.path('run', 'p'),
      ...(await enginePart(config, config.clusterId, log)),
      hooks: hooks.board,
    }),
  );
  hooks.own.metricsText = () => host.metricsText();
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  scope.use(await startControllers([host.controller], { client, informers, ...seams, component: 'plugin-host' }));
}

/** The instances of plugins on this node, as the node itself. */
export async function startNodePluginHost(
  { home, config, log, scope }: RoleContext,
  client: Client,
  way: NodeWay,
  { contributions, host: own }: Carried,
): Promise<void> {
  const seams = { clock: systemClock, random: systemRandom, log };
  const host = scope.use(
    new NodePluginHost({
      client,
      ...seams,
      ...hostMeans(home, config),
      fetch: way.fetch,
      baseUrl: way.baseUrl,
      nodeName: config.nodeName,
      stateFolder: home.path('node', 'plugin-states'),
      runFolder: home.path('run', 'n'),
      contributions,
      ...(await enginePart(config, `${config.clusterId}-${config.nodeName}`, log)),
    }),
  );
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  own.metricsText = () => host.metricsText();
  scope.use(await startControllers([host.controller], { client, informers, ...seams, component: 'node-plugin-host' }));
}

export const startControllersParts = (
  context: RoleContext,
  client: Client,
  informers: InformerFactory,
  metrics: Metrics,
): Promise<void> =>
  run(context, 'controllers', controllersParts(context.catalog, { informers, metrics }, seamsOf(context, client)));

const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((links) => (links ?? []).map(({ address }) => address));

/** What node parts get beside the API. */
export interface HostParts {
  readonly address: Pick<NodeAddress, 'address'>;
  readonly page: MetricsPage;
  readonly gates: PodGates;
  readonly filter?: PacketFilter;
  readonly announcer?: AddressAnnouncer;
  readonly podLimit?: SourceLimit;
  readonly backends: NetworkBackends;
  /** Of one host of several. */
  readonly host?: Partial<Pick<NodePartContext['network'], 'subnets' | 'report' | 'setMtu'>>;
}
/** `informers`: of the service proxy. `host`: what one of several hosts was given. */
export function startNodeParts(
  context: RoleContext,
  client: Client,
  informers: InformerFactory,
  way: NodeWay,
  { page, address, gates, filter, announcer, podLimit, backends, host = {} }: HostParts,
): Promise<void> {
  const { home, config, catalog } = context;
  const node = {
    informers,
    nodeName: config.nodeName,
    page,
    backends,
    network: {
      ip: nthAddress(host.subnets?.[0] ?? config.podCidr, 1),
      podRanges: podRangesOf(config),
      subnets: host.subnets ?? podRangesOf(config),
      report: host.report ?? (() => {}),
      setMtu: host.setMtu ?? (async () => {}),
      ownAddresses,
      filter,
      announcer,
      podLimit,
    },
    underlay: {
      get nodeIp() {
        return address.address;
      },
      links: () => hostAddresses(systemExec),
      measureWays: (ways: readonly MeasuredWay[]) => measurePaths(ways, { clock: systemClock, random: systemRandom }),
    },
    gateOf: (name: string) => gates.doorOf(name),
    machine: {
      files: systemFiles,
      spawn: spawnDuplex,
      findProgram: (name: string) => programPath(name) ?? programOnPath(name),
    },
    folderOf: (name: string) => home.path('node', 'plugins', name),
    api: {
      url: way.url,
      caFile: home.path('pki', 'ca.crt'),
      tokenFile: home.path('credentials', 'proxy.token'),
    },
  };
  return run(context, 'node', nodeParts(catalog, node, seamsOf(context, client)));
}

const seamsOf = ({ log }: RoleContext, client: Client) => ({ client, clock: systemClock, random: systemRandom, log });

async function run({ home, log, scope }: RoleContext, component: string, parts: readonly Part[]): Promise<void> {
  const running = scope.use(await startParts(parts, { clock: systemClock, log }));
  noteParts(home, component, running.reports);
}
