import { describe, expect, test } from 'bun:test';
import { type KubeObject, keyOf, podKind, type ReplicationController, replicationControllerKind } from '#api';
import type { Fetch } from '#client';
import { type ContainerSpec, type ControllerSpec, type SandboxSpec, specOf } from '#sdk';
import { createSchemaEngine } from '../../core/apiserver/schema/schema.ts';
import { coreControllers } from '../../core/controllers/index.ts';
import { rules } from '../../core/scheduler/rules/index.ts';
import type { Store } from '../../core/store/store.ts';
import type { RunOptions, Scenario } from '../../core/testing/index.ts';
import { freshImage, runScenario, world } from '../../core/testing/index.ts';

/** Each checker is shown a production component with one bug planted, and must name it. Without the bug the same run is sound. */
const scenario: Scenario = {
  seed: 11,
  nodes: 2,
  events: false,
  steps: [
    { atMs: 0, type: 'controller', name: 'web', replicas: 3, cpuMilli: 900 },
    { atMs: 5, type: 'service', name: 'web' },
    { atMs: 2_000, type: 'scale', name: 'web', replicas: 5 },
    { atMs: 3_000, type: 'deletePod', pick: 1 },
    { atMs: 5_000, type: 'scale', name: 'web', replicas: 2 },
    { atMs: 6_000, type: 'deletePod', pick: 0, graceSeconds: 0 },
  ],
  faults: [{ atMs: 4_000, type: 'crash', target: 'apiserver', forMs: 500 }],
};
const schema = createSchemaEngine();
const shared = { schema, image: await freshImage({ schema }) };

function controllersExcept(name: string) {
  const all = coreControllers({ rootCa: 'simulated' });
  expect(all.map((spec) => spec.name)).toContain(name);
  return all.filter((spec) => spec.name !== name);
}

/** A store of which one verb is replaced. */
const storeWith =
  (replace: (inner: Store) => Partial<Store>) =>
  (inner: Store): Store => {
    const own = replace(inner);
    return new Proxy(inner, {
      get(target, name) {
        const verb: unknown = Reflect.get(own, name) ?? Reflect.get(target, name, target);
        return typeof verb === 'function' ? verb.bind(target) : verb;
      },
    });
  };

/** After a crash it holds the state before the last acknowledged update. */
const losesUpdate = storeWith((inner) => {
  let undo: (() => Promise<unknown>) | undefined;
  return {
    async update(key, value, expected) {
      const before = await inner.get(key);
      undo = () => inner.update(key, before!.value, undefined);
      return inner.update(key, value, expected);
    },
    async list(prefix, page) {
      if (prefix === '/registry/') await undo?.();
      return inner.list(prefix, page);
    },
  };
});
/** Says the version before. */
const repeatsVersion = storeWith((inner) => {
  let last: Awaited<ReturnType<Store['update']>> | undefined;
  let left = 4;
  return {
    async update(key, value, expected) {
      const entry = await inner.update(key, value, expected);
      const said = --left === 0 && last ? { ...entry, version: last.version } : entry;
      last = entry;
      return said;
    },
  };
});
const ignoresExpected = storeWith((inner) => ({ update: (key, value) => inner.update(key, value, undefined) }));

/** Answers lists of pods with the answer before. */
const staleLists = (fetch: Fetch): Fetch => {
  const before = new Map<string, string>();
  return async (request) => {
    const answer = await fetch(request);
    if (request.method !== 'GET' || /watch=true/.test(request.url) || !/\/pods\??/.test(request.url)) return answer;
    const body = await answer.text();
    const old = before.get(request.url) ?? body;
    before.set(request.url, body);
    return new Response(old, { status: answer.status, headers: answer.headers });
  };
};
/** Leaves out the n-th piece of every watch of pods. */
const skipsEvents =
  (nth: number) =>
  (fetch: Fetch): Fetch =>
  async (request) => {
    const answer = await fetch(request);
    if (!/watch=true/.test(request.url) || !/\/pods\?/.test(request.url) || !answer.body) return answer;
    let pieces = 0;
    const skip = new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        if (piece.length < 10 || ++pieces !== nth) controller.enqueue(piece);
      },
    });
    return new Response(answer.body.pipeThrough(skip), { status: answer.status, headers: answer.headers });
  };

