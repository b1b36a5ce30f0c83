import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect as connectTls } from 'node:tls';
import { compareVersions, isReason, type ResourceVersion } from '#api';
import { silentLog, systemClock } from '#base';
import { openEtcdStore } from '../../core/store/etcd.ts';
import type { Store } from '../../core/store/store.ts';
import { type EtcdServer, etcdPath, startEtcd } from '../fixtures/etcd.ts';
import { rejection } from '../fixtures/rejection.ts';
import { skipped } from '../fixtures/skipped.ts';

const encode = (text: string) => new TextEncoder().encode(text);
const options = { clock: systemClock, log: silentLog };

/** Every version that a watch brings, until `stop`. Throws what the watch throws. */
function follow(store: Store, since: ResourceVersion) {
  const controller = new AbortController();
  const keys: string[] = [];
  const versions: string[] = [];
  const done = (async () => {
    for await (const event of store.watch('/', since, controller.signal)) {
      if (event.type !== 'put') continue;
      keys.push(event.entry.key);
      versions.push(event.entry.version);
      if (event.entry.key === '/end') return;
    }
  })();
  done.catch(() => undefined); // seen by who awaits it; a test that failed before must not fail the next one, too
  return { keys, versions, done };
}

/** Creates, again after a failure whose outcome is not known, until it is certain. Returns how long that took. */
async function mustCreate(store: Store, key: string): Promise<number> {
  const start = systemClock.monotonicMs();
  for (;;) {
    try {
      await store.create(key, encode(key));
      break;
    } catch (error) {
      if (isReason(error, 'AlreadyExists')) break;
      expect(isReason(error, 'ServiceUnavailable')).toBe(true);
      expect(systemClock.monotonicMs() - start).toBeLessThan(60_000);
      await systemClock.sleep(50);
    }
  }
  return systemClock.monotonicMs() - start;
}

if (!etcdPath) skipped('e2e', 'faults of etcd', 'there is no etcd on PATH');
else {
  describe('etcd with TLS', () => {
    test('a client certificate of its authority is needed, and then the store works', async () => {
      await using etcd = await startEtcd({ tls: true });
      await using store = await openEtcdStore({ ...options, endpoints: etcd.endpoints, tls: etcd.tls! });
      const { version } = await store.create('/a', encode('a'));
      expect((await store.get('/a'))?.version).toBe(version);
      const { port } = new URL(etcd.endpoint);
      const refused = await new Promise<boolean>((resolve) => {
        const socket = connectTls({ host: '127.0.0.1', port: Number(port), ca: etcd.tls!.ca });
        socket.on('error', () => resolve(true));
        socket.on('close', () => resolve(true));
        socket.on('data', () => resolve(false));
        socket.on('secureConnect', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
      });
      expect(refused).toBe(true);
      await using other = await startEtcd({ tls: true });
      const wrong = openEtcdStore({ ...options, endpoints: etcd.endpoints, tls: other.tls! });
      expect(await rejection(wrong)).toMatchObject({ code: 'ETCD_UNREACHABLE' });
    });
  });

  describe('three members', () => {
    let etcd: EtcdServer;
    let store: Store;
    beforeAll(async () => {
      etcd = await startEtcd({ members: 3 });
      store = await openEtcdStore({ ...options, endpoints: etcd.endpoints, plaintext: true });
    });
    afterAll(async () => {
      await store[Symbol.asyncDispose]();
      await etcd[Symbol.asyncDispose]();
    });

    for (const way of ['killed', 'hanging'] as const)
      test(`the leader is ${way} under load: nothing acknowledged is lost, watches have no gap`, async () => {
        const watch = follow(store, await store.version());
        const leader = await etcd.leader();
        const gaps: number[] = [];
        for (let index = 0; index < 30; index++) {
          if (index === 10) await (way === 'killed' ? etcd.kill(leader) : etcd.pause(leader));
          gaps.push(await mustCreate(store, `/${way}/${index}`));
        }
        if (way === 'killed') await etcd.start(leader);
        else etcd.resume(leader);
        await mustCreate(store, '/end');
        await watch.done;
        expect(watch.keys.slice(0, -1)).toEqual(Array.from({ length: 30 }, (_, index) => `/${way}/${index}`));
        expect(watch.versions.toSorted(compareVersions)).toEqual(watch.versions);
        for (let index = 0; index < 30; index++) expect(await store.get(`/${way}/${index}`)).toBeDefined();
        await store.delete('/end', undefined);
        console.log(`longest wait for a write while the leader was ${way}: ${Math.round(Math.max(...gaps))} ms`);
      }, 90_000);

    test('without a quorum nothing is acknowledged and reads say so; with it everything goes on', async () => {
      const since = await store.version();
      const watch = follow(store, since);
      await etcd.kill(1);
      await etcd.kill(2);
      expect(isReason(await store.create('/none', encode('x')).catch((error) => error), 'ServiceUnavailable')).toBe(
        true,
      );
      expect(isReason(await store.version().catch((error) => error), 'ServiceUnavailable')).toBe(true);
      await Promise.all([etcd.start(1), etcd.start(2)]);
      await mustCreate(store, '/back');
      await mustCreate(store, '/end');
      await watch.done;
      expect(watch.keys.filter((key) => key !== '/none')).toEqual(['/back', '/end']);
    }, 90_000);

    test('compaction under watch: the live watch goes on, an old start is Expired', async () => {
      const since = await store.version();
      const watch = follow(store, since);
      await store.delete('/end', undefined).catch(() => undefined);
      for (let index = 0; index < 20; index++) {
        await store.create(`/compacted/${index}`, encode('x'));
        if (index === 10) await store.compact(await store.version());
      }
      const old = (async () => {
        for await (const _event of store.watch('/', since, new AbortController().signal));
      })();
      expect(await rejection(old)).toMatchObject({ reason: 'Expired', code: 410 });
      await store.create('/end', encode('x'));
      await watch.done;
      expect(watch.keys).toHaveLength(21);
      const kept = follow(store, (await store.get('/compacted/15'))!.version);
      await kept.done;
      expect(kept.keys).toEqual(['/compacted/16', '/compacted/17', '/compacted/18', '/compacted/19', '/end']);
    });
  });
}
