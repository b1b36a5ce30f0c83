import { expect, test } from 'bun:test';
import { configMapKind, serviceKind } from '#api';
import { Scope } from '#base';
import { type CustomObject, crd, plugin, t } from '../core/sdk/index.ts';
import { deploymentKind } from '../plugins/apps/kinds.ts';
import { startAppsServer } from './fixtures/apps-server.ts';

const Site = crd({
  group: 'web.example.com',
  kind: 'Site',
  version: 'v1',
  spec: t.object({ text: t.string(), replicas: t.int(), expose: t.boolean() }),
  status: t.object({ ready: t.int() }),
});
const all = ['list', 'watch', 'create', 'patch', 'delete'] as const;
let calls = 0;
const operator = plugin({
  name: 'site',
  version: '1.0.0',
  sdk: '^1.0',
  needs: { 'deployments.apps': all, services: all },
  resources: [Site],
  setup({ sync }) {
    sync(Site, { owns: ['deployments.apps', 'services'] }, ({ metadata: { name }, spec }, owned) => {
      calls++;
      const labels = { site: name };
      const containers = [{ name: 'web', image: 'demo:1', env: [{ name: 'TEXT', value: spec.text }] }];
      return {
        children: {
          'deployments.apps': [
            {
              metadata: { name },
              spec: {
                replicas: spec.replicas,
                selector: { matchLabels: labels },
                template: { metadata: { labels }, spec: { containers } },
              },
            },
          ],
          services: spec.expose ? [{ metadata: { name }, spec: { selector: labels, ports: [{ port: 8080 }] } }] : [],
        },
        status: { ready: owned['deployments.apps'][0]?.status?.readyReplicas ?? 0 },
      };
    });
  },
});

const key = { namespace: 'default', name: 'one' };
async function until<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  for (const end = performance.now() + 20_000; performance.now() < end; await Bun.sleep(5)) {
    const found = await look().catch(() => undefined);
    if (found) return found;
  }
  throw new Error('not reached within 20 s');
}

test('what it wants is there, changes with it, comes back when somebody changes it, and goes when it is wanted no more', async () => {
  await using scope = new Scope();
  const { client, run } = await startAppsServer(scope, [Site] as never);
  scope.use(await run(operator));
  const change = (spec: object) => client.patch(Site.kind, key, { type: 'merge', body: { spec } });
  const deployment = () => client.get(deploymentKind, key);
  const service = () => client.get(serviceKind, key);
  const { metadata } = await client.create(Site.kind, {
    apiVersion: 'web.example.com/v1',
    kind: 'Site',
    metadata: key,
    spec: { text: 'hello', replicas: 2, expose: true },
  } as CustomObject);
  const made = await until(deployment);
  const exposed = await until(service);
  for (const child of [made, exposed])
    expect(child.metadata.ownerReferences).toMatchObject([
      { kind: 'Site', name: 'one', uid: metadata.uid, controller: true },
    ]);
  await until(async () => ((await client.get(Site.kind, key)) as CustomObject).status);

  await change({ text: 'bye', replicas: 1 });
  await until(async () => {
    const { spec } = await deployment();
    return spec?.replicas === 1 && spec.template.spec?.containers[0]?.env?.[0]?.value === 'bye';
  });
  expect((await service()).metadata.resourceVersion).toBe(exposed.metadata.resourceVersion!); // nothing of it changed

  await client.patch(serviceKind, key, { type: 'merge', body: { spec: { selector: { site: 'other' } } } });
  await until(async () => (await service()).spec?.selector?.['site'] === 'one');

  await change({ expose: false });
  await until(async () =>
    (await client.list(serviceKind, { namespace: 'default' })).items.every(({ metadata }) => metadata.name !== 'one'),
  );
});

test('it is quiet when nothing changes, and leaves what is not its own alone', async () => {
  await using scope = new Scope();
  const { client, run } = await startAppsServer(scope, [Site] as never);
  await client.create(serviceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'stranger', namespace: 'default' },
    spec: { ports: [{ port: 80 }] },
  });
  scope.use(await run(operator));
  const site = (name: string) =>
    client.create(Site.kind, {
      apiVersion: 'web.example.com/v1',
      kind: 'Site',
      metadata: { namespace: 'default', name },
      spec: { text: 'hello', replicas: 0, expose: true },
    } as CustomObject);
  await site('one');
  await until(async () => (await client.get(deploymentKind, key)).status?.observedGeneration);
  let [seen, same] = [calls, 0];
  await until(async () => {
    [seen, same] = calls === seen ? [seen, same + 1] : [calls, 0];
    return same > 20;
  });
  await client.create(configMapKind, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x', namespace: 'default' },
  });
  expect(calls).toBe(seen);
  await site('stranger');
  await until(async () => calls > seen + 2); // it comes back, and fails each time
  expect(
    (await client.get(serviceKind, { namespace: 'default', name: 'stranger' })).metadata.ownerReferences,
  ).toBeUndefined();
});
