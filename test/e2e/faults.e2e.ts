import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import type { ComponentName } from '../../core/cmd/components.ts';
import { isAlive } from '../../core/cmd/processes.ts';
import { leftOf } from '../fixtures/leaks.ts';
import { Ledger } from '../fixtures/ledger.ts';
import { expectOk, lacking, repository, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking();
if (why) skipped('e2e', 'kill -9 of components', why);

interface Container {
  readonly Id: string;
  readonly Labels: Readonly<Record<string, string>>;
}
interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
    readonly status: { readonly containerStatuses?: readonly { restartCount: number; ready: boolean }[] };
  }[];
}

const cluster = new TestCluster();
/** Id and start time of every container of this cluster, in order. */
async function containers(): Promise<string[]> {
  const { engine, clusterId } = cluster.config;
  const unix = engine!.socket;
  const filters = encodeURIComponent(JSON.stringify({ label: [`pintle.cluster=${clusterId}`] }));
  const list = (await (
    await fetch(`http://localhost/containers/json?filters=${filters}`, { unix })
  ).json()) as Container[];
  const details = await Promise.all(
    list.map(async ({ Id }) => {
      const one = await (await fetch(`http://localhost/containers/${Id}/json`, { unix })).json();
      return `${Id.slice(0, 12)} ${(one as { State: { StartedAt: string } }).State.StartedAt}`;
    }),
  );
  return details.sort();
}
const processOf = (name: ComponentName) => cluster.state?.components.find((one) => one.name === name)?.process;
async function pods(): Promise<PodList['items']> {
  return (await cluster.json<PodList>('/api/v1/namespaces/default/pods?labelSelector=app%3Dweb')).items;
}
const nodeReady = async (): Promise<boolean> => {
  try {
    const node = await cluster.json<{ status?: { conditions?: { type: string; status: string }[] } }>(
      `/api/v1/nodes/${cluster.config.nodeName}`,
    );
    return node.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
  } catch {
    return false;
  }
};
const threeReady = async (): Promise<boolean> => {
  const live = (await pods()).filter((pod) => !pod.metadata.deletionTimestamp);
  return live.length === 3 && live.every((pod) => pod.status.containerStatuses?.[0]?.ready === true);
};
/** kill -9 and the time until another process of that name runs. */
async function killAndHeal(name: ComponentName): Promise<number> {
  const victim = processOf(name)!;
  process.kill(victim.pid, 'SIGKILL');
  return until(`another ${name}`, () => {
    const now = processOf(name);
    return now !== undefined && now.pid !== victim.pid && isAlive(now);
  });
}
const answers = async (): Promise<boolean> => {
  try {
    return (await cluster.api('/readyz', { signal: AbortSignal.timeout(5_000) })).ok;
  } catch {
    return false;
  }
};

