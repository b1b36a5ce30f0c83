// The plugin host on the real API server in process; plugins are real child processes.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ClusterRole,
  type ClusterRoleBinding,
  clusterRoleBindingKind,
  clusterRoleKind,
  configMapKind,
  type KubeObject,
} from '#api';
import { Scope, seededRandom, silentLog, spawnDuplex, systemClock, systemFiles } from '#base';
import type { Client } from '#client';
import { createAuthorizer } from '../core/apiserver/auth/authorizer.ts';
import { createNodeUses } from '../core/apiserver/auth/node-authorizer.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { strategyKit } from '../core/apiserver/strategies/kit.ts';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { buildPlugin } from '../core/cmd/plugin-build.ts';
import { AdmissionList } from '../core/host/admission-list.ts';
import apiPart from '../core/host/api-part.ts';
import { startParts } from '../core/host/builtin.ts';
import type { Bundle } from '../core/host/bundle.ts';
import { bundleFolder, PluginHost } from '../core/host/host.ts';
import { type PluginObject, type PluginSpec, pluginKind } from '../core/host/kind.ts';
import { protocolVersion } from '../core/host/manifest.ts';
import { apiParts } from '../core/host/parts.ts';
import { startControllers } from '../core/sdk/controller.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { until } from './fixtures/eventually.ts';
import { rejection } from './fixtures/rejection.ts';
import { skipped } from './fixtures/skipped.ts';

const seams = { clock: systemClock, random: seededRandom(5), log: silentLog };
const isRoot = process.getuid!() === 0;
const sandboxed = Bun.which('unshare') !== null && isRoot;
if (!sandboxed) skipped('contract', 'plugins in the sandbox', 'needs root and unshare');

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'pth-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** A server, a host, and somebody for each token. */
async function cluster(scope: Scope) {
  const schema = createSchemaEngine();
  const hooks = new AdmissionList();
  const users: Record<string, { name: string; groups: string[] }> = {
    admin: { name: 'admin', groups: ['system:masters'] },
    weak: { name: 'weak', groups: ['system:authenticated'] },
  };
  const server = scope.use(
    await createApiServer({
      store: await createMemoryStore(),
      schema,
      ...seams,
      serviceRange: '10.96.0.0/24',
      admission: [hooks],
      authenticator: {
        async authenticate({ headers }) {
          const token = headers.get('authorization')?.slice(7) ?? '';
          if (token.startsWith('sa:'))
            return {
              name: `system:serviceaccount:pintle-plugins:${token.slice(3)}`,
              groups: ['system:serviceaccounts', 'system:authenticated'],
            };
          return users[token];
        },
      },
      authorizer: createAuthorizer({ nodeUses: createNodeUses(() => []) }),
      tokens: {
        issue: async ({ name }) => ({ token: `sa:${name}`, expirationTimestamp: '2100-01-01T00:00:00Z' }),
        review: async () => ({ authenticated: false }),
      },
    }),
  );
  const fetch = (request: Request) => server.fetch(request);
  const clientOf = (token: string): Client => createClient({ fetch, baseUrl: 'http://localhost', token });
  const client = clientOf('admin');
  const own = { name: 'host', enabled: true, api: async () => ({ default: apiPart }) };
  const { kinds, reader } = server;
  scope.use(
    await startParts(
      apiParts(
        [own],
        { kinds, reader, schema, hooks, checkMetadata: () => [], kit: strategyKit },
        { ...seams, client },
      ),
      seams,
    ),
  );
  const folder = join(place, Math.random().toString(36).slice(2, 8));
  const host = new PluginHost({
    client,
    ...seams,
    files: systemFiles,
    spawn: spawnDuplex,
    fetch,
    baseUrl: 'http://localhost',
    folder: join(folder, 'p'),
    runFolder: join(folder, 'r'),
    clusterId: 'test',
    healthMs: 50,
  });
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  scope.use(host);
  scope.use(await startControllers([host.controller], { client, informers, ...seams }));
  return { client, clientOf, folder: join(folder, 'p'), run: join(folder, 'r') };
}
type Cluster = Awaited<ReturnType<typeof cluster>>;

/** Builds a plugin whose setup() is this text. */
async function built(
  name: string,
  setup: string,
  more = '',
  version = '1.0.0',
  isolation = 'process',
): Promise<Bundle> {
  const source = mkdtempSync(join(place, 'src-'));
  writeFileSync(
    join(source, 'plugin.ts'),
    `import { plugin } from "pintle/sdk";
export default plugin({ name: "${name}", version: "${version}", sdk: "^1.0", ${more} setup({ api, config, now, signal, log }: any) { ${setup} } } as any);`,
  );
  return buildPlugin(source, undefined, isolation as 'process');
}
async function install(to: Cluster, bundle: Bundle, spec: Partial<PluginSpec> = {}, client = to.client): Promise<void> {
  const { name, version, needs } = bundle.manifest;
  const folder = bundleFolder(to.folder, name, bundle.digest);
  mkdirSync(folder, { recursive: true });
  cpSync(bundle.folder, folder, { recursive: true });
  await client.create(pluginKind, {
    apiVersion: 'plugins.pintle.dev/v1',
    kind: 'Plugin',
    metadata: { name },
    spec: { digest: bundle.digest, version, approvedNeeds: needs, ...spec },
  } as PluginObject);
}
const statusOf = async (to: Cluster, name: string) => (await to.client.get(pluginKind, { name })).status;
const phase = (to: Cluster, name: string, wanted: string) =>
  until(async () => {
    const status = await statusOf(to, name);
    return status?.phase === wanted && status;
  });
