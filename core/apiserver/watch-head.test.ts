import { expect, test } from 'bun:test';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../store/memory.ts';
import type { ApiServer, ApiServerOptions } from './contract.ts';
import { createSchemaEngine } from './schema/schema.ts';
import { createApiServer } from './server.ts';

const url = 'http://localhost/api/v1/namespaces/default/configmaps';
const start = async () =>
  createApiServer({
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
const body = JSON.stringify({ metadata: { name: 'x', labels: { a: 'b' } } });
const create = (api: ApiServer) =>
  api.fetch(new Request(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } }));

test('a JSON watch gets its head at once, and no line that is empty', async () => {
  await using api = await start();
  const open = async (query: string) =>
    (await api.fetch(new Request(`${url}?watch=1${query}`))).body!.pipeThrough(new TextDecoderStream()).getReader();
  const watch = await open('&labelSelector=a%3Db');
  expect((await watch.read()).value).toBe(' ');
  await create(api);
  expect((await watch.read()).value).toMatch(/^{"type":"ADDED".*}\n$/);
  await watch.cancel();
  const full = await open(''); // what comes at once brings the head
  expect((await full.read()).value).toStartWith('{"type":"ADDED"');
  await full.cancel();
  const unselected = await open('&resourceVersion=1&labelSelector=a%3Dc'); // history, but none of it for this watch
  expect((await unselected.read()).value).toBe(' ');
  await unselected.cancel();
});

test('a protobuf watch without bookmarks gets its head at once, and frames that are whole', async () => {
  await using api = await start();
  const headers = { accept: 'application/vnd.kubernetes.protobuf;stream=watch' };
  const watch = (await api.fetch(new Request(`${url}?watch=1&labelSelector=a%3Db`, { headers })))!;
  const reader = watch.body!.getReader();
  expect([...(await reader.read()).value!]).toEqual([0]);
  await create(api);
  const frame = Buffer.concat([Buffer.from([0]), (await reader.read()).value!]);
  expect(frame.readUInt32BE(0)).toBe(frame.length - 4);
  expect(frame.subarray(6, 11).toString()).toBe('ADDED');
  await reader.cancel();
});
