import { expect, test } from 'bun:test';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../store/memory.ts';
import type { ApiServerOptions } from './contract.ts';
import { createSchemaEngine } from './schema/schema.ts';
import { createApiServer } from './server.ts';

test('a protobuf watch without bookmarks gets its head at once, and frames that are whole', async () => {
  await using api = await createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    schema: createSchemaEngine(),
    serviceRange: '10.96.0.0/24',
    advertise: { ip: '192.0.2.1', port: 6443 },
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  } as ApiServerOptions);
  const url = 'http://localhost/api/v1/namespaces/default/configmaps';
  const headers = { accept: 'application/vnd.kubernetes.protobuf;stream=watch' };
  const watch = (await api.fetch(new Request(`${url}?watch=1&labelSelector=a%3Db`, { headers })))!;
  const reader = watch.body!.getReader();
  expect([...(await reader.read()).value!]).toEqual([0]);
  const body = JSON.stringify({ metadata: { name: 'x', labels: { a: 'b' } } });
  await api.fetch(new Request(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } }));
  const frame = Buffer.concat([Buffer.from([0]), (await reader.read()).value!]);
  expect(frame.readUInt32BE(0)).toBe(frame.length - 4);
  expect(frame.subarray(6, 11).toString()).toBe('ADDED');
  await reader.cancel();
});
