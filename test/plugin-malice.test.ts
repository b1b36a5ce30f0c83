// What a hostile plugin tries at the API, at its host and with its bundle. The sandbox itself: core/base/sandbox.test.ts.
import { afterAll, expect, test } from 'bun:test';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterRoleKind, configMapKind, type KubeObject, secretKind, serviceAccountKind } from '#api';
import { Scope, systemFiles } from '#base';
import { readBundle, sha256Of } from '../core/host/bundle.ts';
import { type PluginObject, pluginKind } from '../core/host/kind.ts';
import { bundleFolder } from '../core/host/verify.ts';
import { built, type Cluster, cluster, install, phase, removePlace, statusOf, until } from './fixtures/hook-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

afterAll(removePlace);

const namespace = 'pintle-plugins';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const grab = { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' } };
const me = { kind: 'ServiceAccount', name: 'evil', namespace };
const privileged = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'c', image: 'i', securityContext: { privileged: true } }] },
};
/** Method, path, body, more headers: each must be answered 4xx or 5xx. */
const attempts: readonly [string, string, unknown?, Record<string, string>?][] = [
  ['POST', `/api/v1/namespaces/${namespace}/serviceaccounts/victim/token`, { spec: {} }],
  ['POST', `/api/v1/namespaces/${namespace}/serviceaccounts/evil/token`, { spec: {} }],
  ['GET', '/api/v1/secrets'],
  ['GET', '/api/v1/namespaces/default/secrets/treasure'],
  ['GET', '/api/v1/secrets', undefined, { authorization: 'Bearer admin' }],
  ['GET', '/api/v1/secrets', undefined, { 'impersonate-user': 'admin', 'impersonate-group': 'system:masters' }],
  ['GET', '/api/v1/secrets', undefined, { 'sec-websocket-protocol': 'base64url.bearer.authorization.k8s.io.YWRtaW4' }],
  ['GET', '/api/v1/secrets', undefined, { 'x-remote-user': 'admin', 'x-remote-group': 'system:masters' }],
  ['GET', '//api/v1/secrets'],
  ['GET', '/api/v1/configmaps/../secrets'],
  ['GET', '/api/v1/configmaps/%2e%2e/secrets'],
  ['GET', '/api/v1/configmaps%2f..%2fsecrets'],
  ['GET', '/api/v1/watch/secrets'],
  ['PUT', `${rbac}/clusterroles/pintle:plugin:evil`, { rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }] }],
  [
    'PATCH',
    `${rbac}/clusterroles/pintle:plugin:evil`,
    { rules: [] },
    { 'content-type': 'application/merge-patch+json' },
  ],
  ['POST', `${rbac}/clusterrolebindings`, { metadata: { name: 'x' }, ...grab, subjects: [me] }],
  ['POST', `${rbac}/namespaces/kube-system/rolebindings`, { metadata: { name: 'x' }, ...grab, subjects: [me] }],
  ['POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', { metadata: { name: 'xs.other.example.com' } }],
  ['DELETE', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/xs.other.example.com'],
  ['GET', '/apis/plugins.pintle.dev/v1/plugins'],
  ['DELETE', '/apis/plugins.pintle.dev/v1/plugins/victim'],
  [
    'PATCH',
    '/apis/plugins.pintle.dev/v1/plugins/evil',
    { spec: { approvedNeeds: { secrets: ['get'] } } },
    { 'content-type': 'application/merge-patch+json' },
  ],
  [
    'PATCH',
    '/apis/plugins.pintle.dev/v1/plugins/evil/status',
    { status: { hooks: [{ name: 'mutate pods', priority: 0, failurePolicy: 'Fail', timeouts: 0 }] } },
    { 'content-type': 'application/merge-patch+json' },
  ],
  ['POST', '/api/v1/namespaces/default/pods', privileged],
  ['POST', '/api/v1/namespaces/default/pods/p/exec?command=id'],
  [
    'GET',
    '/api/v1/namespaces/default/pods/p/exec?command=id',
    undefined,
    { connection: 'Upgrade', upgrade: 'websocket' },
  ],
  ['GET', '/api/v1/nodes/n/proxy/run/default/p/c'],
  ['PATCH', '/api/v1/nodes/n/status', {}, { 'content-type': 'application/merge-patch+json' }],
  ['POST', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', { metadata: { name: 'x' } }],
  ['POST', '/apis/certificates.k8s.io/v1/certificatesigningrequests', { metadata: { name: 'x' } }],
  ['POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: 'admin' } }],
  ['POST', '/apis/apiregistration.k8s.io/v1/apiservices', { metadata: { name: 'v1.x.example.com' } }],
  ['POST', '/api/v1/namespaces', { metadata: { name: 'mine' } }],
  ['GET', '/metrics'],
  ['GET', '/metrics/plugins'],
  ['POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'big' }, data: { x: 'y'.repeat(4_000_000) } }],
  ['POST', '/api/v1/namespaces/default/configmaps', '{"metadata":{"name":"p","__proto__":{"x":1}}}x'],
  ['DELETE', '/api/v1/namespaces/default/configmaps'],
  ['CONNECT', '/'],
  ['TRACE', '/api/v1/configmaps'],
];

async function evil(
  scope: Scope,
  setup = '',
  more = 'needs: { configmaps: ["create", "get", "list"] },',
): Promise<Cluster> {
  const to = await cluster(scope);
  await install(to, await built('evil', setup, more));
  await phase(to, 'evil', 'Active');
  return to;
}
const socketOf = (to: Cluster) => join(to.run, 'evil', 'api', 'api.sock');

test(`${attempts.length} attempts at the API with the plugin's own socket, none succeeds`, async () => {
  await using scope = new Scope();
  const to = await evil(scope);
  await to.client.create(secretKind, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'treasure', namespace: 'default' },
    stringData: { gold: 'much' },
  });
  await to.client.create(serviceAccountKind, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'victim', namespace },
  });
  const before = await to.client.get(clusterRoleKind, { name: 'pintle:plugin:evil' });
  const successes: string[] = [];
  for (const [method, path, body, headers] of attempts) {
    const answer = await fetch(`http://localhost${path}`, {
      unix: socketOf(to),
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    } as RequestInit).catch(() => undefined); // a connection that is cut is an answer too
    const text = (await answer?.text().catch(() => '')) ?? '';
    if ((answer && answer.status < 400) || text.includes('much') || text.includes('bXVjaA'))
      successes.push(`${method} ${path}: ${answer?.status} ${text.slice(0, 100)}`);
  }
  expect(successes).toEqual([]);
  expect(await to.client.get(clusterRoleKind, { name: 'pintle:plugin:evil' })).toEqual(before);
  expect((await to.client.get(pluginKind, { name: 'evil' })).spec?.approvedNeeds).toEqual({
    configmaps: ['create', 'get', 'list'],
  });
});

