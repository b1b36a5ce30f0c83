import { expect, test } from 'bun:test';
import { type FlowSchema, flowSchemaKind, priorityLevelConfigurationKind } from '#api';
import { openApiServer } from '../../../test/fixtures/open-server.ts';
import { createMemoryStore } from '../../store/memory.ts';

test('every cluster has them; a later start changes nothing, and brings back what is missing', async () => {
  const store = await createMemoryStore();
  const start = () => openApiServer({ store });
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
