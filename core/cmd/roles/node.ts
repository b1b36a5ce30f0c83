import { mkdirSync, readFileSync } from 'node:fs';
import type { JSONWebKeySet } from 'jose';
import { type Log, MetricsPage, messageOf, systemClock, systemExec, systemRandom } from '#base';
import type { Client, InformerFactory } from '#client';
import type { ServiceProxy } from '#net/service-proxy';
import { createKubeletTokenVerifier } from '../../apiserver/auth/kubelet-tokens.ts';
import { signingKeysOf } from '../../apiserver/auth/signing-keys.ts';
import { createInformers } from '../../client/cache-informer.ts';
import type { NodeContributions } from '../../host/carried/contributions.ts';
import { createCarriedProxy } from '../../host/carried/proxy.ts';
import { pluginKind } from '../../host/kind.ts';
import { startKubelet } from '../../kubelet/kubelet.ts';
import { measuredRuntime, podMetrics } from '../../kubelet/metrics.ts';
import { createKubeletServer, type VerifyKubeletToken } from '../../kubelet/server/server.ts';
import { startProxy } from '../../proxy/proxy.ts';
import { createEventRecorder } from '../../sdk/recorder.ts';
import { createCarried } from '../carried.ts';
import { announcingLinkOf, type Config, type Home, nodeGraceSecondsOf, podRangesOf } from '../home.ts';
import type { RoleContext } from '../internal.ts';
import { createNodeParts } from '../node-parts.ts';
import type { PluginLinks } from '../plugin-links.ts';
import { gatedNetwork, PodGates } from '../pod-gates.ts';
import { addressesWithin } from '../service-settings.ts';
import { openTracing } from '../tracing/tracing.ts';
import { waitForEngine } from './engine-wait.ts';
import { followSubnets, HostNetwork } from './host-network.ts';
import { NodeAddress } from './node-address.ts';
import { type NodeWay, openWay } from './node-way.ts';
import { controlPlaneTaint } from './own-node.ts';
import { type HostParts, startNodeParts, startNodePluginHost } from './plugins.ts';

/** The node process: kubelet with its streaming endpoint, pod network and service proxy. */
export async function startNodeRole(context: RoleContext): Promise<void> {
  const { home, config, log, scope } = context;
  if (config.engine) await waitForEngine(config.engine.socket, scope.signal);
  const way = await openWay(context);
  const parts = await createNodeParts(home, config, log, isConnected(context.catalog));
  scope.use(parts.runtime);
  const carried = createCarried(home, config, log, parts.backends);
  scope.use(carried.volumes);
  const page = new MetricsPage(systemClock.now());
  const runtime = measuredRuntime(parts.runtime, page, systemClock);
  const gates = new PodGates(context.catalog.filter((one) => one.enabled && one.gatesPods).map(({ name }) => name));
  const filter = parts.filter && scope.use(parts.filter);
  const { announcer, podLimit } = parts;
  const seams = { clock: systemClock, random: systemRandom, log };
  const client = way.client('node');
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const events = scope.use(createEventRecorder({ client, ...seams, component: 'kubelet', host: config.nodeName }));
  mkdirSync(home.path('node', 'kubelet'), { recursive: true, mode: 0o711 });
  const address = followAddress(context, way);
  await way.ready();
  const tls = servingPair(home);
  const verify = await verifierOf(home, config.nodeName);
  const several = parts.network instanceof HostNetwork ? parts.network : undefined;
  const hostParts = { page, address, gates, filter, announcer, podLimit, several, backends: carried.backends };
  if (several) followSubnets(several, { home, nodeName: config.nodeName, informers, log });
  const [kubelet] = await Promise.all([
    startKubelet({
      client,
      informers,
      events,
      ...seams,
      nodeName: config.nodeName,
      nodeIp: address,
      runtime,
      podNetwork: parts.network && gatedNetwork(parts.network, gates),
      volumeDrivers: carried.volumes,
      networkState: several,
      silentMs: way.silentMs,
      ...ofServer(config),
      stateFolder: home.path('node', 'kubelet'),
      exec: systemExec,
      leaseSeconds: nodeGraceSecondsOf(home.read()),
      isRoot: process.getuid?.() === 0,
      ...(canServePort(dnsPort) ? {} : { clusterDns: [] }),
      runtimeHandlers: carried.runtimes,
      tracer: (await openTracing(context, 'node'))?.('kubelet'),
      server: async (access, runtime) => {
        podMetrics(page, access);
        const server = await createKubeletServer({
          ...{ access, runtime, verify, tls, port: config.kubeletPort, clock: systemClock, log },
          metrics: () => page.text(),
          hostname: config.podCidr.startsWith('127.') ? '127.0.0.1' : '0.0.0.0',
          pluginMetrics: () => carried.host.metricsText?.() ?? '',
        });
        way.offer(server.port);
        return server;
      },
    }),
    // Parts of plugins do not wait for the engine, which may be slow to answer: pods that run need their names.
    startServiceProxy(context, way, parts.proxy, { page, contributions: carried.contributions }).then((shared) =>
      startPartsOfPlugins(context, way, client, shared, hostParts),
    ),
    startNodePluginHost(context, client, way, carried).then(() => forgetGone(client, carried.links, log)),
  ]);
  scope.use(kubelet);
  log.info('the node runs', { runtime: parts.runtime.name, proxy: parts.proxy.name });
}

