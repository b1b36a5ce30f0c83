import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MetricsPage, Scope, seededRandom, silentLog, systemClock, systemExec } from '#base';
import type { ContainerRuntime } from '#sdk';
import { createKubeletTokenVerifier } from '../../../core/apiserver/auth/kubelet-tokens.ts';
import { signingKeysOf } from '../../../core/apiserver/auth/signing-keys.ts';
import { createInformers } from '../../../core/client/cache-informer.ts';
import { connect } from '../../../core/cmd/connect.ts';
import { Home } from '../../../core/cmd/home.ts';
import { startKubelet } from '../../../core/kubelet/kubelet.ts';
import { measuredRuntime, podMetrics } from '../../../core/kubelet/metrics.ts';
import { createFakeRuntime } from '../../../core/kubelet/runtimes/fake.ts';
import type { KubeletAccess } from '../../../core/kubelet/server/access.ts';
import { createKubeletServer, type KubeletServer } from '../../../core/kubelet/server/server.ts';
import { createEventRecorder } from '../../../core/sdk/recorder.ts';
import { issueServing } from '../../../core/wire/pki.ts';

/** Real kubelets over pretended containers, each with its own identity and watches: `--home H --nodes N`, with `--serves` also their endpoint. Ends with its stdin. */
const { values } = parseArgs({
  options: { home: { type: 'string' }, nodes: { type: 'string' }, serves: { type: 'boolean' } },
});
const home = new Home(values.home!);
const config = home.read();
const scope = new Scope();
const seams = { clock: systemClock, log: silentLog };
await Promise.all(Array.from({ length: Number(values.nodes) }, (_, index) => startNode(index)));
console.log('ready');
for await (const _ of Bun.stdin.stream()) {
}
process.exit(0); // nothing of it outlives the process

async function startNode(index: number): Promise<void> {
  const name = `fake-${index}`;
  const random = seededRandom(index + 1);
  const client = connect(home, config, name);
  const common = { ...seams, random, client };
  const stateFolder = home.path('node', name);
  mkdirSync(stateFolder, { recursive: true });
  const page = new MetricsPage(systemClock.now());
  const runtime = createFakeRuntime({ clock: systemClock, random, ipPrefix: `10.${64 + (index >> 8)}.${index & 255}` });
  const kubelet = await startKubelet({
    ...common,
    informers: createInformers({ ...common, signal: scope.signal }),
    events: createEventRecorder({ ...common, component: 'kubelet', host: name }),
    nodeName: name,
    nodeIp: values.serves ? '127.0.0.1' : `192.0.2.${1 + (index % 250)}`,
    runtime: measuredRuntime(runtime, page, systemClock),
    ...(values.serves && { server: (access, measured) => serve(name, page, access, measured) }),
    stateFolder,
    exec: systemExec,
    capacity: { cpu: '8', memory: '16Gi', pods: '110', 'ephemeral-storage': '100Gi' },
  });
  await kubelet.registered;
}

/** The endpoint of a kubelet, as the node process opens it. */
async function serve(
  name: string,
  page: MetricsPage,
  access: KubeletAccess,
  runtime: ContainerRuntime,
): Promise<KubeletServer> {
  podMetrics(page, access);
  const { jwks } = await signingKeysOf(home.readFile('pki/sa.key')!);
  const operationOf = createKubeletTokenVerifier(jwks, name, systemClock);
  const authority = { cert: home.readFile('pki/kubelet-ca.crt')!, key: home.readFile('pki/kubelet-ca.key')! };
  const nowMs = systemClock.now();
  const names = { commonName: name, dnsNames: [name], ipAddresses: ['127.0.0.1'], days: 1, nowMs };
  return createKubeletServer({
    access,
    runtime,
    metrics: () => page.text(),
    verify: async (token, { operation }) => (await operationOf(token))?.op === operation,
    tls: await issueServing(authority, names),
    hostname: '127.0.0.1',
    port: 0,
    clock: systemClock,
    log: silentLog,
  });
}
