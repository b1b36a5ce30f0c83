import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { silentLog, systemClock } from '#base';
import { openEtcdStore } from '../core/store/etcd.ts';
import type { Store } from '../core/store/store.ts';
import { hostLeaseKind } from '../plugins/overlay/kinds.ts';
import { type EtcdServer, etcdPath, startEtcd } from './fixtures/etcd.ts';
import { OverlayCluster } from './fixtures/overlay-cluster.ts';

const rounds = 12;

if (!etcdPath) console.log('skip: leases of two API servers on one etcd (there is no etcd on PATH)');
else
  describe('leases of two API servers on one etcd', () => {
    let etcd: EtcdServer;
    const stores: Store[] = [];
    const servers: OverlayCluster[] = [];
    beforeAll(async () => {
      etcd = await startEtcd();
      for (let count = 0; count < 2; count++) {
        const at = {
          endpoints: [etcd.endpoint],
          plaintext: true,
          prefix: '/leases',
          clock: systemClock,
          log: silentLog,
        };
        const store = await openEtcdStore(at);
        stores.push(store);
        servers.push(await OverlayCluster.start(['10.44.0.0/16'], store));
      }
    });
    afterAll(async () => {
      for (const one of [...servers, ...stores]) await one[Symbol.asyncDispose]();
      await etcd[Symbol.asyncDispose]();
    });
    const give = (at: number, name: string, subnet: string): Promise<string> =>
      servers[at]!.client.create(hostLeaseKind, {
        apiVersion: 'net.pintle.dev/v1',
        kind: 'HostLease',
        metadata: { name },
        spec: { subnets: [subnet] },
      }).then(
        () => 'given',
        (error: Error) => error.message,
      );

    test('I9: of two that are given at the same time and overlap, one is refused, with the name of the other', async () => {
      for (let round = 0; round < rounds; round++) {
        const names = [`a${round}`, `b${round}`];
        for (const name of names) await servers[0]!.addNode(name);
        // One is a part of the other, so that no comparison of keys would find it.
        const subnets = [`10.44.${2 * round}.0/23`, `10.44.${2 * round + 1}.0/24`];
        const answers = await Promise.all(names.map((name, at) => give((at + round) % 2, name, subnets[at]!)));
        const won = answers.indexOf('given');
        expect([round, answers.filter((answer) => answer === 'given')]).toEqual([round, ['given']]);
        expect(answers[1 - won]).toContain(`belongs to host ${names[won]}`);
      }
      for (const server of servers) expect(Object.keys(await server.subnets())).toHaveLength(rounds);
    });

    test('many that do not overlap all come through, whichever server they ask', async () => {
      const names = Array.from({ length: 8 }, (_, index) => `m${index}`);
      for (const name of names) await servers[1]!.addNode(name);
      const answers = await Promise.all(names.map((name, at) => give(at % 2, name, `10.44.${100 + at}.0/24`)));
      expect(answers).toEqual(names.map(() => 'given'));
    });
  });
