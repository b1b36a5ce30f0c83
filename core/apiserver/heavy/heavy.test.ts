import { afterAll, beforeAll, expect, test } from 'bun:test';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../../store/memory.ts';
import type { ApiServer, ApiServerOptions } from '../contract.ts';
import { createSchemaEngine } from '../schema/schema.ts';
import { createApiServer } from '../server.ts';
import { HeavyPool } from './pool.ts';
import run, { type Task } from './tasks.ts';

const path = 'http://localhost/api/v1/namespaces/default/configmaps';
const protobuf = 'application/vnd.kubernetes.protobuf';
const count = 260;
const tasks: string[] = [];
let pool: HeavyPool;
const servers: ApiServer[] = [];

const start = async (heavy: ApiServerOptions['heavy']): Promise<ApiServer> => {
  const api = await createApiServer({
    store: await createMemoryStore(),
    clock: { ...systemClock, now: () => Date.UTC(2026, 0, 1) },
    random: seededRandom(1),
    log: silentLog,
    schema: createSchemaEngine(),
    serviceRange: '10.96.0.0/24',
    heavy,
    authenticator: { authenticate: () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });
  servers.push(api);
  for (let index = 0; index < count; index++) {
    const body = JSON.stringify({ metadata: { name: `m${index}` }, data: { text: `größe ${index}`.repeat(10) } });
    const made = await api.fetch(
      new Request(path, { method: 'POST', body, headers: { 'content-type': 'application/json' } }),
    );
    expect(made.status).toBe(201);
  }
  return api;
};
beforeAll(async () => {
  pool = new HeavyPool(silentLog);
  const counted = {
    run(task: Task) {
      tasks.push(task.type);
      return pool.run(task);
    },
  };
  await start(counted);
  await start(undefined);
}, 60_000);
afterAll(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
  await pool[Symbol.asyncDispose]();
});

test.each<[string, string, string, number]>([
  [path, protobuf, 'protobuf', 1],
  [path, protobuf, 'protobuf', 0], // all of it is kept by now
  [path, 'application/yaml', 'yaml', 1],
  [`${path}/m1`, 'application/yaml', 'yaml', 0],
])(
  '%s as %s: on the other thread as on the loop',
  async (url, accept, task, times) => {
    tasks.length = 0;
    const [there, here] = await Promise.all(
      servers.map(async (api) => {
        const answer = await api.fetch(new Request(url, { headers: { accept } }));
        return {
          status: answer.status,
          type: answer.headers.get('content-type'),
          body: Buffer.from(await answer.arrayBuffer()),
        };
      }),
    );
    expect(there!.status).toBe(200);
    expect(there).toEqual(here!);
    expect(tasks).toEqual(Array.from({ length: times }, () => task));
  },
  60_000,
);

test('a task that fails is told, and the next one works', async () => {
  expect(Buffer.from(await pool.run({ type: 'yaml', json: Buffer.from(`{"a":1}`) })).toString()).toBe('a: 1\n');
  const failed = await pool
    .run({ type: 'protobuf', json: Buffer.from('{"apiVersion":"x/v1","kind":"No"}') })
    .catch(String);
  expect(failed).toContain('x/v1 No has no protobuf form');
  const bytes = await pool.run({ type: 'yaml', json: Buffer.from('{"b":[1]}') });
  expect(Buffer.from(bytes).toString()).toBe('b:\n- 1\n');
  expect(bytes).toEqual(new Uint8Array(await run({ type: 'yaml', json: Buffer.from('{"b":[1]}') })));
}, 60_000);
