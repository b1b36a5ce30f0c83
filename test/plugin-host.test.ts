// The plugin host on the real API server in process; plugins are real child processes.
import { afterAll, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ClusterRole,
  type ClusterRoleBinding,
  clusterRoleBindingKind,
  clusterRoleKind,
  type KubeObject,
} from '#api';
import { Scope } from '#base';
import { pluginKind } from '../core/host/kind.ts';
import { protocolVersion } from '../core/host/manifest.ts';
import {
  built,
  cluster,
  install,
  isGone,
  note,
  noted,
  phase,
  removePlace,
  sandboxed,
  statusOf,
  until,
} from './fixtures/hook-cluster.ts';
import { rejection } from './fixtures/rejection.ts';
import { skipped } from './fixtures/skipped.ts';

if (!sandboxed) skipped('contract', 'plugins in the sandbox', 'needs root and unshare');
afterAll(removePlace);

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
    const own = sandboxed ? '/tmp/pintle/api' : join(to.run, 'noter', 'api');
    const socket = JSON.stringify(`${level === 'sandbox' ? '/api' : own}/api.sock`);
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
      await until('facts', async () =>
        ['no capabilities', 'no_new_privs', 'network namespace'].every((fact) =>
          JSON.stringify(status.sandbox).includes(fact),
        ),
      );
    await until('last good', async () => (await statusOf(to, 'noter'))?.lastGood?.digest === bundle.digest);
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
  ['throws', 'if (!process.argv.includes("--record")) throw new Error("boom");', 'boom'],
  ['exits', 'if (!process.argv.includes("--record")) process.exit(7);', 'ended with code 7'],
  [
    'prints what is no message',
    'if (!process.argv.includes("--record")) require("fs").writeSync(1, "xxx\\n");',
    'JSON Parse error',
  ],
  [
    'speaks for another',
    `if (!process.argv.includes("--record")) require("fs").writeSync(1, '{"type":"hello","protocol":${protocolVersion},"name":"other","version":"9.9.9"}\\n');`,
    'it says it is other 9.9.9',
  ],
  [
    'claims more than its manifest',
    `if (!process.argv.includes("--record")) require("fs").writeSync(1, '{"type":"ready","provides":{"controllers":["theirs"],"validates":[],"mutates":[],"schedules":[]}}\\n');`,
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
