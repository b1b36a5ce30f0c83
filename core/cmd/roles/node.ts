import { mkdirSync, readFileSync } from 'node:fs';
import { MetricsPage, systemClock, systemExec, systemRandom } from '#base';
import type { InformerFactory } from '#client';
import type { ServiceProxy } from '#net/service-proxy';
import { createKubeletTokenVerifier } from '../../apiserver/auth/kubelet-tokens.ts';
import { signingKeysOf } from '../../apiserver/auth/signing-keys.ts';
import { createInformers } from '../../client/cache-informer.ts';
import type { NodeContributions } from '../../host/carried/contributions.ts';
import { createCarriedProxy } from '../../host/carried/proxy.ts';
import { startKubelet } from '../../kubelet/kubelet.ts';
import { measuredRuntime, podMetrics } from '../../kubelet/metrics.ts';
import { createKubeletServer, type VerifyKubeletToken } from '../../kubelet/server/server.ts';
import { startProxy } from '../../proxy/proxy.ts';
import { createEventRecorder } from '../../sdk/recorder.ts';
import { createCarried } from '../carried.ts';
import { apiListens, connect } from '../connect.ts';
import { nodeGraceSecondsOf } from '../home.ts';
import type { RoleContext } from '../internal.ts';
import { createNodeParts } from '../node-parts.ts';
import { gatedNetwork, PodGates } from '../pod-gates.ts';
import { waitForEngine } from './engine-wait.ts';
import { startNodeParts, startNodePluginHost } from './plugins.ts';

/** The node process: kubelet with its streaming endpoint, pod network and service proxy. */
export async function startNodeRole(context: RoleContext): Promise<void> {
  const { home, config, log, scope } = context;
  if (config.engine) await waitForEngine(config.engine.socket, scope.signal);
  const parts = await createNodeParts(home, config, log);
  scope.use(parts.runtime);
  const carried = createCarried(home, config, log);
  scope.use(carried.volumes);
  const page = new MetricsPage(systemClock.now());
  const runtime = measuredRuntime(parts.runtime, page, systemClock);
  const gates = new PodGates(context.catalog.filter((one) => one.enabled && one.gatesPods).map(({ name }) => name));
  if (parts.filter) scope.use(parts.filter);
  const seams = { clock: systemClock, random: systemRandom, log };
  const client = connect(home, config, 'node');
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const events = scope.use(createEventRecorder({ client, ...seams, component: 'kubelet', host: config.nodeName }));
  mkdirSync(home.path('node', 'kubelet'), { recursive: true, mode: 0o711 });
  const tls = {
    key: readFileSync(home.path('pki', 'kubelet.key'), 'utf8'),
    cert: readFileSync(home.path('pki', 'kubelet.crt'), 'utf8'),
  };
  await apiListens(config, scope.signal);
  // The API server makes this key at its first start, before it listens.
  const verify = await verifierOf(readFileSync(home.path('pki', 'sa.key'), 'utf8'), config.nodeName);
  const [kubelet] = await Promise.all([
    startKubelet({
      client,
      informers,
      events,
      ...seams,
      nodeName: config.nodeName,
      nodeIp: config.nodeIp,
      runtime,
      podNetwork: parts.network && gatedNetwork(parts.network, gates),
      volumeDrivers: carried.volumes,
      stateFolder: home.path('node', 'kubelet'),
      exec: systemExec,
      leaseSeconds: nodeGraceSecondsOf(config),
      isRoot: process.getuid?.() === 0,
      ...(canServePort(dnsPort) ? {} : { clusterDns: [] }),
      runtimeHandlers: carried.runtimes,
      server: (access, runtime) => {
        podMetrics(page, access);
        return createKubeletServer({
          access,
          runtime,
          metrics: () => page.text(),
          verify,
          tls,
          hostname: config.podCidr.startsWith('127.') ? '127.0.0.1' : '0.0.0.0',
          port: config.kubeletPort,
          clock: systemClock,
          log,
        });
      },
    }),
    // Parts of plugins do not wait for the engine, which may be slow to answer: pods that run need their names.
    startServiceProxy(context, parts.proxy, { page, contributions: carried.contributions }).then((shared) =>
      startNodeParts(context, client, shared, { gates, filter: parts.filter, backends: carried.backends }),
    ),
    startNodePluginHost(context, client, carried.contributions),
  ]);
  scope.use(kubelet);
  log.info('the node runs', { runtime: parts.runtime.name, proxy: parts.proxy.name });
}

/** Under an identity of its own; resolves to its informers, which node parts of plugins share. */
async function startServiceProxy(
  { home, config, log, scope }: RoleContext,
  own: ServiceProxy,
  { page, contributions }: { readonly page: MetricsPage; readonly contributions: NodeContributions },
): Promise<InformerFactory> {
  const client = connect(home, config, 'proxy');
  const seams = { clock: systemClock, random: systemRandom, log };
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const events = scope.use(createEventRecorder({ client, ...seams, component: 'kube-proxy', host: config.nodeName }));
  const { nodeName, podCidr } = config;
  const { clock } = seams;
  const proxy = scope.use(createCarriedProxy({ own, contributions, clock, log }));
  const onChange = (handler: () => void) => contributions.onChange(handler);
  const shared = { client, informers, nodeName, podRanges: [podCidr], clock, log, events, page };
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

/** One host: the key that signs is in the same home. Only its public half is used here. */
async function verifierOf(pem: string, nodeName: string): Promise<VerifyKubeletToken> {
  const { jwks } = await signingKeysOf(pem);
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
