import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { overlaps, spanOf } from '../../core/cmd/ranges.ts';
import { leftOf } from '../fixtures/leaks.ts';
import { expectOk, lacking, repository, runProgram, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking();
if (why) skipped('e2e', 'two clusters side by side', why);

const [first, second] = [new TestCluster(), new TestCluster()];

describe.skipIf(why !== '')('two clusters with different homes on one host', () => {
  let firstId = '';
  let secondId = '';
  beforeAll(async () => {
    // At the same moment: the choice of ports and ranges must not collide either.
    const port = (cluster: TestCluster) => cluster.run('up', '--yes', '--detach');
    for (const result of await Promise.all([port(first), port(second)])) expectOk(result);
    [firstId, secondId] = [first.config.clusterId, second.config.clusterId];
  });
  afterAll(async () => {
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
  });

  test('nothing that they chose is shared', () => {
    const [a, b] = [first.config, second.config];
    for (const name of ['clusterId', 'port', 'kubeletPort', 'bridge', 'podTable', 'serviceTable'] as const)
      expect(`${name} ${a[name]}`).not.toBe(`${name} ${b[name]}`);
    const ranges = [a.podCidr, a.serviceCidr, b.podCidr, b.serviceCidr].map((cidr) => spanOf(cidr)!);
    for (const [index, one] of ranges.entries())
      for (const other of ranges.slice(index + 1)) expect(overlaps(one, other)).toBe(false);
    const [blockA, blockB] = [a, b].map(({ nodePorts }) => {
      const [from, to] = nodePorts.split('-').map(Number);
      return { first: from!, last: to! };
    });
    expect(overlaps(blockA!, blockB!)).toBe(false);
  });

  test('both demos pass, at the same time', async () => {
    const results = await Promise.all([first.run('demo'), second.run('demo')]);
    for (const result of results) expect(expectOk(result)).toContain('Every step passed.');
  });

  test('a purge of one leaves the other untouched', async () => {
    for (const cluster of [first, second]) {
      expectOk(await cluster.run('image', 'demo'));
      expectOk(await cluster.kubectl(['apply', '-f', join(repository, 'examples/web.yaml')]));
    }
    for (const cluster of [first, second])
      for (const what of ['create', 'condition=Ready'])
        expectOk(await cluster.kubectl(['wait', `--for=${what}`, 'pod', '-l', 'app=web', '--timeout=120s']));
    const unix = second.config.engine!.socket;
    const containersOfSecond = async () => {
      const filters = encodeURIComponent(JSON.stringify({ label: [`pintle.cluster=${secondId}`] }));
      const all = (await (await fetch(`http://localhost/containers/json?filters=${filters}`, { unix })).json()) as {
        Id: string;
      }[];
      return all.map((one) => one.Id).sort();
    };
    const address = expectOk(
      await second.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}:{.spec.ports[0].port}']),
    );
    const answers = async () =>
      (await fetch(`http://${address}/`, { keepalive: false, signal: AbortSignal.timeout(10_000) })).ok;
    const before = await containersOfSecond();
    const tables = async () => (await runProgram(['nft', 'list', 'table', 'ip', second.config.serviceTable])).code;
    expect(before.length).toBe(6);
    await until('the second service answers', answers);
    expectOk(await first.run('down', '--purge', '--yes'));
    expect(await leftOf(first.home.folder, firstId)).toEqual([]);
    expect(await containersOfSecond()).toEqual(before);
    expect(await answers()).toBe(true);
    expect(await tables()).toBe(0);
    expectOk(await second.run('status'));
  });

  test('the second goes too, and nothing is left', async () => {
    expectOk(await second.run('down', '--purge', '--yes'));
    expect(existsSync(second.home.folder)).toBe(false);
    expect(await leftOf(second.home.folder, secondId)).toEqual([]);
  });
});