test('two requests in one: what stands behind a body of unclear length is not carried out', async () => {
  await using scope = new Scope();
  const to = await evil(scope);
  const inner = 'GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n\r\n';
  const heads = [
    `POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `GET /api/v1/configmaps HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n${inner}`,
    `GET /api/v1/configmaps HTTP/1.1\r\nHost: x\r\nX: a\rAuthorization: Bearer admin\r\n\r\n${inner}`,
  ];
  for (const head of heads) {
    let said = '';
    const over = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      unix: socketOf(to),
      socket: {
        data(_socket, bytes) {
          said += bytes;
          if ((said.match(/HTTP\/1\.1 \d+/g)?.length ?? 0) >= 2) over.resolve();
        },
        close: () => over.resolve(),
      },
    });
    socket.write(head);
    await Promise.race([over.promise, Bun.sleep(2_000)]);
    socket.end();
    expect(said).not.toContain('SecretList');
  }
});

test('floods: writes and events beyond their rate are 429, and others are served meanwhile', async () => {
  await using scope = new Scope();
  const to = await evil(scope);
  const post = (path: string, body: object) =>
    fetch(`http://localhost${path}`, {
      unix: socketOf(to),
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    } as RequestInit).then(async (answer) => ({
      code: answer.status,
      after: answer.headers.get('retry-after'),
      text: await answer.text(),
    }));
  const event = (index: number) => ({
    metadata: { name: `e${index}`, namespace: 'default' },
    involvedObject: { namespace: 'default', kind: 'Pod', name: 'x' },
    reason: 'Flood',
    type: 'Normal',
  });
  const events = [];
  const beganMs = performance.now();
  for (let round = 0; round < 10; round++)
    events.push(
      ...(await Promise.all(
        Array.from({ length: 40 }, (_, n) => post('/api/v1/namespaces/default/events', event(round * 40 + n))),
      )),
    );
  const refused = events.filter(({ code }) => code === 429);
  const seconds = (performance.now() - beganMs) / 1_000;
  expect(events.length - refused.length).toBeLessThanOrEqual(200 + 10 * seconds + 1);
  for (const { after } of refused) expect(after).toBe('1');
  // Objects are another account, and somebody else's writes are not his.
  expect((await post('/api/v1/namespaces/default/configmaps', { metadata: { name: 'mine' } })).code).toBe(201);
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other', namespace: 'default' } };
  expect((await to.client.create(configMapKind, map)).metadata.name).toBe('other');
});

