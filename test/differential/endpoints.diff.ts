import { expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Endpoint, EndpointSlice, Endpoints, KubeObject } from '#api';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import { startControllers } from '#sdk';
import { createInformers } from '../../core/client/cache-informer.ts';
import { createClient } from '../../core/client/http.ts';
import { coreControllers } from '../../core/controllers/index.ts';
import { eventually } from '../fixtures/eventually.ts';
import { type Server, startOurs, upstreamTool } from './servers.ts';

/**
 * Upstream's controllers and ours make the same EndpointSlices and Endpoints of the same services, pods and nodes.
 * Optional: `bun test --timeout 300000 ./test/differential/endpoints.diff.ts`
 */
const possible = upstreamTool() !== undefined;
if (!possible) console.log('skipped: endpoints beside upstream’s controllers, for want of upstream');
const serviceRange = '10.96.0.0/16,fd00:10:96::/112';

interface PodShape {
  readonly ips: readonly string[];
  readonly ready?: boolean;
  readonly node?: string;
  readonly phase?: string;
  readonly hostname?: string;
  readonly isEnding?: boolean;
  readonly portName?: string;
}
interface Case {
  readonly name: string;
  readonly spec: Record<string, unknown>;
  readonly labels?: Record<string, string>;
  readonly pods?: readonly PodShape[];
  /** Hand-written Endpoints, for mirroring. */
  readonly written?: object;
  /** The service becomes this afterwards. */
  readonly later?: Record<string, unknown>;
}
const both = ['10.9.0.1', 'fd09::1'];
const dual = { ipFamilyPolicy: 'RequireDualStack' };
const port = { ports: [{ port: 80, targetPort: 8080 }] };
const pods: readonly PodShape[] = [
  { ips: both },
  { ips: ['10.9.0.2', 'fd09::2'], node: 'b', ready: false },
  { ips: ['10.9.0.3'], node: 'nozone', isEnding: true },
  { ips: ['fd09::4'], node: 'b' },
  { ips: ['10.9.0.5'], phase: 'Succeeded' },
  { ips: [] },
];
const cases: readonly Case[] = [
  { name: 'one-family', spec: port, pods },
  { name: 'labels', spec: port, pods: [{ ips: both }], labels: { a: 'b', 'kubernetes.io/service-name': 'other' } },
  { name: 'both', spec: { ...port, ...dual }, pods },
  { name: 'six-first', spec: { ...port, ...dual, ipFamilies: ['IPv6', 'IPv4'] }, pods },
  { name: 'six', spec: { ...port, ipFamilies: ['IPv6'] }, pods },
  { name: 'none', spec: { ...port, ...dual }, pods: [] },
  { name: 'publish', spec: { ...port, publishNotReadyAddresses: true }, pods },
  { name: 'headless', spec: { clusterIP: 'None', ...dual }, pods: [{ ips: both, hostname: 'h' }] },
  { name: 'same-zone', spec: { ...port, trafficDistribution: 'PreferSameZone' }, pods },
  { name: 'close', spec: { ...port, trafficDistribution: 'PreferClose' }, pods },
  { name: 'same-node', spec: { ...port, ...dual, trafficDistribution: 'PreferSameNode' }, pods },
  {
    name: 'named',
    spec: {
      ports: [
        { name: 'a', port: 80, targetPort: 'web' },
        { name: 'b', port: 81, appProtocol: 'x/y' },
      ],
    },
    pods: [{ ips: both, portName: 'web' }, { ips: ['10.9.0.8'] }],
  },
  { name: 'unfound', spec: { ports: [{ port: 80, targetPort: 'web' }] }, pods: [{ ips: both }] },
  { name: 'nowhere', spec: port, pods: [{ ips: ['10.9.0.9'], node: 'gone' }, { ips: both }] },
  { name: 'narrowed', spec: { ...port, ...dual }, pods, later: { ipFamilyPolicy: 'SingleStack' } },
  { name: 'hinted', spec: port, pods, later: { trafficDistribution: 'PreferSameZone' } },
  {
    name: 'unhinted',
    spec: { ...port, trafficDistribution: 'PreferSameNode' },
    pods,
    later: { trafficDistribution: null },
  },
  {
    name: 'mirrored',
    spec: port,
    labels: { a: 'b' },
    written: {
      subsets: [
        {
          addresses: [{ ip: '192.0.2.1', hostname: 'h' }, { ip: '2001:db8::1' }],
          notReadyAddresses: [{ ip: '192.0.2.2' }],
          ports: [{ port: 9 }],
        },
      ],
    },
  },
];

