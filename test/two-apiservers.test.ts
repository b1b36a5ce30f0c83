import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { seededRandom, silentLog, systemClock } from '#base';
import type { ApiServer } from '../core/apiserver/contract.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { openEtcdStore } from '../core/store/etcd.ts';
import { type EtcdServer, etcdPath, startEtcd } from './fixtures/etcd.ts';

const maps = '/api/v1/namespaces/default/configmaps';

async function startServer(endpoint: string, seed: number) {
  const store = await openEtcdStore({
    endpoints: [endpoint],
    plaintext: true,
    prefix: '/two',
    clock: systemClock,
    log: silentLog,
  });
  const server = await createApiServer({
    store,
    clock: systemClock,
    random: seededRandom(seed),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });
  return {
    server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

async function ask(server: ApiServer, method: string, path: string, body?: unknown) {
  const answer = await server.fetch(
    new Request(`http://localhost${path}`, {
      method,
      headers: { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    }),
  );
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  return { code: answer.status, body: (await answer.json()) as any };
}
const configMap = (name: string, data = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

if (!etcdPath) console.log('skip: two API servers on one etcd (there is no etcd on PATH)');
else
  describe('two API servers on one etcd', () => {
    let etcd: EtcdServer;
    let one: Awaited<ReturnType<typeof startServer>>;
    let two: Awaited<ReturnType<typeof startServer>>;
    beforeAll(async () => {
      etcd = await startEtcd();
      [one, two] = await Promise.all([startServer(etcd.endpoint, 1), startServer(etcd.endpoint, 2)]);
    });
    afterAll(async () => {
      await one?.[Symbol.asyncDispose]();
      await two?.[Symbol.asyncDispose]();
      await etcd[Symbol.asyncDispose]();
    });

    test('what one acknowledged, the other reads at once: get, list, update and delete', async () => {
      for (let round = 0; round < 30; round++) {
        const [a, b] = round % 2 ? [one.server, two.server] : [two.server, one.server];
        const path = `${maps}/m${round}`;
        const made = await ask(a, 'POST', maps, configMap(`m${round}`));
        expect(made.code).toBe(201);
        expect(await ask(b, 'GET', path)).toMatchObject({ code: 200 });
        const changed = await ask(a, 'PATCH', path, { data: { round: String(round) } });
        expect((await ask(b, 'GET', path)).body.metadata.resourceVersion).toBe(changed.body.metadata.resourceVersion);
        expect((await ask(b, 'PUT', path, { ...changed.body, data: { by: 'b' } })).code).toBe(200);
        expect((await ask(a, 'GET', maps)).body.items.at(-1).data).toBeDefined();
        expect((await ask(a, 'GET', path)).body.data).toEqual({ by: 'b' });
        expect((await ask(a, 'DELETE', path)).code).toBe(200);
        expect((await ask(b, 'GET', path)).code).toBe(404);
      }
    });

    test('unpinned patches through both lose no update', async () => {
      await ask(one.server, 'POST', maps, configMap('shared'));
      const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
      const answers = await Promise.all(
        keys.map((key, index) =>
          ask(index % 2 ? one.server : two.server, 'PATCH', `${maps}/shared`, { data: { [key]: 'x' } }),
        ),
      );
      const lost = answers.filter(({ code }) => code !== 200);
      for (const { body } of lost) expect(body.reason).toBe('Conflict'); // told, not lost
      const { data } = (await ask(two.server, 'GET', `${maps}/shared`)).body;
      expect(Object.keys(data)).toHaveLength(keys.length - lost.length);
    });

    test('a read does not wait for a stranger who moves the revision', async () => {
      await using stranger = await openEtcdStore({
        endpoints: [etcd.endpoint],
        plaintext: true,
        prefix: '/stranger',
        clock: systemClock,
        log: silentLog,
      });
      for (let round = 0; round < 10; round++) {
        await stranger.create(`/s${round}`, new Uint8Array(1));
        expect((await ask(one.server, 'GET', `${maps}/shared`)).code).toBe(200);
      }
    });

    test('a watch at one server sees the writes of the other, in order', async () => {
      const { body } = await ask(one.server, 'GET', maps);
      const answer = await two.server.fetch(
        new Request(`http://localhost${maps}?watch=1&resourceVersion=${body.metadata.resourceVersion}`),
      );
      const names = Array.from({ length: 20 }, (_, index) => `w${index}`);
      for (const name of names) await ask(one.server, 'POST', maps, configMap(name));
      const seen: string[] = [];
      const reader = answer.body!.getReader();
      const decoder = new TextDecoder();
      for (let text = ''; seen.length < names.length; ) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (text + decoder.decode(value, { stream: true })).split('\n');
        text = lines.pop()!;
        for (const line of lines.filter(Boolean)) seen.push(JSON.parse(line).object.metadata.name);
      }
      await reader.cancel();
      expect(seen).toEqual(names);
    });
  });