const isGone = (to: Cluster, name: string) =>
  until(async () => (await to.client.list(pluginKind)).items.every((one) => one.metadata.name !== name));
const note = (key: string, value: string) =>
  `await api.configmaps.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "${key}", namespace: "default" }, data: { value: ${value} } });`;
const noted = (to: Cluster, name: string) =>
  until(async () => (await to.client.get(configMapKind, { namespace: 'default', name })).data!['value']!);
/** Who may write Plugin objects and nothing else. */
const mayInstall = (user: string) => {
  const apiGroup = 'rbac.authorization.k8s.io';
  const apiVersion = `${apiGroup}/v1`;
  const rules = [{ apiGroups: ['plugins.pintle.dev'], resources: ['plugins'], verbs: ['create'] }];
  return {
    rbac: { apiVersion, kind: 'ClusterRole', metadata: { name: user }, rules } as ClusterRole & KubeObject,
    binding: {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name: user },
      roleRef: { apiGroup, kind: 'ClusterRole', name: user },
      subjects: [{ apiGroup, kind: 'User', name: user }],
    } as ClusterRoleBinding & KubeObject,
  };
};
const mayNote = 'needs: { configmaps: ["create", "get"] },';

test.each(sandboxed ? ['process', 'sandbox'] : ['process'])(
  'install, act as its own account, uninstall without a trace (%s)',
  async (level) => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const trying = `void (async () => { ${note('mine', 'config.word')} let text = "allowed"; try { await api.configmaps.get({ namespace: "default", name: "kube-root-ca.crt" }); } catch (e) { text = String(e.reason); }
    const answer = await fetch("http://localhost/api/v1/secrets", { unix: apiSocket, headers: { authorization: "Bearer admin", "impersonate-user": "admin" } }); ${note('secrets', 'String(answer.status)')} })();`;
    const socket = level === 'sandbox' ? '"/api/api.sock"' : `"${join(to.run, 'noter', 'api', 'api.sock')}"`;
    const bundle = await built('noter', `const apiSocket = ${socket}; ${trying}`, mayNote, '1.0.0', level);
    await install(to, bundle, { config: { word: 'hello' } });
    const status = await phase(to, 'noter', 'Active');
    expect(await noted(to, 'mine')).toBe('hello');
    expect(await noted(to, 'secrets')).toBe('403');
    expect(status).toMatchObject({ activeVersion: '1.0.0', restarts: 0 });
    expect(status.conditions?.filter(({ status }) => status === 'True').map(({ type }) => type)).toEqual(
      expect.arrayContaining(['Verified', 'Approved', 'Resolved', 'Loaded']),
    );
    if (level === 'sandbox')
      await until(async () =>
        ['no capabilities', 'no_new_privs', 'network namespace'].every((fact) =>
          JSON.stringify(status.sandbox).includes(fact),
        ),
      );
    await until(async () => (await statusOf(to, 'noter'))?.lastGood?.digest === bundle.digest);
    await to.client.delete(pluginKind, { name: 'noter' });
    await isGone(to, 'noter');
    expect(await rejection(to.client.get(clusterRoleKind, { name: 'pintle:plugin:noter' }))).toMatchObject({
      code: 404,
    });
    expect(existsSync(join(to.folder, 'noter'))).toBe(false);
    expect(existsSync(join(to.run, 'noter'))).toBe(false);
  },
  30_000,
);

test('what is not held cannot be granted, and what is not approved does not run', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const bundle = await built('greedy', '', 'needs: { secrets: ["get", "list"] },');
  const { rbac, binding } = mayInstall('weak');
  await to.client.create(clusterRoleKind, rbac);
  await to.client.create(clusterRoleBindingKind, binding);
  expect((await rejection(install(to, bundle, {}, to.clientOf('weak')))).message).toMatch(
    'user "weak" would grant rights not held: get secrets, list secrets',
  );
  await install(to, bundle, { approvedNeeds: { secrets: ['get'] } }, to.client);
  const status = await phase(to, 'greedy', 'Failed');
  expect(status.conditions).toContainEqual(
    expect.objectContaining({
      type: 'Approved',
      status: 'False',
      reason: 'NeedsNotApproved',
      message: 'spec.approvedNeeds lacks secrets: list',
    }),
  );
});

test.each<[string, string, string]>([
  ['throws', 'if (process.cwd().endsWith("state")) throw new Error("boom");', 'boom'],
  ['exits', 'if (process.cwd().endsWith("state")) process.exit(7);', 'ended with code 7'],
  [
    'prints what is no message',
    'if (process.cwd().endsWith("state")) require("fs").writeSync(1, "xxx\\n");',
    'JSON Parse error',
  ],
  [
    'speaks for another',
    `if (process.cwd().endsWith("state")) require("fs").writeSync(1, '{"type":"hello","protocol":${protocolVersion},"name":"other","version":"9.9.9"}\\n');`,
    'it says it is other 9.9.9',
  ],
  [
    'claims more than its manifest',
    `if (process.cwd().endsWith("state")) require("fs").writeSync(1, '{"type":"ready","provides":{"controllers":["theirs"],"validates":[],"mutates":[],"schedules":[]}}\\n');`,
    'controller theirs',
  ],
])(
  'a plugin that %s at its start is given up after three tries, with the reason',
  async (_what, setup, reason) => {
    await using scope = new Scope();
    const to = await cluster(scope);
    await install(to, await built('bad', setup));
    const status = await phase(to, 'bad', 'Quarantined');
    expect(JSON.stringify(status.conditions)).toContain('3 starts in a row failed');
    expect(JSON.stringify(status.conditions)).toContain(reason);
  },
  40_000,
);