/** Plugins that were uninstalled while this process did not run. */
async function forgetGone(client: Client, links: PluginLinks, log: Log): Promise<void> {
  try {
    const { items } = await client.list(pluginKind);
    await links.purge(new Set(items.map(({ metadata }) => metadata.name ?? '')));
  } catch (error) {
    log.warn('the network of plugins that are gone was not removed', { error: messageOf(error) });
  }
}

const servingPair = (home: Home) => ({
  key: readFileSync(home.path('pki', 'kubelet.key'), 'utf8'),
  cert: readFileSync(home.path('pki', 'kubelet.crt'), 'utf8'),
});

/** Under an identity of its own; resolves to its informers, which node parts of plugins share. */
async function startServiceProxy(
  { config, log, scope }: RoleContext,
  way: NodeWay,
  own: ServiceProxy,
  { page, contributions }: { readonly page: MetricsPage; readonly contributions: NodeContributions },
): Promise<InformerFactory> {
  const client = way.client('proxy');
  const seams = { clock: systemClock, random: systemRandom, log };
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const events = scope.use(createEventRecorder({ client, ...seams, component: 'kube-proxy', host: config.nodeName }));
  const { nodeName } = config;
  const { clock } = seams;
  const proxy = scope.use(createCarriedProxy({ own, contributions, clock, log }));
  const onChange = (handler: () => void) => contributions.onChange(handler);
  const outside = config.nodePortAddresses && { nodePortAddresses: () => addressesWithin(config.nodePortAddresses)! };
  const shared = { client, informers, nodeName, podRanges: podRangesOf(config), ...outside, clock, log, events, page };
  scope.use(await startProxy({ ...shared, proxy, onChange }));
  return informers;
}

const dnsPort = 53; // resolv.conf has no word for another
/** Without root the proxy cannot listen on low ports: pods then ask the node's own servers. */
function canServePort(port: number): boolean {
  if (process.getuid?.() === 0) return true;
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')) <= port;
  } catch {
    return false;
  }
}

/** A host may get another address while it runs, or while it is off. */
function followAddress({ home, config, log, scope }: RoleContext, way: NodeWay): NodeAddress {
  const onGone = (gone: readonly string[]) => way.moved(`${gone.join(', ')} is no address of this host any more`);
  const address = new NodeAddress({
    announcingLink: announcingLinkOf(config),
    bothFamilies: config.podCidr6 !== undefined,
    ...{ home, given: config.nodeIp, clock: systemClock, log, signal: scope.signal, onGone },
  });
  void address.keep();
  return address;
}

/** Of the cluster's public keys; where the API server runs in the same home, from the key that signs. */
async function verifierOf(home: Home, nodeName: string): Promise<VerifyKubeletToken> {
  const kept = home.readFile('pki/sa.jwks');
  // The API server makes this key at its first start, before it listens.
  const jwks = kept
    ? (JSON.parse(kept) as JSONWebKeySet)
    : (await signingKeysOf(readFileSync(home.path('pki', 'sa.key'), 'utf8'))).jwks;
  const operationOf = createKubeletTokenVerifier(jwks, nodeName, systemClock);
  return async (token, claim) => {
    const allowed = await operationOf(token);
    return (
      allowed?.op === claim.operation &&
      (allowed.namespace ?? '') === claim.namespace &&
      (allowed.pod ?? '') === claim.pod &&
      (allowed.container ?? '') === (claim.container ?? '')
    );
  };
}

const isConnected = (catalog: RoleContext['catalog']): boolean =>
  catalog.some(({ enabled, connectsHosts }) => enabled && connectsHosts);

const ofServer = ({ role, schedulable }: Config) =>
  role === 'server' && !schedulable ? { taints: [controlPlaneTaint] } : {};

/** Those of built-in plugins; with several hosts once this one has its subnets, which they work with. */
async function startPartsOfPlugins(
  context: RoleContext,
  way: NodeWay,
  client: Client,
  informers: InformerFactory,
  { several, ...parts }: Omit<HostParts, 'host'> & { readonly several?: HostNetwork },
): Promise<void> {
  if (!several) return startNodeParts(context, client, informers, way, parts);
  const { signal } = context.scope;
  const stopped = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
  const start = async (): Promise<void> => {
    const subnets = await Promise.race([several.subnets, stopped]);
    if (!subnets) return;
    const { report, setMtu } = several;
    await startNodeParts(context, client, informers, way, { ...parts, host: { subnets, report, setMtu } });
  };
  // The node is registered meanwhile: only then it is given its subnets.
  void start().catch((error: unknown) => context.log.error('parts of plugins did not start', { error }));
}
