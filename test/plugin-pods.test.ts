// What a plugin's right to make pods is worth: baseline, the default account, no secrets; more is a right of its own.
import { afterAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import { podKind, replicationControllerKind, serviceAccountKind } from '#api';
import { Scope } from '#base';
import { templateOf } from '../core/host/pod-rights.ts';
import { dangerous, needLines } from '../core/host/rbac.ts';
import { built, type Cluster, cluster, install, phase, removePlace } from './fixtures/hook-cluster.ts';

afterAll(removePlace);
const container = { name: 'c', image: 'i' };
const harmless = { containers: [container] };
const grave: readonly [string, object, string][] = [
  [
    'privileged',
    { containers: [{ ...container, securityContext: { privileged: true } }] },
    'privileged (container "c"',
  ],
  [
    'of the host path',
    { ...harmless, volumes: [{ name: 'v', hostPath: { path: '/' } }] },
    'hostPath volumes (volume "v")',
  ],
  ['of the host network', { ...harmless, hostNetwork: true }, 'host namespaces (hostNetwork=true)'],
  ['of the host processes', { ...harmless, hostPID: true }, 'hostPID=true'],
  [
    'with a capability',
    { containers: [{ ...container, securityContext: { capabilities: { add: ['SYS_ADMIN'] } } }] },
    '"SYS_ADMIN"',
  ],
  [
    'privileged at first',
    { ...harmless, initContainers: [{ ...container, name: 'i', securityContext: { privileged: true } }] },
    'privileged (container "i"',
  ],
  ['of another account', { ...harmless, serviceAccountName: 'admin' }, 'account "admin"'],
  ['of another account, by its old name', { ...harmless, serviceAccount: 'admin' }, 'account "admin"'],
  [
    'with a secret',
    { ...harmless, volumes: [{ name: 's', secret: { secretName: 'x' } }] },
    'secrets that it may not read',
  ],
  [
    'with a secret among others',
    { ...harmless, volumes: [{ name: 's', projected: { sources: [{ secret: { name: 'x' } }] } }] },
    'secrets that it may not read',
  ],
  [
    'with secrets in its environment',
    { containers: [{ ...container, envFrom: [{ secretRef: { name: 'x' } }] }] },
    'secrets',
  ],
  [
    'with a secret in its environment',
    { containers: [{ ...container, env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'x', key: 'y' } } }] }] },
    'secrets',
  ],
];
const metadata = { name: 'p', namespace: 'default' };
const podOf = (spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata, spec });
const controllerOf = (spec: object) => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata,
  spec: { replicas: 0, selector: { a: 'b' }, template: { metadata: { labels: { a: 'b' } }, spec } },
});
const templateObject = (spec: object) => ({ apiVersion: 'v1', kind: 'PodTemplate', metadata, template: { spec } });

const all = ['create', 'update', 'patch', 'delete', 'get'];
const needs = (more: Readonly<Record<string, readonly string[]>> = {}) =>
  `needs: ${JSON.stringify({ pods: all, replicationcontrollers: all, ...more })},`;
async function maker(scope: Scope, more?: Readonly<Record<string, readonly string[]>>) {
  const to = await cluster(scope);
  for (const name of ['default', 'admin'])
    await to.client.create(serviceAccountKind, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace: 'default' },
    });
  await install(to, await built('maker', '', needs(more)));
  await phase(to, 'maker', 'Active');
  return { to, send: sender(to) };
}
const sender =
  (to: Cluster) =>
  async (method: string, path: string, body?: object, type = 'application/json') => {
    const response = await fetch(`http://localhost${path}`, {
      unix: join(to.run, 'maker', 'api', 'api.sock'),
      method,
      headers: { 'content-type': type },
      ...(body ? { body: JSON.stringify(body) } : {}),
    } as RequestInit);
    return { code: response.status, text: await response.text() };
  };
const pods = '/api/v1/namespaces/default/pods';
const controllers = '/api/v1/namespaces/default/replicationcontrollers';

