import { describe, expect, test } from 'bun:test';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lackingForLab, TestLab } from '../fixtures/lab.ts';
import { expectOk, repository } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'hosts of a lab that leave and join', unfit);

const rounds = Number(process.env['LAB_ROUNDS'] ?? 2);
interface Lease {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly subnets: readonly string[] };
}

describe.skipIf(unfit !== '')('hosts that leave and join', () => {
  test('again and again: subnets stay unique, the others forget who left, and nothing is leaked', async () => {
    const devices = new Set<string>();
    {
      await using lab = new TestLab();
      await lab.ok('up', '--hosts', '2');
      await lab.ok('up', '--hosts', '3'); // one more, later
      const tunnelsOf = async (host: string) =>
        [...(await lab.exec(host, 'ip', '-o', 'link')).matchAll(/^\d+: (pw[^:@]*)/gm)].map(([, name]) => name!);
      for (let round = 0; round < rounds; round++) {
        await lab.untilReady('h1', 'h2', 'h3');
        const { items } = await lab.json<{ items: Lease[] }>('/apis/net.pintle.dev/v1/hostleases');
        expect(items.map(({ metadata }) => metadata.name)).toEqual(['h1', 'h2', 'h3']);
        expect(new Set(items.flatMap(({ spec }) => spec.subnets)).size).toBe(3);
        for (const host of ['h1', 'h2', 'h3']) for (const name of await tunnelsOf(host)) devices.add(name);
        expect((await tunnelsOf('h1')).length).toBe(1);
        await lab.ok('kill', 'h3');
        expectOk(await lab.run('exec', 'h1', '--', join(repository, 'pintle'), 'node', 'remove', 'h3', '--yes'));
        rmSync(lab.home.path('hosts', 'h3'), { recursive: true, force: true }); // a new disk
        await lab.untilReady('h1', 'h2');
        await lab.ok('up');
      }
      await lab.untilReady('h1', 'h2', 'h3');
    }
    for (const name of devices) expect([name, existsSync(`/var/run/wireguard/${name}.sock`)]).toEqual([name, false]);
  });
});
