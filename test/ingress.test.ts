// From an Ingress to an answer, within this process: the real API server and its rules, the plugin's controllers, a host's view, the built-in driver.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { endpointSliceKind, eventKind, ingressClassKind, ingressKind, secretKind, serviceKind } from '#api';
import { Scope, silentLog, systemClock } from '#base';
import { createAuthority, issueServing, type KeyPair } from '../core/wire/pki.ts';
import { createBuiltinDriver } from '../plugins/ingress/builtin/driver.ts';
import type { IngressDriver } from '../plugins/ingress/driver.ts';
import { LiveView } from '../plugins/ingress/live-view.ts';
import type { Listener } from '../plugins/ingress/model.ts';
import { certificateSecrets, defaultCertificateSecret } from '../plugins/ingress/places.ts';
import controllers from '../plugins/ingress/plugin.ts';
import { until } from './fixtures/eventually.ts';
import { echoBackend } from './fixtures/http-backends.ts';
import { PartsCluster } from './fixtures/parts-cluster.ts';
import { askRaw } from './fixtures/raw-http.ts';
import { rejection } from './fixtures/rejection.ts';

const plugins = [{ name: 'ingress', enabled: true, api: () => import('../plugins/ingress/api.ts') }];
const listeners: Listener[] = [
  { name: 'http', protocol: 'http', ip: '127.0.0.1', port: 0 },
  { name: 'https', protocol: 'https', ip: '127.0.0.1', port: 0 },
];
const web = echoBackend('web');
const namespace = 'default';
let cluster: PartsCluster;
let driver: IngressDriver;
let view: LiveView;
let authority: KeyPair;

const issue = (name: string) =>
  issueServing(authority, { commonName: name, dnsNames: [name], ipAddresses: [], days: 1, nowMs: systemClock.now() });
