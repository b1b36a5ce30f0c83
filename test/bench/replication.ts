import { replicationControllerKind } from '#api';
import type { Client } from '#client';
import { watchPods } from './parts/api.ts';
import { fakeCluster } from './parts/control-plane.ts';
import { type BenchOptions, millisOf, type Row, valueRow } from './parts/row.ts';

const namespace = 'default';
const name = 'crowd';

/** Figures `replication`: one controller 0 → 1,000 → 0 over 100 nodes whose containers are pretended; all else is real. */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  const [nodes, pods] = options.smoke ? [5, 20] : [100, 1_000];
  await using cluster = await fakeCluster(nodes);
  const { client } = cluster;
  await client.create(replicationControllerKind, {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name, namespace },
    spec: {
      replicas: 0,
      selector: { app: name },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'program', image: 'pintle/fake:local' }] },
      },
    },
  });
  const seen = await watchPods(client, namespace);
  const upMs = await millisOf(async () => {
    await scale(client, pods);
    await seen.until(`${pods} pods run`, () => seen.count('Running') === pods, 240_000);
  });
  yield valueRow('replication.up', upMs / 1000, 's');
  yield valueRow('replication.up.rate', pods / (upMs / 1000), 'pods/s');
  const downMs = await millisOf(async () => {
    await scale(client, 0);
    await seen.until('no pods are left', () => seen.count() === 0, 240_000);
  });
  yield valueRow('replication.down', downMs / 1000, 's');
  yield valueRow('replication.down.rate', pods / (downMs / 1000), 'pods/s');
  seen.stop();
}

const scale = (client: Client, replicas: number) =>
  client.patch(
    replicationControllerKind,
    { namespace, name },
    { type: 'merge', body: { spec: { replicas } } },
    { subresource: 'scale' },
  );
