import { expect, test } from 'bun:test';
import { eventKind, nodeKind, type Pod, podKind } from '#api';
import { world } from '../core/testing/world.ts';

const pod = (name: string, node: string): Pod & { metadata: { name: string } } => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { nodeName: node, automountServiceAccountToken: false, containers: [{ name: 'c', image: 'demo:1' }] },
});
const readyOf = (object: { status?: { conditions?: { type: string; status: string }[] } }) =>
  object.status?.conditions?.find(({ type }) => type === 'Ready')?.status;

/** F10 in small, on virtual time: what a lost node looks like to those who read nodes, pods and events. */
test('a node that falls silent is Unknown and tainted, its pods are not ready, and everything says so', async () => {
  await using sim = await world({ seed: 5, nodes: 2 });
  const { client } = sim;
  await client.create(podKind, pod('lost', 'node-2'));
  await sim.until(
    () => client.get(podKind, { namespace: 'default', name: 'lost' }),
    (each) => readyOf(each) === 'True',
  );
  sim.crash('node-2');
  const node = await sim.until(
    () => client.get(nodeKind, { name: 'node-2' }),
    (each) => readyOf(each) === 'Unknown' && each.spec?.taints?.length === 2,
    90_000,
  );
  expect(node.status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
    reason: 'NodeStatusUnknown',
    message: 'Kubelet stopped posting node status.',
  });
  expect(node.spec!.taints!.map(({ key, effect, timeAdded }) => [key, effect, Boolean(timeAdded)])).toEqual([
    ['node.kubernetes.io/unreachable', 'NoSchedule', true],
    ['node.kubernetes.io/unreachable', 'NoExecute', true],
  ]);
  await sim.until(
    async () => (await client.list(podKind, { namespace: 'default' })).items[0],
    (each) => !each || readyOf(each) === 'False',
  );
  await client.delete(nodeKind, { name: 'node-2' });
  const told = await sim.until(
    async () =>
      (await client.list(eventKind)).items.map(
        (event) => `${event.involvedObject.name} ${event.type} ${event.reason} ${event.message}`,
      ),
    (all) => all.some((text) => text.includes('RemovingNode')),
  );
  for (const text of [
    'node-1 Normal RegisteredNode Node node-1 event: Registered Node node-1 in Controller',
    'node-2 Normal NodeNotReady Node node-2 status is now: NodeNotReady',
    'lost Warning NodeNotReady Node is not ready',
    'node-2 Normal RemovingNode Node node-2 event: Removing Node node-2 from Controller',
  ])
    expect(told).toContain(text);
});