/** Counts only pods that have a node: it has not waited to see its own writes carried out. */
const hasty: ControllerSpec<ReplicationController & KubeObject> = {
  name: 'replication-controller',
  watches: replicationControllerKind,
  owns: [podKind],
  reconciler: {
    async reconcile(_key, rc, { client, informers }) {
      if (!rc || rc.metadata.deletionTimestamp) return;
      const pods = informers.informer(podKind).cache.list(rc.metadata.namespace);
      const own = pods.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === rc.metadata.uid));
      const { uid = '', name = '', namespace } = rc.metadata;
      const owner = { apiVersion: 'v1', kind: 'ReplicationController', name, uid, controller: true };
      for (let left = (rc.spec?.replicas ?? 1) - own.filter(({ spec }) => spec?.nodeName).length; left > 0; left--)
        await client.create(podKind, {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { generateName: `${name}-`, namespace, labels: rc.spec?.selector, ownerReferences: [owner] },
          spec: rc.spec?.template?.spec,
        });
      for (const pod of own.filter(({ metadata }) => !metadata.deletionTimestamp).slice(rc.spec?.replicas ?? 1))
        await client.delete(podKind, keyOf(pod));
    },
  },
};

const mutants: readonly [invariant: string, what: string, options: RunOptions, changes?: Partial<Scenario>][] = [
  ['I1', 'a store that loses an update', { store: losesUpdate }],
  ['I2', 'a store that gives a version twice', { store: repeatsVersion }],
  ['I3', 'an apiserver that answers lists from the past', { server: staleLists }, { faults: [] }],
  ['I4', 'a watch that leaves out an event', { server: skipsEvents(4) }],
  [
    'I5',
    'a store that does not look at the expected version',
    { store: ignoresExpected },
    { steps: contention(), faults: [] },
  ],
  [
    'I7',
    'a controller that does not see its own writes',
    { controllers: [...controllersExcept(hasty.name), specOf(hasty)] },
  ],
  [
    'I8',
    'a scheduler without the rule of resources',
    {
      schedulerRules: rules.filter(({ name }) => name !== 'NodeResourcesFit'),
      capacity: { cpu: '2', memory: '4Gi', pods: '20' },
    },
  ],
  ['I9', 'two nodes that give out the same addresses', { engine: (options) => ({ ...options, ipPrefix: '10.88.9' }) }],
  ['I13', 'no endpoints controller', { controllers: controllersExcept('endpointslice-controller') }],
  [
    'I16',
    'no garbage collector',
    { controllers: controllersExcept('garbage-collector-controller') },
    { steps: [...scenario.steps, { atMs: 7_000, type: 'deleteController', name: 'web', policy: 'Background' }] },
  ],
];
function contention(): Scenario['steps'] {
  const scales = Array.from(
    { length: 40 },
    (_, index) => ({ atMs: 1_000 + index * 2, type: 'scale', name: 'web', replicas: 1 + (index % 3) }) as const,
  );
  return [{ atMs: 0, type: 'controller', name: 'web', replicas: 1, cpuMilli: 100 }, ...scales];
}

describe('a checker names the planted bug', () => {
  test('and is silent without one', async () => {
    expect((await runScenario(scenario, shared)).violations).toEqual([]);
    expect((await runScenario({ ...scenario, steps: contention() }, shared)).violations).toEqual([]);
  });
  test('I6: a pod that runs on two machines', async () => {
    await using w = await world({ ...shared, seed: 12, nodes: 2, events: false });
    const engine = w.engine('node-1');
    const twin = w.engine('node-2');
    const metadata = { name: 'web', namespace: 'default' };
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { nodeName: 'node-1', containers: [{ name: 'main', image: 'demo:1' }] },
    };
    await w.apply(pod);
    await w.settle();
    w.mustBeSound();
    const { podUid } = (await engine.observe()).containers[0]!;
    const place = { podUid, podName: 'web', podNamespace: 'default', attempt: 0 };
    const image = await w.drive(twin.ensureImage('demo:1', 'Always', new AbortController().signal));
    await w.drive(twin.ensureSandbox({ ...place, hostname: 'web', network: 'pod', sysctls: {} } as SandboxSpec));
    const spec = { ...place, name: 'main', imageId: image.id, image: 'demo:1', env: [], mounts: [] };
    await w.drive(twin.start(await twin.create(spec as unknown as ContainerSpec)));
    await w.advance('1s');
    expect(w.violations.map(({ invariant }) => invariant)).toContain('I6');
  });
  test.each(mutants)(
    '%s: %s',
    async (invariant, _what, options, changes = {}) => {
      const { violations } = await runScenario({ ...scenario, ...changes }, { ...shared, ...options });
      expect(violations.map((each) => each.invariant)).toContain(invariant as 'I1');
    },
    20_000,
  );
});
