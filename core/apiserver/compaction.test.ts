import { expect, test } from 'bun:test';
import { type Clock, seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../store/memory.ts';
import type { ApiServer } from './contract.ts';
import { createApiServer } from './server.ts';

const intervalMs = 77_777; // no other part sleeps so long, so that the clock knows who asks

/** Real time, but for the compaction, which sleeps until it is told. */
function steppedClock() {
  let wake = Promise.withResolvers<void>();
  let asleep = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, signal) {
      if (ms !== intervalMs) return systemClock.sleep(ms, signal);
      asleep.resolve();
      const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
      await Promise.race([wake.promise, aborted]);
    },
  };
  return {
    clock,
    /** One interval passes; resolves when its work is done. */
    async step() {
      await asleep.promise;
      asleep = Promise.withResolvers<void>();
      const woken = wake;
      wake = Promise.withResolvers<void>();
      woken.resolve();
      await asleep.promise;
    },
  };
}

async function ask(server: ApiServer, method: string, path: string, body?: unknown) {
  const answer = await server.fetch(
    new Request(`http://localhost/api/v1/namespaces/default/configmaps${path}`, {
      method,
      headers: { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    }),
  );
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  return (await answer.json()) as any;
}

test('history lives for one to two intervals; then pages and old versions are Expired, as upstream words it', async () => {
  const { clock, step } = steppedClock();
  const store = await createMemoryStore();
  await using server = await createApiServer({
    store,
    clock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    compactionIntervalMs: intervalMs,
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });
  for (const name of ['c1', 'c2', 'c3'])
    await ask(server, 'POST', '', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
  const page = await ask(server, 'GET', '?limit=1');
  const { continue: token, resourceVersion: version } = page.metadata;
  await ask(server, 'PATCH', '/c2', { data: { a: '1' } });

  await step();
  const second = await ask(server, 'GET', `?limit=1&continue=${token}`);
  expect(second.items[0].data).toBeUndefined(); // the state of the first page
  expect(second.metadata.resourceVersion).toBe(version);
  expect((await ask(server, 'GET', `?resourceVersion=${version}&limit=3`)).metadata.resourceVersion).toBe(version);

  await step();
  const expired = await ask(server, 'GET', `?limit=1&continue=${token}`);
  expect(expired).toMatchObject({ code: 410, reason: 'Expired' });
  expect(expired.message).toStartWith(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use',
  );
  const rest = await ask(server, 'GET', `?continue=${expired.metadata.continue}`);
  expect(rest.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual(['c2', 'c3']);
  expect(rest.items[0].data).toEqual({ a: '1' });
  for (const query of ['&resourceVersionMatch=Exact', '&limit=2'])
    expect(await ask(server, 'GET', `?resourceVersion=${version}${query}`)).toMatchObject({
      code: 410,
      reason: 'Expired',
      message: 'The resourceVersion for the provided list is too old.',
    });
  await store[Symbol.asyncDispose]();
});

test('a token expires with the history, even when nothing of its kind changed', async () => {
  const { clock, step } = steppedClock();
  await using store = await createMemoryStore();
  await using server = await createApiServer({
    store,
    clock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    compactionIntervalMs: intervalMs,
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });
  for (const name of ['c1', 'c2', 'c3']) await ask(server, 'POST', '', { metadata: { name } });
  const token = (await ask(server, 'GET', '?limit=1')).metadata.continue;
  const secret = { method: 'POST', body: '{"metadata":{"name":"s"}}', headers: { 'content-type': 'application/json' } };
  await server.fetch(new Request('http://localhost/api/v1/namespaces/default/secrets', secret));
  await step();
  expect((await ask(server, 'GET', `?limit=1&continue=${token}`)).metadata.remainingItemCount).toBe(1);
  await step();
  const expired = await ask(server, 'GET', `?limit=1&continue=${token}`);
  expect(expired.code).toBe(410);
  const rest = await ask(server, 'GET', `?limit=1&continue=${expired.metadata.continue}`);
  expect([rest.items[0].metadata.name, rest.metadata.remainingItemCount]).toEqual(['c2', 1]);
});
