// Pods whose RuntimeClass names a runtime that a plugin brings, through a kubelet and a real API server.
import { expect, test } from 'bun:test';
import { podKind, type RuntimeClass, runtimeClassKind } from '#api';
import { seededRandom } from '#base';
import { type ContainerRuntime, plugin, type RuntimeHandlers } from '#sdk';
import { NodeContributions } from '../core/host/carried/contributions.ts';
import { CarriedRuntimes } from '../core/host/carried/runtimes.ts';
import { createFakeRuntime } from '../core/kubelet/runtimes/fake.ts';
import { contribute } from './fixtures/contributor.ts';
import { until } from './fixtures/eventually.ts';
import { key, running, useKubeletNode } from './fixtures/kubelet-node.ts';

const node = useKubeletNode();
const play = { runtimeClassName: 'sandboxed' };

/** A plugin with an engine of its own, which outlives the plugin's process as real ones do. */
async function engines(isolation: 'process' | 'sandbox' = 'process') {
  const engine = createFakeRuntime({ clock: node.clock, random: seededRandom(2), ipPrefix: '10.99.0' });
  const contributions = new NodeContributions();
  const handlers = new CarriedRuntimes({ contributions, own: ['fake'], isPodNetns: async () => true });
  const setup = () =>
    plugin({
      name: 'engines',
      version: '1.0.0',
      sdk: '^1.0',
      placement: 'every-node',
      setup: ({ runtime }) => runtime({ name: 'play', open: () => engine }),
    });
  const contributor = await contribute(contributions, setup, { isolation });
  await node.client.create(runtimeClassKind, {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'sandboxed' },
    handler: 'play',
  } as RuntimeClass);
  return { engine, contributor, runtimeHandlers: handlers as RuntimeHandlers, contributions };
}
const heldBy = async (runtime: ContainerRuntime) => (await runtime.observe()).containers.map(({ podName }) => podName);

test('a pod runs where its class says, others where they always did; both end', async () => {
  const { engine, runtimeHandlers } = await engines();
  await node.start({ runtimeHandlers });
  await node.create('odd', play);
  await node.create('plain');
  const odd = await node.until('odd', running);
  await node.until('plain', running);
  expect([await heldBy(engine), await heldBy(node.runtime)]).toEqual([['odd'], ['plain']]);
  expect(odd.status?.containerStatuses?.[0]?.containerID).toStartWith('play://play:');
  expect(odd.status?.podIP).toStartWith('10.99.0.');
  for (const name of ['odd', 'plain']) {
    await node.client.delete(podKind, key(name));
    await node.gone(name);
  }
  expect([await heldBy(engine), await heldBy(node.runtime)]).toEqual([[], []]);
});

test('while its runtime is away a pod runs on, also over a restart of the node; new ones wait with the reason', async () => {
  const { engine, contributor, runtimeHandlers } = await engines();
  await node.start({ runtimeHandlers });
  await node.create('old', play);
  const before = await node.until('old', running);
  contributor.crash();
  await node.stop();
  await node.start({ runtimeHandlers });
  await node.create('new', play);
  await until(async () =>
    (await node.messages('FailedCreatePodSandBox')).some((text) => text?.includes('does not run now')),
  );
  const { status } = await node.client.get(podKind, key('old'));
  expect(status).toEqual(before.status!);
  expect(await heldBy(engine)).toEqual(['old']);
  await contributor.begin();
  node.clock.skip(60_000);
  await node.until('new', running);
  expect((await node.client.get(podKind, key('old'))).status?.containerStatuses).toEqual(
    before.status!.containerStatuses!,
  );
});

test('deleted while its runtime is away, a pod ends when that is back; one that hangs harms no other', async () => {
  const { engine, contributor, runtimeHandlers } = await engines();
  await node.start({ runtimeHandlers });
  await node.create('odd', play);
  await node.until('odd', running);
  contributor.hang();
  await node.client.delete(podKind, key('odd'));
  await node.create('plain');
  await node.until('plain', running);
  expect(await heldBy(engine)).toEqual(['odd']);
  contributor.crash();
  await contributor.begin();
  node.clock.skip(60_000);
  await node.gone('odd');
  expect(await heldBy(engine)).toEqual([]);
});

test('no class, no handler: each is said, and comes right by itself', async () => {
  const { contributor, runtimeHandlers } = await engines();
  await contributor.leave();
  await node.start({ runtimeHandlers });
  await node.create('odd', play);
  const why = 'Failed to create pod sandbox: RuntimeHandler "play" not supported';
  await until(async () => (await node.messages('FailedCreatePodSandBox')).includes(why));
  await node.create('other', play);
  await node.client.delete(podKind, key('other')); // nothing of it can run
  await node.gone('other');
  await contributor.begin();
  node.clock.skip(60_000);
  await node.until('odd', running);
});

test('a runtime in a sandbox cannot give addresses, and no runtime can take another pod for its own', async () => {
  const { engine, contributor, contributions, runtimeHandlers } = await engines('sandbox');
  await node.start({ runtimeHandlers });
  await node.create('odd', play);
  const why = 'names a network namespace or addresses, which nothing in a sandbox can have made';
  await until(async () => (await node.messages('FailedCreatePodSandBox')).some((text) => text?.includes(why)));
  await contributor.leave();
  const thief = { ...engine, observe: async () => ({ sandboxes: [], containers: [] }) };
  await node.create('plain');
  const plain = await node.until('plain', running);
  const setup = () =>
    plugin({
      name: 'thief',
      version: '1.0.0',
      sdk: '^1.0',
      placement: 'every-node',
      setup: ({ runtime }) =>
        runtime({
          name: 'thief',
          open: () =>
            ({
              ...thief,
              observe: async () => ({
                sandboxes: [],
                containers: [{ id: 'x', podUid: plain.metadata.uid, name: 'c', state: 'exited', attempt: 9 }],
              }),
            }) as unknown as ContainerRuntime,
        }),
    });
  await contribute(contributions, setup);
  await node.stop();
  await node.start({ runtimeHandlers });
  node.clock.skip(60_000);
  await node.create('after');
  await node.until('after', running);
  expect((await node.client.get(podKind, key('plain'))).status?.containerStatuses).toEqual(
    plain.status!.containerStatuses!,
  );
});