const call = (server: Server) => async (method: string, path: string, body?: unknown) => {
  const response = await fetch(server.url + path, {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: {
      authorization: `Bearer ${server.token}`,
      'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
    },
    tls: { rejectUnauthorized: false },
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok && response.status !== 409) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
  return answer;
};
type Call = ReturnType<typeof call>;

async function startUpstreamWithControllers(scope: Scope): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-upstream-'));
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  const port = process.env['UPSTREAM_PORT'] ?? '17590';
  const up = Bun.spawn([upstreamTool()!, 'up', '--controllers', folder, port], {
    stdout: 'ignore',
    stderr: 'inherit',
    env: { ...process.env, UPSTREAM_ARGS: `--service-cluster-ip-range=${serviceRange}` },
  });
  if ((await up.exited) !== 0) throw new Error('upstream did not start');
  const down = () => Bun.spawn([upstreamTool()!, 'down', folder], { stdout: 'ignore', stderr: 'ignore' }).exited;
  scope.defer(async () => void (await down()));
  const server = { name: 'upstream', url: `https://127.0.0.1:${port}`, token: 'upstream' } as const;
  return { ...server, [Symbol.asyncDispose]: async () => {} };
}
async function startOursWithControllers(scope: Scope): Promise<Server> {
  const server = scope.use(await startOurs());
  const common = { clock: systemClock, random: seededRandom(3), log: silentLog };
  const client = createClient({
    fetch: (request) => fetch(request, { tls: { rejectUnauthorized: false } }),
    baseUrl: server.url,
    token: server.token,
  });
  const informers = createInformers({ ...common, client, signal: scope.signal });
  // Nobody speaks for these nodes, and upstream waits longer for them before it says so of their pods.
  const controllers = coreControllers({ rootCa: 'PEM' }).filter(({ name }) => name !== 'node-controller');
  scope.use(await startControllers(controllers, { ...common, client, informers }));
  return server;
}

async function makeNodes(ask: Call): Promise<void> {
  for (const [name, zone] of [
    ['a', 'z1'],
    ['b', 'z2'],
    ['nozone', ''],
  ] as const) {
    const labels = zone ? { 'topology.kubernetes.io/zone': zone } : {};
    await ask('POST', '/api/v1/nodes', { metadata: { name, labels } });
  }
}
async function make(ask: Call, one: Case): Promise<string> {
  const space = `/api/v1/namespaces/${one.name}`;
  await ask('POST', '/api/v1/namespaces', { metadata: { name: one.name } });
  await eventually(
    () => ask('GET', `${space}/serviceaccounts`),
    (list) => (list['items'] as unknown[]).length > 0,
  );
  const selector = one.written ? {} : { selector: { app: 's' } };
  const metadata = { name: 's', labels: one.labels };
  await ask('POST', `${space}/services`, { metadata, spec: { ...selector, ...one.spec } });
  for (const [index, pod] of (one.pods ?? []).entries()) await makePod(ask, space, `p${index}`, pod);
  if (one.written) await ask('POST', `${space}/endpoints`, { metadata, ...one.written });
  return space;
}
async function makePod(ask: Call, space: string, name: string, pod: PodShape): Promise<void> {
  const ports = pod.portName ? { ports: [{ name: pod.portName, containerPort: 8088 }] } : {};
  await ask('POST', `${space}/pods`, {
    metadata: { name, labels: { app: 's' }, ...(pod.isEnding && { finalizers: ['example.com/hold'] }) },
    spec: {
      nodeName: pod.node ?? 'a',
      ...(pod.hostname && { hostname: pod.hostname, subdomain: 's' }),
      containers: [{ name: 'c', image: 'i', ...ports }],
    },
  });
  const podIPs = pod.ips.map((ip) => ({ ip }));
  const conditions = [{ type: 'Ready', status: pod.ready === false ? 'False' : 'True' }];
  const status = { phase: pod.phase ?? 'Running', podIP: pod.ips[0], podIPs, conditions };
  await ask('PATCH', `${space}/pods/${name}/status`, { status });
  if (pod.isEnding) await ask('DELETE', `${space}/pods/${name}`, { gracePeriodSeconds: 300 });
}

