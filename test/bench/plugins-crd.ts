import { join } from 'node:path';
import { Scope } from '#base';
import { celEnvironment } from '../../core/sdk/cel/index.ts';
import { compileSchema } from '../../core/sdk/schema/index.ts';
import { ruleType, ruleValue } from '../../core/sdk/schema/rule-types.ts';
import { customServer, establish, type Json, type Send } from '../fixtures/custom-resources.ts';
import { type BenchOptions, type Row, ratioRow, valueRow } from './parts/row.ts';
import { type DefinitionsCost, definitionOf } from './plugins/definitions.ts';

/** Figures `plugins`, the part of custom resources: rules, throughput beside built-in kinds, a thousand definitions. */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  yield valueRow('plugins.rules', rulesPerSecond(options.smoke ? 200 : 20_000), 'evaluations/s', '>= 100000');
  yield* throughput(options.smoke ? 1 : 7, options.smoke ? 10 : 400);
  const small = await definitions(options.smoke ? 5 : 1_000, 10 * 1024);
  yield valueRow('plugins.definitions.discovery', small.discoveryMs, 'ms', '<= 50');
  yield valueRow('plugins.definitions.memory', small.bytesEach / 1024, 'KiB', '<= 150');
  const large = await definitions(options.smoke ? 1 : 40, 300 * 1024);
  yield valueRow('plugins.definitions.large', large.bytesEach / large.schemaBytes, 'x', '<= 8');
}

const rules = [
  'self.replicas >= 1 && self.replicas <= 100',
  'self.ports.all(p, p.port > 0 && p.port < 65536)',
  "!has(self.host) || self.host.endsWith('.example.com')",
  "self.mode in ['On', 'Off', 'Auto']",
  "self.mode == 'On' ? self.replicas > 1 : true",
  'self.ports.exists_one(p, p.name == "http")',
];
function rulesPerSecond(rounds: number): number {
  const text = { type: 'string', maxLength: 64 };
  const port = { type: 'object', properties: { name: text, port: { type: 'integer' } } };
  const ports = { type: 'array', maxItems: 8, items: port };
  const node = compileSchema({
    type: 'object',
    properties: { replicas: { type: 'integer' }, host: text, mode: text, ports },
  });
  const { type } = ruleType(node, false)!;
  const programs = rules.map((rule) => celEnvironment({ self: type }).compile(rule));
  const object = {
    replicas: 3,
    host: 'a.example.com',
    mode: 'On',
    ports: [
      { name: 'http', port: 80 },
      { name: 'metrics', port: 9090 },
    ],
  };
  let holds = 0;
  const all = () => {
    for (const program of programs) if (program.evaluate({ self: ruleValue(node, object) }).value === true) holds++;
  };
  for (let round = 0; round < rounds / 10; round++) all();
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round++) all();
  const { user, system } = process.cpuUsage(before);
  if (holds % programs.length !== 0) throw new Error('a rule does not hold');
  return (rounds * programs.length) / ((user + system) / 1e6);
}

const names = ['create', 'get', 'update', 'list'] as const;
/** The same work on a custom kind and on ConfigMaps, in turns; by processor time. */
async function* throughput(rounds: number, objects: number): AsyncIterable<Row> {
  await using scope = new Scope();
  const { send } = await customServer(scope);
  const schema = {
    type: 'object',
    properties: { data: { type: 'object', additionalProperties: { type: 'string', maxLength: 1000 } } },
  };
  await establish(send, definitionOf(0, schema));
  const custom = { apiVersion: 'bench.example.com/v1', kind: 'Bench0' };
  const kinds = [
    { path: '/apis/bench.example.com/v1/namespaces/default/bench0s', head: custom },
    { path: '/api/v1/namespaces/default/configmaps', head: { apiVersion: 'v1', kind: 'ConfigMap' } },
  ];
  const pairs = names.map(() => [] as [number, number][]);
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 ? [...kinds].reverse() : kinds;
    const spent = new Map<object, number[]>();
    for (const kind of order) spent.set(kind, await work(send, kind.path, kind.head, objects, round));
    const [ours, theirs] = kinds.map((kind) => spent.get(kind)!) as [number[], number[]];
    if (round > 0 || rounds === 1)
      for (const [index, list] of pairs.entries()) list.push([1 / ours[index]!, 1 / theirs[index]!]);
  }
  for (const [index, name] of names.entries())
    yield ratioRow(`plugins.custom.${name}`, 'requests/ms of processor', pairs[index]!, '>= 0.8');
}
/** Milliseconds of processor for each request of each sort. */
async function work(send: Send, path: string, head: Json, objects: number, round: number): Promise<number[]> {
  const body = (index: number, more: string): Json => ({
    ...head,
    metadata: { name: `o${round}-${index}`, labels: { app: 'bench' } },
    data: { a: 'x'.repeat(100), b: 'y'.repeat(100), c: more },
  });
  const timed = async (count: number, one: (index: number) => Promise<unknown>): Promise<number> => {
    const before = process.cpuUsage();
    for (let index = 0; index < count; index++) await one(index);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e3 / count;
  };
  const times = [
    await timed(objects, (index) => send('POST', path, body(index, 'z'))),
    await timed(objects, (index) => send('GET', `${path}/o${round}-${index}`)),
    await timed(objects, (index) =>
      send('PATCH', `${path}/o${round}-${index}`, { data: { c: 'w' } }, 'application/merge-patch+json'),
    ),
    await timed(20, () => send('GET', path)),
  ];
  for (let index = 0; index < objects; index++) await send('DELETE', `${path}/o${round}-${index}`);
  return times;
}

/** In a process of its own, whose memory is nobody else's. */
async function definitions(count: number, bytes: number): Promise<DefinitionsCost> {
  const program = join(import.meta.dir, 'plugins/definitions.ts');
  const child = Bun.spawn([process.execPath, program, String(count), String(bytes)], {
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [text, trouble] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(trouble);
  return JSON.parse(text) as DefinitionsCost;
}