test('a bundle that was forged, changed, swapped for an older one, or that defines the kinds of others', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const make = (name: string, setup = '', version = '1.0.0', more = '', before = '') =>
    built(name, setup, more, version, 'process', before);
  const why = async (name: string) => {
    const status = await phase(to, name, 'Failed');
    const bad = status.conditions?.find((one) => one.status === 'False');
    return `${bad?.type} ${bad?.reason}`;
  };
  const [old, good] = [await make('swapped', '', '1.0.0'), await make('swapped', '', '1.1.0')];
  const place = bundleFolder(to.folder, 'swapped', good.digest);
  mkdirSync(place, { recursive: true });
  cpSync(old.folder, place, { recursive: true });
  await to.client.create(pluginKind, asked('swapped', good.digest, '1.1.0'));
  expect(await why('swapped')).toBe('Verified Modified');

  const other = await make('other');
  const stolen = bundleFolder(to.folder, 'victim', other.digest);
  cpSync(other.folder, stolen, { recursive: true });
  await to.client.create(pluginKind, asked('victim', other.digest, '1.0.0'));
  expect(await why('victim')).toBe('Verified OtherName');

  const forged = await make('forged');
  writeFileSync(join(forged.folder, 'plugin.js'), 'process.exit(0)');
  expect((await rejection(readBundle(forged.folder, systemFiles))).message).toContain('is not as it was built');
  const manifest = JSON.parse(readFileSync(join(forged.folder, 'plugin.json'), 'utf8'));
  manifest.files['plugin.js'] = sha256Of('process.exit(0)');
  writeFileSync(join(forged.folder, 'plugin.json'), JSON.stringify(manifest));
  expect((await rejection(readBundle(forged.folder, systemFiles, forged.digest))).message).toContain('has digest');

  const crd = (group: string) =>
    `import { crd, t } from "pintle/sdk"; const X = crd({ group: "${group}", kind: "Thing", version: "v1", spec: t.object({}) });`;
  await install(to, await make('foreign', '', '1.0.0', 'resources: [X],', crd('apps.k8s.io')));
  expect(await why('foreign')).toBe('Resolved ForeignGroup');
  await install(to, await make('first', '', '1.0.0', 'resources: [X],', crd('things.example.com')));
  await phase(to, 'first', 'Active');
  await install(to, await make('second', '', '1.0.0', 'resources: [X],', crd('things.example.com')));
  expect(await why('second')).toBe('Resolved KindTaken');
  await install(to, await make('api', 'rest({ group: "batch.k8s.io", version: "v1", kind: "Job", list: () => [] });'));
  expect(await why('api')).toBe('Resolved ForeignGroup');
});
const asked = (name: string, digest: string, version: string) =>
  ({
    apiVersion: 'plugins.pintle.dev/v1',
    kind: 'Plugin',
    metadata: { name },
    spec: { digest, version },
  }) as PluginObject & KubeObject;

test('__proto__ in its configuration changes nothing and nobody', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const bundle = await built(
    'proto',
    `metrics.gauge("polluted", "x").set(({}).bad === 1 || config.bad === 1 ? 1 : 0); metrics.gauge("own", "x").set(config.good);`,
  );
  await install(to, bundle, { paused: true });
  const body = `{"spec":{"paused":false,"config":{"good":5,"__proto__":{"bad":1},"constructor":{"prototype":{"bad":1}}}}}`;
  await to.server.fetch(
    new Request('http://localhost/apis/plugins.pintle.dev/v1/plugins/proto', {
      method: 'PATCH',
      headers: { authorization: 'Bearer admin', 'content-type': 'application/merge-patch+json' },
      body,
    }),
  );
  if ((await to.client.get(pluginKind, { name: 'proto' })).spec?.paused)
    await to.client.patch(
      pluginKind,
      { name: 'proto' },
      { type: 'merge', body: { spec: { paused: false, config: { good: 5 } } } },
    );
  await phase(to, 'proto', 'Active');
  const text = await until('its metrics', async () => {
    const all = await to.ask.metricsText();
    return all.includes('own{') && all;
  });
  expect(text).toContain('polluted{plugin="proto"} 0');
  expect(text).toContain('own{plugin="proto"} 5');
  expect(({} as { bad?: number }).bad).toBeUndefined();
  expect((await statusOf(to, 'proto'))?.restarts).toBe(0);
});
