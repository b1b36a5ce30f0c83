// bun test/bench/plugins/definitions.ts COUNT BYTES: installs so many definitions with schemas of that size into an API server of
// this process, and prints one JSON line with what they cost.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Scope, silentLog, systemClock } from '#base';
import { openSqliteStore } from '../../../core/store/sqlite.ts';
import { customServer, definitionsPath, type Json } from '../../fixtures/custom-resources.ts';
import { until } from '../../fixtures/eventually.ts';

/** Waited for together: a slow disk must not outrun the patience of a wait. */
const batch = 50;
export interface DefinitionsCost {
  /** Of the process at rest, beyond what it was before, for each definition. */
  readonly bytesEach: number;
  readonly schemaBytes: number;
  /** Of /apis and of one group version, the slower of two after the first. */
  readonly discoveryMs: number;
  readonly installMs: number;
}

/** Fields with descriptions, limits and some nesting, until the JSON of the schema is so long. */
export function schemaOf(bytes: number): Json {
  const properties: Json = {};
  const schema = { type: 'object', properties: { spec: { type: 'object', properties } } };
  let size = JSON.stringify(schema).length;
  for (let index = 0; size < bytes; index++) {
    const field = {
      type: 'object',
      description: `What the field with the number ${index} is for, at the length that people write about such things in their definitions.`,
      properties: {
        name: { type: 'string', maxLength: 63, pattern: '^[a-z]+$' },
        count: { type: 'integer', minimum: 0, default: 1 },
        modes: { type: 'array', maxItems: 8, items: { type: 'string', enum: ['On', 'Off', 'Auto'] } },
      },
    };
    properties[`field${index}`] = field;
    size += JSON.stringify(field).length + `"field${index}":,`.length;
  }
  return schema;
}
export const definitionOf = (index: number, schema: Json, group = 'bench.example.com'): Json => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `bench${index}s.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { plural: `bench${index}s`, kind: `Bench${index}` },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
  },
});

async function measure(count: number, bytes: number): Promise<DefinitionsCost> {
  await using scope = new Scope();
  const folder = mkdtempSync(join(tmpdir(), 'pintle-bench-'));
  scope.defer(() => rmSync(folder, { recursive: true }));
  const store = await openSqliteStore({ path: join(folder, 'store.db'), clock: systemClock, log: silentLog });
  const { send } = await customServer(scope, { store });
  const schema = schemaOf(bytes);
  await send('POST', definitionsPath, definitionOf(0, schema));
  const group = '/apis/bench.example.com/v1';
  await until(async () => (await send('GET', group)).code === 200);
  const before = await settledBytes();
  const started = performance.now();
  const served = async (wanted: number) =>
    ((await send('GET', group)).body['resources'] as unknown[]).length === wanted + 1;
  for (let index = 1; index <= count; index++) {
    const answer = await send('POST', definitionsPath, definitionOf(index, schema));
    if (answer.code !== 201) throw new Error(String(answer.body['message']));
    if (index % batch === 0 || index === count) await until(() => served(index));
  }
  const installMs = performance.now() - started;
  const bytesEach = ((await settledBytes()) - before) / count;
  const timed = async (path: string) => {
    const from = performance.now();
    await send('GET', path);
    return performance.now() - from;
  };
  const times: number[] = [];
  for (let round = 0; round < 3; round++) times.push((await timed('/apis')) + (await timed(group)));
  return { bytesEach, schemaBytes: JSON.stringify(schema).length, discoveryMs: Math.max(...times.slice(1)), installMs };
}

/** Free pages go back to the kernel a moment after their garbage is gone. */
const restMs = 1_500;
/** Of the process at rest. */
async function settledBytes(): Promise<number> {
  for (let round = 0; round < 5; round++) Bun.gc(true);
  await Bun.sleep(restMs);
  Bun.gc(true);
  return process.memoryUsage.rss();
}

if (import.meta.main) {
  const [count, bytes] = process.argv.slice(2).map(Number) as [number, number];
  console.log(JSON.stringify(await measure(count, bytes)));
  process.exit(0);
}