const secret = (name: string, { cert, key }: KeyPair, where = namespace) => ({
  metadata: { name, namespace: where },
  type: 'kubernetes.io/tls',
  data: { 'tls.crt': btoa(cert), 'tls.key': btoa(key) },
});
const ingress = (name: string, host: string, more: { annotations?: object; spec?: object } = {}) => ({
  metadata: { name, namespace, annotations: more.annotations ?? {} },
  spec: {
    ingressClassName: 'pintle',
    rules: [
      {
        host,
        http: {
          paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }],
        },
      },
    ],
    ...more.spec,
  },
});
/** What the node's part does after each change. */
async function bring(): Promise<void> {
  const routing = view.routing(listeners);
  if (routing) expect((await driver.apply(routing)).rejected).toEqual([]);
}
const statusOf = async (host: string): Promise<number> => {
  await bring();
  const port = driver.listening[0]?.port;
  return port ? (await askRaw(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status : 0;
};
const reasons = async (name: string): Promise<string[]> =>
  (await cluster.client.list(eventKind, { namespace })).items
    .filter(({ involvedObject }) => involvedObject.name === name)
    .map(({ reason }) => reason ?? '')
    .sort();

beforeAll(async () => {
  authority = await createAuthority('ingress', systemClock.now());
  cluster = await PartsCluster.start(plugins);
  const { client } = cluster;
  await client.create(
    secretKind,
    secret(defaultCertificateSecret, await issue('ingress.invalid'), 'kube-system') as never,
  );
  await client.create(serviceKind, { metadata: { name: 'web', namespace }, spec: { ports: [{ port: 80 }] } } as never);
  await client
    .create(endpointSliceKind, {
      metadata: { name: 'web', namespace, labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: [{ port: web.port }],
      endpoints: [{ addresses: ['127.0.0.1'] }],
    } as never)
    .catch(() => {}); // loopback: only where pods have such addresses
  await cluster.startControllers(controllers);
  const scope = cluster.use(new Scope());
  view = new LiveView(cluster.informersOf('proxy', scope.signal), ['127.0.0.0/8'], () => {});
  scope.defer(() => view[Symbol.dispose]());
  await view.synced;
  driver = createBuiltinDriver({ clock: systemClock, log: silentLog });
});
afterAll(async () => {
  await driver?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
  await web[Symbol.asyncDispose]();
});

test('the class is there and the default one; an Ingress gets the Service’s address, an event and a route', async () => {
  const { client } = cluster;
  const found = await client.get(ingressClassKind, { name: 'pintle' });
  expect(found.metadata.annotations?.['ingressclass.kubernetes.io/is-default-class']).toBe('true');
  await client.create(ingressKind, ingress('shop', 'shop.example') as never);
  const { spec } = await client.get(serviceKind, { namespace: 'kube-system', name: 'ingress' });
  const address = async () =>
    (await client.get(ingressKind, { namespace, name: 'shop' })).status?.loadBalancer?.ingress?.[0]?.ip ===
    spec?.clusterIP;
  expect(await until(address)).toBe(true);
  await until(async () => (await reasons('shop')).includes('Sync'));
  await until(async () => [200, 503].includes(await statusOf('shop.example'))); // 503: the API took no endpoint on loopback
  expect(await statusOf('other.example')).toBe(404);
});

test('a host reads copies of the certificates that are named, and no other Secret', async () => {
  const { client } = cluster;
  await client.create(secretKind, secret('named', await issue('tls.example')) as never);
  await client.create(secretKind, secret('private', await issue('private.example')) as never);
  const tls = { tls: [{ hosts: ['tls.example'], secretName: 'named' }] };
  await client.create(ingressKind, ingress('tls', 'tls.example', { spec: tls }) as never);
  await until(() => view.routing(listeners)?.certificates.some(({ id }) => id === `${namespace}/named`));
  const proxy = cluster.clientOf('proxy');
  for (const name of ['named', 'private'])
    expect(String(await rejection(proxy.get(secretKind, { namespace, name })))).toContain('forbidden');
  const copies = await Promise.all(
    certificateSecrets.map((name) => proxy.get(secretKind, { namespace: 'kube-system', name }).catch(() => undefined)),
  );
  const keys = copies.flatMap((copy) => Object.keys(copy?.data ?? {}));
  expect(keys).toEqual([`${namespace}.named`]);
  await client.delete(ingressKind, { namespace, name: 'tls' });
  await until(() => view.routing(listeners)?.certificates.length === 0);
});

test('what is wrong with an Ingress is told once, and its mending too', async () => {
  const { client } = cluster;
  const annotations = { 'ingress.pintle.dev/response-timeout': 'soon', 'ingress.pintle.dev/snippet': 'x' };
  const spec = { tls: [{ hosts: ['bad.example'], secretName: 'absent' }] };
  await client.create(ingressKind, ingress('wrong', 'shop.example', { annotations, spec }) as never);
  const wanted = ['CertificateNotUsable', 'Conflict', 'InvalidAnnotation', 'UnknownAnnotation'];
  await until(async () => Bun.deepEquals(await reasons('wrong'), wanted));
  const errorsOf = async () =>
    (await client.get(ingressKind, { namespace, name: 'wrong' })).status?.loadBalancer?.ingress?.flatMap(
      ({ ports = [] }) => ports.map(({ port, error }) => `${port} ${error}`),
    );
  await until(async () => (await errorsOf())?.length === 2);
  expect((await errorsOf())?.[1]).toBe('443 ingress.pintle.dev/CertificateNotUsable');
  const body = {
    metadata: { annotations: { 'ingress.pintle.dev/response-timeout': null, 'ingress.pintle.dev/snippet': null } },
    spec: { tls: null, rules: ingress('wrong', 'mended.example').spec.rules },
  };
  await client.patch(ingressKind, { namespace, name: 'wrong' }, { type: 'merge', body });
  await until(async () => (await reasons('wrong')).includes('Sync'));
  await until(async () => (await statusOf('mended.example')) !== 404);
  await until(async () => (await errorsOf())?.length === 0);
});

test('the Service comes back when somebody deletes it', async () => {
  const key = { namespace: 'kube-system', name: 'ingress' };
  await cluster.client.delete(serviceKind, key);
  await until(() => cluster.client.get(serviceKind, key));
});
