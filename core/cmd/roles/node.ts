import { mkdirSync, readFileSync } from 'node:fs';
import { systemClock, systemExec, systemRandom } from '#base';
import { createKubeletTokenVerifier } from '../../apiserver/auth/kubelet-tokens.ts';
import { signingKeysOf } from '../../apiserver/auth/signing-keys.ts';
import { createInformers } from '../../client/cache-informer.ts';
import { startKubelet } from '../../kubelet/kubelet.ts';
import { createKubeletServer, type VerifyKubeletToken } from '../../kubelet/server/server.ts';
import { startProxy } from '../../proxy/proxy.ts';
import { createEventRecorder } from '../../sdk/recorder.ts';
import { apiListens, connect } from '../connect.ts';
import { nodeGraceSecondsOf } from '../home.ts';
import type { RoleContext } from '../internal.ts';
import { createNodeParts } from '../node-parts.ts';
import { waitForEngine } from './engine-wait.ts';
import { startNodeParts } from './plugins.ts';

/** The node process: kubelet with its streaming endpoint, pod network and service proxy. */
export async function startNodeRole(context: RoleContext): Promise<void> {
  const { home, config, log, scope } = context;
  if (config.engine) await waitForEngine(config.engine.socket, scope.signal);
  const parts = await createNodeParts(home, config, log);
  scope.use(parts.runtime);
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
      runtime: parts.runtime,
      podNetwork: parts.network,
      stateFolder: home.path('node', 'kubelet'),
      exec: systemExec,
      leaseSeconds: nodeGraceSecondsOf(config),
      isRoot: process.getuid?.() === 0,
      server: (access) =>
        createKubeletServer({
          access,
          runtime: parts.runtime,
          verify,
          tls,
          hostname: config.podCidr.startsWith('127.') ? '127.0.0.1' : '0.0.0.0',
          port: config.kubeletPort,
          clock: systemClock,
          log,
        }),
    }),
    startServiceProxy(),
  ]);
  scope.use(kubelet);
  await startNodeParts(context, client, informers);
  log.info('the node runs', { runtime: parts.runtime.name, proxy: parts.proxy.name });

  async function startServiceProxy(): Promise<void> {
    const proxyClient = connect(home, config, 'proxy');
    const proxyInformers = createInformers({ client: proxyClient, ...seams, signal: scope.signal });
    const proxyEvents = scope.use(
      createEventRecorder({ client: proxyClient, ...seams, component: 'kube-proxy', host: config.nodeName }),
    );
    scope.use(parts.proxy);
    scope.use(
      await startProxy({
        client: proxyClient,
        informers: proxyInformers,
        proxy: parts.proxy,
        nodeName: config.nodeName,
        podRanges: [config.podCidr],
        clock: systemClock,
        log,
        events: proxyEvents,
      }),
    );
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