test('baseline: pods and templates beyond it are refused with the reason, on creations and changes', async () => {
  await using scope = new Scope();
  const { to, send } = await maker(scope);
  for (const [what, spec, why] of grave) {
    for (const [path, object] of [
      [pods, podOf(spec)],
      [controllers, controllerOf(spec)],
    ] as const) {
      const { code, text } = await send('POST', path, object);
      expect([what, code]).toEqual([what, 403]);
      expect(JSON.parse(text).message).toContain(why);
      expect(text).toContain('more needs pods: privileged, approved');
    }
  }
  expect((await send('POST', pods, podOf(harmless))).code).toBe(201);
  expect((await send('POST', controllers, controllerOf(harmless))).code).toBe(201);
  const worse = { spec: { template: { spec: grave[0]![1] } } };
  expect((await send('PATCH', `${controllers}/p`, worse, 'application/merge-patch+json')).code).toBe(403);
  expect((await send('PATCH', `${controllers}/p`, worse, 'application/strategic-merge-patch+json')).code).toBe(403);
  const whole = { ...controllerOf(grave[1]![1]), metadata };
  const apply = await send(
    'PATCH',
    `${controllers}/p?fieldManager=x&force=true`,
    whole,
    'application/apply-patch+yaml',
  );
  expect([apply.code, apply.text.includes('hostPath')]).toEqual([403, true]);
  // What somebody else made so may be scaled and labelled, not made worse.
  await to.client.create(replicationControllerKind, {
    ...controllerOf(grave[0]![1]),
    metadata: { ...metadata, name: 'theirs' },
  } as never);
  const scaled = { spec: { replicas: 2 }, metadata: { labels: { by: 'maker' } } };
  expect((await send('PATCH', `${controllers}/theirs`, scaled, 'application/merge-patch+json')).code).toBe(200);
  const more = { spec: { template: { spec: { hostNetwork: true } } } };
  expect((await send('PATCH', `${controllers}/theirs`, more, 'application/merge-patch+json')).code).toBe(403);
  const lookedAt = await to.client.get(podKind, { namespace: 'default', name: 'p' });
  expect(lookedAt.spec?.containers[0]?.image).toBe('i');
});

test('who may read secrets may mount them; who was approved for it makes what it wants', async () => {
  await using scope = new Scope();
  const reader = await maker(scope, { secrets: ['get'] });
  for (const [what, spec] of grave) {
    const isSecret = what.includes('secret');
    const { code } = await reader.send('POST', pods, podOf(spec));
    expect([what, code]).toEqual([what, isSecret ? 201 : 403]);
    if (isSecret)
      await reader.to.client.delete(podKind, { namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 } as never);
  }
  await using another = new Scope();
  const trusted = await maker(another, { pods: [...all, 'privileged'] });
  expect((await trusted.send('POST', controllers, controllerOf(grave[0]![1]))).code).toBe(201);
  const role = await trusted.send('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    spec: { resourceAttributes: { resource: 'pods', verb: 'privileged' } },
  });
  expect(JSON.parse(role.text).status.allowed).toBe(true);
});

test('the right is dangerous, in words; making pods alone is not', () => {
  expect(dangerous({ pods: ['create', 'delete'], 'deployments.apps': ['create'] })).toEqual([]);
  const words = 'makes pods with any privilege, account and secret';
  expect(dangerous({ pods: ['create', 'privileged'] })).toEqual([words]);
  expect(needLines('pods', ['create', 'privileged', 'validate'])).toEqual([
    'pods: create',
    words,
    'sees and may refuse pods',
  ]);
});

test.each<[string, object, boolean]>([
  ['a pod', podOf(harmless), true],
  ['a controller', controllerOf(harmless), true],
  ['a template', templateObject(harmless), true],
  [
    'a cron job',
    { apiVersion: 'batch/v1', kind: 'CronJob', spec: { jobTemplate: { spec: { template: { spec: harmless } } } } },
    true,
  ],
  [
    'a kind of somebody else',
    { apiVersion: 'a.example.com/v1', kind: 'Rollout', spec: { template: { spec: harmless } } },
    true,
  ],
  ['a kind of somebody else called Pod', { apiVersion: 'a.example.com/v1', kind: 'Pod', spec: harmless }, false],
  ['something with text there', { apiVersion: 'a.example.com/v1', kind: 'X', spec: { template: 'x' } }, false],
  ['something without a spec', { apiVersion: 'v1', kind: 'ConfigMap' }, false],
])('%s: where its template of pods is', (_what, object, has) => {
  expect(templateOf(object as never) !== undefined).toBe(has);
});
