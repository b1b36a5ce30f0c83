import { expect, test } from 'bun:test';
import { type FlowSchema, flowSchemaKind, priorityLevelConfigurationKind } from '#api';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../../store/memory.ts';
import type { ApiServerOptions } from '../contract.ts';
import { createApiServer } from '../server.ts';

test('every cluster has them; a later start changes nothing, and brings back what is missing', async () => {
  const store = await createMemoryStore();
  const start = () =>
    createApiServer({
      store,
      clock: systemClock,
      random: seededRandom(1),
      log: silentLog,
      serviceRange: '10.96.0.0/24',
      authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
      authorizer: { authorize: () => ({ allowed: true }) },
    } satisfies ApiServerOptions);
  {
    await using first = await start();
    expect(first.reader.list(priorityLevelConfigurationKind)).toHaveLength(8);
    const schema = first.reader.get(flowSchemaKind, '', 'catch-all') as FlowSchema;
    expect(schema.status?.conditions).toMatchObject([{ type: 'Dangling', status: 'False', reason: 'Found' }]);
  }
  const before = await store.version();
  {
    await using _second = await start();
    expect(await store.version()).toBe(before);
  }
  await store.delete('/registry/flowcontrol.apiserver.k8s.io/flowschemas/catch-all', undefined);
  await using third = await start();
  expect(third.reader.list(flowSchemaKind)).toHaveLength(11);
});
