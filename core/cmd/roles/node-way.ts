import { readFileSync } from 'node:fs';
import { messageOf, systemClock } from '#base';
import type { Client, Fetch } from '#client';
import type { ClusterSettings } from '../../apiserver/enrollment/desk.ts';
import { enrollmentPaths } from '../../apiserver/enrollment/paths.ts';
import { renewCertificate } from '../agent/certificate.ts';
import { NodeIdentityKeeper } from '../agent/identity.ts';
import { keepTunnels } from '../agent/tunnel.ts';
import { clientOf, ServerWay } from '../agent/way.ts';
import { apiListens, connect } from '../connect.ts';
import type { Home } from '../home.ts';
import type { RoleContext } from '../internal.ts';
import { createNodeParts } from '../node-parts.ts';
import { noteRemoved } from '../removed.ts';

/** How the node process of a home reaches the API. */
export interface NodeWay {
  /** Of every request of a client. */
  readonly baseUrl: string;
  /** Where programs that are not ours reach it. */
  readonly url: string;
  /** Whoever calls brings a token. */
  readonly fetch: Fetch;
  client(name: 'node' | 'proxy'): Client;
  /** The node's endpoint listens there: the API server is given a way to it. */
  offer(port: number): void;
  /** Resolves when requests can be answered, or the scope closes. */
  ready(): Promise<void>;
  /** For how long no server has been heard of, in milliseconds. Absent: the API server is of this home. */
  readonly silentMs?: () => number;
  /** An address of this host is gone: connections from there are given up. */
  readonly moved: (why: string) => void;
}

export async function openWay(context: RoleContext): Promise<NodeWay> {
  return context.config.role === 'agent' ? wayOfAgent(context) : wayOfOwnServer(context);
}

function wayOfOwnServer({ home, config, scope }: RoleContext): NodeWay {
  const ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
  const url = `https://127.0.0.1:${config.port}`;
  return {
    baseUrl: url,
    url,
    fetch: (request) => fetch(request, { tls: { ca } }),
    client: (name) => connect(home, config, name),
    offer: () => {}, // by the node's own address
    ready: () => apiListens(config, scope.signal),
    moved: () => {}, // over loopback
  };
}

const settingsMsMax = 3_000; // an agent whose server is away works with what it knows

async function wayOfAgent(context: RoleContext): Promise<NodeWay> {
  const { home, config, log, scope } = context;
  const ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
  const way = new ServerWay({
    servers: () => home.read().servers ?? [],
    ca,
    clock: systemClock,
    log,
  });
  const keeper = new NodeIdentityKeeper({
    home,
    nodeName: config.nodeName,
    clusterId: config.clusterId,
    fetch: way.fetch,
    baseUrl: way.baseUrl,
    clock: systemClock,
    log,
    signal: scope.signal,
    onRemoved: (message) => void leaveCluster(context, message),
  });
  void keeper.keep();
  const part = { node: 'kubelet', proxy: 'proxy' } as const;
  const client = (name: 'node' | 'proxy'): Client =>
    clientOf(way, (signal) => keeper.token(part[name], signal), keeper.refused);
  return {
    baseUrl: way.baseUrl,
    url: way.server,
    fetch: way.fetch,
    client,
    silentMs: way.silentMs,
    offer: (port) => {
      const servers = () => home.read().servers ?? [];
      const token = () => keeper.token('kubelet');
      const { place, fellSilent: onSilent } = way;
      const seams = { clock: systemClock, log, signal: scope.signal };
      void keepTunnels({ servers, token, ca, port, ...seams, place, onSilent });
    },
    moved: way.moved,
    ready: async () => {
      const stopped = new Promise<void>((resolve) => scope.signal.addEventListener('abort', () => resolve()));
      await Promise.race([keeper.token('kubelet').then(() => refreshAll(context, client('node'))), stopped]).catch(
        (error: unknown) => log.warn('settings of the cluster not read', { error: messageOf(error) }),
      );
    },
  };
}

async function refreshAll(context: RoleContext, client: Client): Promise<void> {
  void keepCertificate(context, client);
  void keepSettings(context, client);
  await refresh(client, context.home);
  await renewCertificate(client, context.home, systemClock.now());
}

const lookAtSettingsMs = 30_000;
/** An API server that came, went or moved is known soon; what else changed counts from the next start on. */
async function keepSettings({ home, log, scope }: RoleContext, client: Client): Promise<void> {
  const { signal } = scope;
  while (!signal.aborted) {
    await systemClock.sleep(lookAtSettingsMs, signal);
    if (signal.aborted) return;
    await refresh(client, home).catch((error: unknown) =>
      log.debug('settings of the cluster not read', { error: messageOf(error) }),
    );
  }
}

const lookAtCertificateMs = 24 * 3_600_000;
/** The kubelet's endpoint reads its certificate when it starts: with a new one this process ends, and is started anew. */
async function keepCertificate({ home, log, scope }: RoleContext, client: Client): Promise<void> {
  const { signal } = scope;
  while (!signal.aborted) {
    await systemClock.sleep(lookAtCertificateMs, signal);
    if (signal.aborted) return;
    try {
      if (!(await renewCertificate(client, home, systemClock.now()))) continue;
    } catch (error) {
      log.warn('no new certificate for the node endpoint', { error: messageOf(error) });
      continue;
    }
    log.info('a new certificate for the node endpoint; starting anew with it');
    await scope[Symbol.asyncDispose]().catch(() => {});
    process.exit(0);
  }
}

/** What may have changed on the server since the last start; some of it counts from the next one on. */
async function refresh(client: Client, home: Home): Promise<void> {
  const signal = AbortSignal.timeout(settingsMsMax);
  const settings = await client.request<ClusterSettings>('GET', enrollmentPaths.settings, undefined, { signal });
  const { nodeGraceSeconds, plugins, jwks, otlpEndpoint, nodePortAddresses } = settings;
  const config = home.read();
  // The first is what a person named, perhaps an address that the server does not know of itself.
  const servers = [...new Set([...(config.servers ?? []).slice(0, 1), ...settings.servers])];
  const next = {
    ...config,
    nodeGraceSeconds,
    plugins,
    otlpEndpoint,
    nodePortAddresses,
    servers: servers.slice(0, serversMax),
  };
  if (JSON.stringify(next) !== JSON.stringify(config)) home.write(next);
  home.writeFile('pki/sa.jwks', JSON.stringify(jwks), 0o644);
}
const serversMax = 8;

/** The cluster took this node away: its containers, links and rules go, and nothing is started again. */
async function leaveCluster({ home, config, log, scope }: RoleContext, message: string): Promise<void> {
  log.error('this node was removed from the cluster; its pods are ended', { message });
  noteRemoved(home, message); // the supervisor ends with us
  await scope[Symbol.asyncDispose]().catch(() => {});
  try {
    const parts = await createNodeParts(home, config, log);
    await parts.purge();
  } catch (error) {
    log.error('not everything of this node could be removed; ./pintle down --purge tries again', {
      error: messageOf(error),
    });
  }
  process.exit(0);
}
