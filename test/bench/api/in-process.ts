import { podKind } from '#api';
import type { JsonObject } from '../../../core/apiserver/contract.ts';
import { patches } from '../../../core/apiserver/patch/patches.ts';
import { createSchemaEngine } from '../../../core/apiserver/schema/schema.ts';
import { podStrategy } from '../../../core/apiserver/strategies/pod.ts';
import { median, type Row, valueRow } from '../parts/row.ts';
import { podText } from './pod.ts';

const type = podKind.type;
const nowMs = 1_800_000_000_000;

/** Single-threaded rates of the pure parts of a write. */
export function* inProcess(smoke: boolean): Iterable<Row> {
  const rounds = smoke ? 2 : 11;
  const schema = createSchemaEngine();
  const text = podText('pure');
  const fresh = () => JSON.parse(text) as JsonObject;
  const batch = smoke ? 10 : 2_000;
  const each = (work: (pod: JsonObject) => unknown) => rate(rounds, batch, fresh, work);
  const checked = (pod: JsonObject) => {
    schema.decode(type, pod);
    schema.default(type, pod);
    return schema.validate(type, pod).length;
  };
  yield valueRow('api.pure.prune-default-validate', each(checked), 'pods/s', '>= 50000');
  const strategy = (pod: JsonObject) => {
    podStrategy.defaults?.(pod as never);
    return podStrategy.validate(pod as never).length;
  };
  yield valueRow(
    'api.pure.strategy',
    rate(rounds, batch, () => defaulted(schema, fresh()), strategy),
    'pods/s',
  );
  const live = grown(schema, fresh());
  let serial = 0;
  const config = () => {
    const pod = fresh();
    (pod['metadata'] as { annotations: JsonObject }).annotations['bench.example/count'] = String(serial++);
    return pod;
  };
  const options = { manager: 'bench', force: true, nowMs };
  const applied = patches.serverSideApply(type, live, config(), options);
  const apply = (next: JsonObject) => patches.serverSideApply(type, applied, next, options);
  yield valueRow('api.pure.apply', rate(rounds, batch / 10, config, apply), 'patches/s', '>= 5000');
  const patch = () => ({
    metadata: { annotations: { 'bench.example/count': String(serial++) } },
    spec: { containers: [{ name: 'web', image: `registry.example/web:${serial}` }] },
  });
  const merge = (next: JsonObject) => patches.applyStrategicPatch(type, live, next);
  yield valueRow('api.pure.strategic-merge', rate(rounds, batch / 2, patch, merge), 'patches/s', '>= 5000');
  const track = (next: JsonObject) => patches.trackUpdate(type, live, next, { manager: 'bench', nowMs });
  const updated = () => {
    const pod = structuredClone(live);
    (pod['metadata'] as { annotations: JsonObject }).annotations['bench.example/count'] = String(serial++);
    return pod;
  };
  yield valueRow('api.pure.track-update', rate(rounds, batch / 10, updated, track), 'updates/s');
}

function defaulted(schema: ReturnType<typeof createSchemaEngine>, pod: JsonObject): JsonObject {
  schema.decode(type, pod);
  schema.default(type, pod);
  return pod;
}

/** 3 KB with defaults and the owners of its fields. */
function grown(schema: ReturnType<typeof createSchemaEngine>, pod: JsonObject): JsonObject {
  const live = defaulted(schema, pod);
  podStrategy.defaults?.(live as never);
  (live['metadata'] as { annotations: JsonObject }).annotations['bench.example/more'] = 'y'.repeat(700);
  patches.trackUpdate(type, undefined, live, { manager: 'creator', nowMs });
  return live;
}

/** Median of the rounds; the inputs are made outside of the measured time. */
function rate<T>(rounds: number, batch: number, make: () => T, work: (input: T) => unknown): number {
  const rates: number[] = [];
  const count = Math.max(1, Math.floor(batch));
  for (let round = -1; round < rounds; round++) {
    const inputs = Array.from({ length: count }, make);
    const began = performance.now();
    for (const input of inputs) work(input);
    if (round >= 0) rates.push(count / ((performance.now() - began) / 1000));
  }
  return median(rates);
}