describe.skipIf(why !== '')('kill -9 at random moments', () => {
  let clusterId = '';
  let ledger: Ledger;
  let before: string[];
  beforeAll(async () => {
    await cluster.up();
    clusterId = cluster.config.clusterId;
    expectOk(await cluster.run('image', 'demo'));
    expectOk(await cluster.kubectl(['apply', '-f', join(repository, 'examples/web.yaml')]));
    await until('three ready pods', threeReady);
    before = await containers();
    expect(before.length).toBe(6); // three pods, each with its pause container
    ledger = new Ledger(cluster);
    await until('the first acknowledged writes', () => ledger.acknowledged > 20);
  });
  afterAll(async () => {
    await ledger?.[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });
  const untouched = async (): Promise<void> => {
    await until('three ready pods', threeReady);
    expect(await containers()).toEqual(before);
    for (const pod of await pods()) expect(pod.status.containerStatuses?.[0]?.restartCount).toBe(0);
  };

  test('F1 the apiserver, four times: serving again, watches resume', async () => {
    for (let round = 0; round < 4; round++) {
      await Bun.sleep(Math.random() * 400); // the random moment itself
      await killAndHeal('apiserver');
      const took = await until('the API answers', answers);
      console.log(`apiserver killed: answers ${Math.round(took)} ms after its new process`);
      const count = ledger.acknowledged;
      await until('writes are acknowledged again', () => ledger.acknowledged > count + 5);
    }
    expect(ledger.resumed).toBeGreaterThan(0);
    expect(await ledger.verify()).toEqual([]);
    await untouched();
  });

  test('F2 controllers and F3 the node: containers are untouched, scaling works afterwards', async () => {
    for (const name of ['controllers', 'node', 'controllers', 'node'] as const) {
      await Bun.sleep(Math.random() * 300);
      await killAndHeal(name);
      const took = await until('the node is Ready', nodeReady);
      console.log(`${name} killed: node Ready ${Math.round(took)} ms after its new process`);
    }
    await untouched();
  });

  test('everything but the engine at once', async () => {
    for (const name of ['node', 'apiserver', 'controllers'] as const) process.kill(processOf(name)!.pid, 'SIGKILL');
    await until('the API answers', answers);
    await untouched();
  });

  test('the supervisor: components go on without it, and the next up takes over', async () => {
    for (let round = 0; round < 2; round++) {
      process.kill(cluster.state!.supervisor.pid, 'SIGKILL');
      await until('the supervisor is gone', () => !isAlive(cluster.state?.supervisor));
      expect(await answers()).toBe(true);
      if (round === 1) process.kill(processOf('apiserver')!.pid, 'SIGKILL'); // nobody heals it
      const started = performance.now();
      expectOk(await cluster.run('up', '--detach'));
      console.log(`up after a killed supervisor: ${Math.round(performance.now() - started)} ms`);
      await untouched();
    }
    expectOk(await cluster.run('status'));
  });

  test('F13 the private engine: containers live on and are adopted', async () => {
    if (!cluster.config.engine?.private) return;
    await killAndHeal('engine');
    await until('the engine answers', async () => {
      try {
        return (await fetch('http://localhost/_ping', { unix: cluster.config.engine!.socket })).ok;
      } catch {
        return false;
      }
    });
    await untouched();
  });

  test('F13 a container removed behind our back comes back, once', async () => {
    const unix = cluster.config.engine!.socket;
    const all = (await (await fetch('http://localhost/containers/json', { unix })).json()) as Container[];
    const victim = all.find((one) => one.Labels['pintle.type'] === 'container')!;
    await fetch(`http://localhost/containers/${victim.Id}?force=1`, { unix, method: 'DELETE' });
    const took = await until('its pod runs a new one', async () => {
      const now = await containers();
      return now.length === 6 && !now.some((one) => one.startsWith(victim.Id.slice(0, 12)));
    });
    console.log(`container removed: replaced after ${Math.round(took)} ms`);
    await until('three ready pods', threeReady);
    before = await containers();
  });

  test('F13 an engine that hangs for a while', async () => {
    if (!cluster.config.engine?.private) return;
    const engine = processOf('engine')!;
    process.kill(engine.pid, 'SIGSTOP');
    try {
      await Bun.sleep(4_000); // the hang itself
    } finally {
      process.kill(engine.pid, 'SIGCONT');
    }
    expectOk(await cluster.kubectl(['scale', 'rc', 'web', '--replicas=4']));
    await until('four pods', async () => (await containers()).length === 8);
    expectOk(await cluster.kubectl(['scale', 'rc', 'web', '--replicas=3']));
    await until('three pods', async () => (await containers()).length === 6);
  });

  test('I1 I4 all along: nothing acknowledged was lost, the watch is whole', async () => {
    expect(await ledger.verify()).toEqual([]);
    console.log(`${ledger.acknowledged} acknowledged writes, the watch resumed ${ledger.resumed} times`);
  });

  test('nothing is left', async () => {
    await ledger[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
    expect(await leftOf(cluster.home.folder, clusterId)).toEqual([]);
  });
});
