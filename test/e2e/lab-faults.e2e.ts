import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { lackingForLab, leftOfLab, pausePods, TestLab } from '../fixtures/lab.ts';
import { expectOk, pintle, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'faults of a lab', unfit);

/** Shorter than the defaults (10 and 20), so that the tier stays short; what is shown does not depend on them. */
const graceSeconds = 4;
const evictSeconds = 4;
const flags = ['--node-grace', String(graceSeconds), '--evict-after', String(evictSeconds)];

describe.skipIf(unfit !== '')('hosts of a lab that are cut off or lose their power', () => {
  const lab = new TestLab();
  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3', '--', ...flags);
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: pausePods('kept') }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/kept', '--timeout=60s']));
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  const nodesOfPods = async (): Promise<string[]> => {
    const { items } = await lab.json<{
      items: { metadata: { deletionTimestamp?: string }; spec: { nodeName?: string }; status: { phase: string } }[];
    }>('/api/v1/namespaces/default/pods?labelSelector=app=kept');
    return items
      .filter(({ metadata, status }) => !metadata.deletionTimestamp && status.phase === 'Running')
      .map(({ spec }) => spec.nodeName ?? '');
  };
  /** Running containers of pods on a host, the pause containers aside. */
  const containersOn = async (host: string): Promise<number> => {
    const listed = await lab.run('exec', host, '--', 'docker', 'ps', '-q', '--filter', 'label=pintle.container=pause');
    return expectOk(listed).split('\n').filter(Boolean).length;
  };
  const untilReplaced = (host: string) =>
    until(`three pods run, none on ${host}`, async () => {
      const nodes = await nodesOfPods();
      return nodes.length === 3 && !nodes.includes(host);
    });

  test('a partition: the host is NotReady, its pods are stopped there and replaced elsewhere; healed, it is Ready again', async () => {
    expect(new Set(await nodesOfPods())).toEqual(new Set(['h1', 'h2', 'h3']));
    await lab.ok('partition', 'h3');
    expect(await lab.ok('status').catch((error: Error) => error.message)).toContain('✂ cut from h1, h2');
    const start = performance.now();
    await lab.untilReady('h1', 'h2');
    const notReadyMs = performance.now() - start;
    // Fenced: no pod may run twice, so they end here before others take their place there.
    await until('the pods on h3 are stopped', async () => (await containersOn('h3')) === 0);
    const stoppedMs = performance.now() - start;
    await untilReplaced('h3');
    const replacedMs = performance.now() - start;
    await lab.ok('heal');
    const healedMs = await lab.untilReady('h1', 'h2', 'h3');
    console.log(
      `partition: NotReady ${notReadyMs | 0} ms, stopped ${stoppedMs | 0} ms, replaced ${replacedMs | 0} ms, healed ${healedMs | 0} ms`,
    );
    expect(stoppedMs).toBeLessThan(replacedMs);
  });

  test('one way: what a host sends does not arrive, and heals', async () => {
    await lab.ok('partition', 'h2', 'h1', '--one-way');
    await lab.untilReady('h1', 'h3');
    await lab.ok('heal', 'h2');
    await lab.untilReady('h1', 'h2', 'h3');
  });

  test('a power cut: the pods are replaced; started again, the host is Ready and keeps nothing of them', async () => {
    expectOk(await lab.kubectl(['delete', 'pod', '-l', 'app=kept', '--wait=false']));
    await until(
      'a pod on h2 again',
      async () => (await nodesOfPods()).includes('h2') && (await nodesOfPods()).length === 3,
    );
    await lab.ok('kill', 'h2');
    expect((await lab.run('exec', 'h2', '--', 'true')).err).toContain('[LAB_HOST_OFF]');
    const notReadyMs = await lab.untilReady('h1', 'h3');
    const replacedMs = await untilReplaced('h2');
    const start = performance.now();
    await lab.ok('start', 'h2');
    await lab.untilReady('h1', 'h2', 'h3');
    const backMs = performance.now() - start;
    await until('h2 runs no container of a pod that is elsewhere now', async () => (await containersOn('h2')) === 0);
    console.log(
      `power cut: NotReady ${notReadyMs | 0} ms, replaced ${(notReadyMs + replacedMs) | 0} ms, back ${backMs | 0} ms`,
    );
  });

  test('the server loses its power, and everything goes on when it is back', async () => {
    await lab.ok('kill', 'h1');
    expect(JSON.parse((await lab.run('status', '--json')).out)).toMatchObject({
      hosts: [{ power: 'off' }, { power: 'running' }, { power: 'running' }],
    });
    await lab.ok('up'); // starts what was killed
    await lab.untilReady('h1', 'h2', 'h3');
    await until('three pods run', async () => (await nodesOfPods()).length === 3);
  });
});

describe.skipIf(unfit !== '')('a lab whose start was killed', () => {
  test('at any moment: it goes on where it ended, or is removed with all that was made', async () => {
    await using lab = new TestLab();
    const flag = ['up', '--hosts', '2'];
    const all = ['lab', ...flag, '--home', lab.home.folder];
    for (const afterMs of [200, 1_500]) {
      const killed = await pintle(all, { signalAfter: ['SIGKILL', afterMs] });
      expect(killed.code).not.toBe(0);
    }
    await lab.ok(...flag);
    const { id } = lab.lab.record;
    const { folder } = lab.home;
    await lab.ok('down', '--yes');
    expect(await leftOfLab(folder, id)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });
});