/** What both must say alike, in one order. */
async function picture(ask: Call, name: string): Promise<unknown> {
  const slices = (await ask('GET', `/apis/discovery.k8s.io/v1/namespaces/${name}/endpointslices`))[
    'items'
  ] as (EndpointSlice & KubeObject)[];
  const all = (await ask('GET', `/api/v1/namespaces/${name}/endpoints`))['items'] as (Endpoints & KubeObject)[];
  const text = (value: unknown) => JSON.stringify(value);
  const sorted = <T>(list: readonly T[]) => [...list].sort((a, b) => (text(a) < text(b) ? -1 : 1));
  const endpointOf = ({ targetRef, ...rest }: Endpoint) => ({ ...rest, pod: targetRef?.name });
  return {
    slices: sorted(
      slices.map(({ addressType, ports, endpoints, metadata }) => ({
        addressType,
        labels: metadata.labels,
        owner: metadata.ownerReferences?.map(({ kind, name: owner }) => `${kind}/${owner}`),
        ports: sorted(ports ?? []),
        endpoints: sorted((endpoints ?? []).map(endpointOf)),
      })),
    ),
    endpoints: all.map(({ metadata, subsets }) => ({
      labels: metadata.labels,
      subsets: sorted(
        (subsets ?? []).map(({ addresses, notReadyAddresses, ports }) => ({
          ready: sorted((addresses ?? []).map(({ targetRef, ...rest }) => ({ ...rest, pod: targetRef?.name }))),
          notReady: sorted(
            (notReadyAddresses ?? []).map(({ targetRef, ...rest }) => ({ ...rest, pod: targetRef?.name })),
          ),
          ports: sorted(ports ?? []),
        })),
      ),
    })),
  };
}
const settledMs = 1_500;
/** The same for a while: both sides work on behind our back. */
async function settled(ask: Call, name: string): Promise<unknown> {
  let [last, sinceMs] = ['', systemClock.monotonicMs()];
  const found = await eventually(
    async () => {
      await systemClock.sleep(100);
      const now = await picture(ask, name);
      if (JSON.stringify(now) !== last) [last, sinceMs] = [JSON.stringify(now), systemClock.monotonicMs()];
      return now;
    },
    () => systemClock.monotonicMs() - sinceMs > settledMs,
  );
  return found;
}

test.skipIf(!possible)('upstream’s controllers and ours make the same endpoints', async () => {
  await using scope = new Scope();
  const servers = [await startUpstreamWithControllers(scope), await startOursWithControllers(scope)].map(call);
  const pictures = await Promise.all(
    servers.map(async (ask) => {
      await makeNodes(ask);
      for (const one of cases) await make(ask, one);
      const first = await Promise.all(cases.map(({ name }) => settled(ask, name)));
      const changed = cases.filter(({ later }) => later);
      for (const { name, later } of changed)
        await ask('PATCH', `/api/v1/namespaces/${name}/services/s`, { spec: later });
      const second = await Promise.all(changed.map(({ name }) => settled(ask, name)));
      return [
        ...cases.map(({ name }, index) => [name, first[index]]),
        ...changed.map(({ name }, index) => [`${name}, changed`, second[index]]),
      ];
    }),
  );
  const [theirs, ours] = pictures.map((list) => Object.fromEntries(list) as Record<string, unknown>);
  for (const name of Object.keys(theirs!))
    expect({ name, ...(ours![name] as object) }).toEqual({ name, ...(theirs![name] as object) });
});
