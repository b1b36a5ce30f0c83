import { expect, test } from 'bun:test';
import { Scope } from '#base';
import { type CustomObject, crd, plugin, t } from '../core/sdk/index.ts';
import { deploymentKind } from '../plugins/apps/kinds.ts';
import { startAppsServer } from './fixtures/apps-server.ts';
import { rejection } from './fixtures/rejection.ts';

const Website = crd({
  group: 'web.example.com',
  kind: 'Website',
  version: 'v1',
  spec: t.object({ image: t.string(), replicas: t.int() }),
  status: t.object({ ready: t.int() }),
});
const operator = plugin({
  name: 'website',
  version: '1.0.0',
  sdk: '^1.0',
  needs: { 'deployments.apps': ['list', 'watch', 'create', 'patch'] },
  resources: [Website],
  setup({ api, reconcile }) {
    reconcile(Website, { owns: ['deployments.apps'] }, async ({ metadata, spec }, { owned, child, status }) => {
      const [deployment] = owned['deployments.apps'];
      const labels = { app: metadata.name };
      if (!deployment)
        await child('deployments.apps', {
          metadata: { name: metadata.name },
          spec: {
            replicas: spec.replicas,
            selector: { matchLabels: labels },
            template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: spec.image }] } },
          },
        });
      else if (deployment.spec?.replicas !== spec.replicas)
        await api['deployments.apps'].patch(deployment, { spec: { replicas: spec.replicas } });
      await status({ ready: deployment?.status?.readyReplicas ?? 0 });
    });
  },
});

test('a plugin owns kinds that are neither built in nor its own: they are found by discovery', async () => {
  await using scope = new Scope();
  const { client, run } = await startAppsServer(scope, [Website] as never);
  scope.use(await run(operator));
  const site = {
    apiVersion: 'web.example.com/v1',
    kind: 'Website',
    metadata: { name: 'shop', namespace: 'default' },
    spec: { image: 'demo:1', replicas: 2 },
  } as CustomObject;
  const made = await client.create(Website.kind, site);
  const deployments = async () => (await client.list(deploymentKind, { namespace: 'default' })).items;
  const until = async (look: () => Promise<boolean>) => {
    for (const end = performance.now() + 20_000; performance.now() < end; await Bun.sleep(5)) if (await look()) return;
    throw new Error(`not within 20 s: ${JSON.stringify(await deployments())}`);
  };
  await until(async () => (await deployments())[0]?.spec?.replicas === 2);
  expect((await deployments())[0]?.metadata.ownerReferences).toMatchObject([
    { kind: 'Website', uid: made.metadata.uid },
  ]);
  await client.patch(
    Website.kind,
    { namespace: 'default', name: 'shop' },
    { type: 'merge', body: { spec: { replicas: 3 } } },
  );
  await until(async () => (await deployments())[0]?.spec?.replicas === 3);
  expect(await deployments()).toHaveLength(1);
});

test('what the cluster does not serve is refused with its name', async () => {
  await using scope = new Scope();
  const { run } = await startAppsServer(scope);
  for (const name of ['certificates.cert-manager.io', 'nonsense.apps', 'pots'] as const) {
    const wrong = plugin({
      name: 'wrong',
      version: '1.0.0',
      sdk: '^1.0',
      needs: { [name]: ['get'] } as object,
      setup() {},
    });
    expect((await rejection(run(wrong))).message).toContain(
      `the plugin needs ${name}, and this cluster serves no such resource`,
    );
  }
});
