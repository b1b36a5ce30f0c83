// F10 and F11 of the fault matrix with the times that a cluster has when nobody sets any.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { Node, Pod } from '#api';
import { systemClock } from '#base';
import { labels as ours } from '../../core/kubelet/runtimes/docker-specs.ts';
import { lackingForLab, TestLab } from '../fixtures/lab.ts';
import { expectOk, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'lost hosts at default times', unfit);

const labels = { app: 'kept' };
const objects = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'kept' },
      spec: {
        replicas: 3,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'pause', image: 'pintle/pause:local', imagePullPolicy: 'Never' }],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kept' },
      spec: { selector: labels, ports: [{ port: 80 }] },
    },
  ],
});
/** What a machine that is busy with other tests may add to a time. */
const slackMs = 15_000;
const unreachable = 'node.kubernetes.io/unreachable';

describe.skipIf(unfit !== '')('a host without power and one that is cut off, at default times', () => {
  const lab = new TestLab();
  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3');
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: objects }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/kept', '--timeout=60s']));
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  const nodes = async () => (await lab.json<{ items: Node[] }>('/api/v1/nodes')).items;
  const pods = async () =>
    (await lab.json<{ items: Pod[] }>('/api/v1/namespaces/default/pods?labelSelector=app=kept')).items;
  /** Of all that run, whoever they belong to. */
  const podsOn = async (host: string): Promise<string[]> => {
    const format = `{{.Label "${ours.podUid}"}}`;
    const argv = ['docker', 'ps', '--filter', `label=${ours.container}=pause`, '--format', format];
    return expectOk(await lab.run('exec', host, '--', ...argv))
      .split('\n')
      .filter(Boolean);
  };
  const readyOn = async (): Promise<string> => {
    type Slice = { endpoints?: { nodeName?: string; conditions?: { ready?: boolean } }[] };
    const path =
      '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=kept';
    const { items } = await lab.json<{ items: Slice[] }>(path);
    const ready = items.flatMap(({ endpoints = [] }) => endpoints.filter(({ conditions }) => conditions?.ready));
    return [...new Set(ready.map(({ nodeName }) => nodeName))].sort().join();
  };
  const rangesOf = async () =>
    Object.fromEntries((await nodes()).map(({ metadata, spec }) => [metadata?.name, spec?.podCIDRs]));

  test('NotReady after 10 s and out of the endpoints, stopped where it can be, replaced after 30 s; back without a duplicate', async () => {
    await until('a pod on each host', async () => (await readyOn()) === 'h1,h2,h3');
    const ranges = await rangesOf();
    const before = (await pods()).map(({ metadata }) => metadata!.uid);
    await Promise.all([lab.ok('kill', 'h2'), lab.ok('partition', 'h3')]);
    const start = systemClock.monotonicMs();
    const since = (): number => systemClock.monotonicMs() - start;
    const times: Record<string, number> = {};
    const at = async (what: string, seen: () => Promise<boolean>) => {
      await until(what, seen);
      times[what] = Math.round(since());
    };
    const lost = async () => (await nodes()).filter(({ metadata }) => metadata?.name !== 'h1');
    await Promise.all([
      at('NotReady', async () => (await lab.readyNodes()).join() === 'h1'),
      at('no endpoint', async () => (await readyOn()) === 'h1'),
      at('tainted', async () =>
        (await lost()).every(({ spec }) => spec?.taints?.filter(({ key }) => key === unreachable).length === 2),
      ),
      at('stopped', async () => (await podsOn('h3')).length === 0),
      at('evicted', async () => (await pods()).some(({ metadata }) => !before.includes(metadata!.uid))),
      at('replaced', async () => {
        const there = (await pods()).filter(
          ({ spec, status }) => spec?.nodeName === 'h1' && status?.phase === 'Running',
        );
        return there.length === 3;
      }),
    ]);
    const back = async (host: string, how: () => Promise<unknown>): Promise<void> => {
      await how();
      const from = since();
      await at(`${host} again`, async () => (await lab.readyNodes()).includes(host));
      times[`${host} again`] = Math.round(since() - from);
    };
    await Promise.all([back('h3', () => lab.ok('heal', 'h3')), back('h2', () => lab.ok('start', 'h2'))]);
    console.log(`after milliseconds: ${JSON.stringify(times)}`);
    await until('nothing runs twice', async () => {
      const uids = (await Promise.all(['h1', 'h2', 'h3'].map(podsOn))).flat();
      const wanted = (await pods()).map(({ metadata }) => metadata!.uid!);
      return wanted.length === 3 && uids.toSorted().join() === wanted.toSorted().join();
    });
    expect(await rangesOf()).toEqual(ranges);

    // A host is last heard of up to 2.5 s before the fault.
    expect(times['NotReady']).toBeWithin(5_000, 10_000 + slackMs);
    expect(times['no endpoint']).toBeWithin(5_000, 10_000 + slackMs);
    expect(times['stopped']).toBeLessThan(times['evicted']!);
    expect(times['evicted']).toBeWithin(25_000, 30_000 + slackMs);
    expect(times['replaced']).toBeLessThan(30_000 + 2 * slackMs);
    for (const host of ['h2', 'h3']) expect(times[`${host} again`]).toBeLessThan(5_000 + slackMs);
  });
});
