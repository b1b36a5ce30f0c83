import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { silentLog, systemClock } from '#base';
import { openEtcdStore } from '../../core/store/etcd.ts';
import { type EtcdServer, etcdPath, startEtcd } from '../fixtures/etcd.ts';
import { rejection } from '../fixtures/rejection.ts';
import { storeContract } from './store.ts';

const encode = (text: string) => new TextEncoder().encode(text);

test('etcd without TLS is taken on loopback only, and only when asked for', async () => {
  for (const options of [
    { endpoints: ['http://10.0.0.1:2379'], plaintext: true },
    { endpoints: ['http://127.0.0.1:2379'] },
    { endpoints: ['http://127.0.0.1:2379'], tls: { ca: '', cert: '', key: '' } },
    { endpoints: [] },
  ]) {
    const open = openEtcdStore({ ...options, clock: systemClock, log: silentLog });
    expect(await rejection(open)).toMatchObject({ code: 'ETCD_INSECURE' });
  }
});

if (!etcdPath) console.log('skip: the etcd store (there is no etcd on PATH)');
else
  describe('etcd', () => {
    let server: EtcdServer;
    let count = 0;
    const openAt = (prefix: string, endpoint = server.endpoint) =>
      openEtcdStore({ endpoints: [endpoint], plaintext: true, prefix, clock: systemClock, log: silentLog });
    beforeAll(async () => {
      server = await startEtcd();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    storeContract('etcd', async () => {
      const prefix = `/contract-${++count}`;
      let store = await openAt(prefix);
      return {
        store,
        async reopen() {
          await store[Symbol.asyncDispose]();
          store = await openAt(prefix);
          return store;
        },
        [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
      };
    });

    test('two apiservers see each other, and a foreign write moves watches on', async () => {
      await using one = await openAt('/shared');
      await using two = await openAt('/shared');
      await using other = await openAt('/shared-2');
      const since = await one.version();
      const controller = new AbortController();
      const iterator = one.watch('/', since, controller.signal)[Symbol.asyncIterator]();
      const next = iterator.next();
      const { version } = await two.create('/x', encode('x'));
      let seen = (await next).value;
      while (seen && seen.type === 'progress') seen = (await iterator.next()).value;
      expect(seen).toMatchObject({ type: 'put', entry: { key: '/x', version } });
      await other.create('/elsewhere', encode('x'));
      const newest = await one.version();
      for (let reached = 0; reached < Number(newest); ) {
        const progress = (await iterator.next()).value;
        expect(progress).toMatchObject({ type: 'progress' });
        reached = Number(progress && 'version' in progress && progress.version);
      }
      expect((await one.list('/')).entries.map((entry) => entry.key)).toEqual(['/x']);
      controller.abort();
    });

    test('connections that break during a replay lose nothing', async () => {
      const total = 1500;
      await using writer = await openAt('/replay');
      const since = await writer.version();
      const value = new Uint8Array(1000);
      for (let from = 0; from < total; from += 100)
        await Promise.all(Array.from({ length: 100 }, (_, index) => writer.create(`/r/${from + index}`, value)));
      using relay = await startRelay(Number(new URL(server.endpoint).port), 400_000);
      await using reader = await openAt('/replay', `http://127.0.0.1:${relay.port}`);
      const keys: string[] = [];
      const controller = new AbortController();
      for await (const event of reader.watch('/r/', since, controller.signal)) {
        if (event.type === 'put') keys.push(event.entry.key);
        if (keys.length === total) controller.abort();
      }
      expect(relay.cuts()).toBeGreaterThan(0);
      expect(new Set(keys).size).toBe(total);
    });

    test('after a kill of etcd the live watch goes on without a gap', async () => {
      await using store = await openAt('/killed');
      const since = await store.version();
      const controller = new AbortController();
      const versions: string[] = [];
      const written: string[] = [];
      const reading = (async () => {
        for await (const event of store.watch('/', since, controller.signal)) {
          if (event.type !== 'put') continue;
          versions.push(event.entry.version);
          if (event.entry.key === '/last') return;
        }
      })();
      for (let index = 0; index < 20; index++) written.push((await store.create(`/a${index}`, encode('x'))).version);
      await server.kill();
      expect(await rejection(store.create('/lost', encode('x')))).toMatchObject({ reason: 'ServiceUnavailable' });
      await server.start();
      for (;;) {
        const entry = await store.create('/last', encode('x')).catch(() => undefined);
        if (entry ?? (await store.get('/last').catch(() => undefined))) break;
      }
      await reading;
      expect(versions.slice(0, written.length)).toEqual(written);
      expect(new Set(versions).size).toBe(versions.length);
      controller.abort();
    });
  });

/** Passes bytes through to a port; cuts the first connection after so many bytes from the server. */
async function startRelay(target: number, cutAfterBytes: number) {
  let cuts = 0;
  let bytes = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes < cutAfterBytes || cuts >= 3) return void near.write(chunk);
      bytes = 0;
      cuts++;
      near.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    cuts: () => cuts,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
