import { describe, expect, test } from 'bun:test';
import type { KubeObject } from '#api';
import type { Strategy } from '#sdk';
import { createSchemaEngine } from '../schema/schema.ts';
import { strategies } from './index.ts';
import { humanDuration } from './rules/age.ts';

type Doc = Record<string, unknown>;
type Loose = KubeObject & { spec: Doc; status: Doc; data: Doc };
const schema = createSchemaEngine();
const request = { verb: 'create', user: { name: 'tester', groups: [] }, nowMs: 0 } as const;
const strategyOf = (plural: string): Strategy<KubeObject> => strategies.find(({ kind }) => kind.plural === plural)!;

/** As the server does it: decode, defaults of both sorts, the strategy's own. */
function create(plural: string, object: Doc): { object: Loose; mistakes: string[] } {
  const strategy = strategyOf(plural);
  const draft = { ...structuredClone(object), kind: strategy.kind.kind } as unknown as Loose;
  if (strategy.kind.namespaced) draft.metadata.namespace = 'default';
  const { errors } = schema.decode(strategy.kind.type, draft as unknown as Doc);
  expect(errors).toEqual([]);
  schema.default(strategy.kind.type, draft as unknown as Doc);
  strategy.defaults?.(draft);
  strategy.prepareForCreate(draft, request);
  return { object: draft, mistakes: strategy.validate(draft).map(({ field, message }) => `${field}: ${message}`) };
}
function update(plural: string, current: Loose, change: (draft: Loose) => void, subresource?: string) {
  const strategy = strategyOf(plural);
  const next = structuredClone(current);
  change(next);
  schema.default(strategy.kind.type, next as unknown as Doc);
  strategy.defaults?.(next);
  strategy.prepareForUpdate(next, current, { ...request, verb: 'update', subresource });
  const mistakes = strategy.validate(next, current, subresource);
  return { object: next, mistakes: mistakes.map(({ field, message }) => `${field}: ${message}`) };
}
const named = (rest: Doc = {}): Doc => ({ metadata: { name: 'a' }, ...rest });
const pod = (spec: Doc = {}): Doc => named({ spec: { containers: [{ name: 'x', image: 'i' }], ...spec } });

describe('defaults', () => {
  test('of a pod', () => {
    const { object, mistakes } = create('pods', pod());
    expect(mistakes).toEqual([]);
    expect(object.metadata.generation).toBe(1);
    expect(object.status).toEqual({ phase: 'Pending', qosClass: 'BestEffort' });
    expect(object.spec).toEqual({
      containers: [
        {
          name: 'x',
          image: 'i',
          resources: {},
          imagePullPolicy: 'Always',
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        },
      ],
      dnsPolicy: 'ClusterFirst',
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
      priority: 0,
      restartPolicy: 'Always',
      schedulerName: 'default-scheduler',
      securityContext: {},
      terminationGracePeriodSeconds: 30,
    });
  });
  test('limits become requests, and equal ones guarantee', () => {
    const limits = { cpu: '1000m', memory: '1Gi' };
    const { object } = create('pods', pod({ containers: [{ name: 'x', image: 'i:1', resources: { limits } }] }));
    expect(object.status['qosClass']).toBe('Guaranteed');
    expect((object.spec['containers'] as Doc[])[0]).toMatchObject({
      imagePullPolicy: 'IfNotPresent',
      resources: { requests: { cpu: '1', memory: '1Gi' } },
    });
  });
  test('of a service', () => {
    expect(create('services', named({ spec: { ports: [{ port: 80 }] } })).object.spec).toEqual({
      internalTrafficPolicy: 'Cluster',
      ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
      sessionAffinity: 'None',
      type: 'ClusterIP',
    });
  });
  test('of a namespace', () => {
    const { object } = create('namespaces', named());
    expect([object.metadata.labels, object.spec, object.status] as unknown).toEqual([
      { 'kubernetes.io/metadata.name': 'a' },
      { finalizers: ['kubernetes'] },
      { phase: 'Active' },
    ]);
  });
  test('of a controller: selector and labels come from the template', () => {
    const template = { metadata: { labels: { app: 'w' } }, spec: { containers: [{ name: 'x', image: 'i' }] } };
    const { object, mistakes } = create('replicationcontrollers', named({ spec: { template } }));
    expect(mistakes).toEqual([]);
    expect(object.metadata.labels).toEqual({ app: 'w' });
    expect(object.spec).toMatchObject({ replicas: 1, selector: { app: 'w' } });
  });
  test('text in a secret becomes data', () => {
    const { object } = create('secrets', named({ stringData: { a: 'b' } }));
    expect(object as unknown).toMatchObject({ data: { a: 'Yg==' }, type: 'Opaque' });
    expect('stringData' in object).toBe(false);
  });
});

describe('mistakes of a creation', () => {
  const cases: [string, Doc, string[]][] = [
    ['pods', named({ spec: {} }), ['spec.containers: Required value']],
    [
      'pods',
      pod({ containers: [{ name: 'x', image: 'i', volumeMounts: [{ name: 'no', mountPath: '/x' }] }] }),
      ['spec.containers[0].volumeMounts[0].name: Not found: "no"'],
    ],
    [
      'pods',
      pod({ containers: [{ name: 'x', image: 'i', resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }] }),
      ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ],
    [
      'pods',
      pod({
        containers: [
          { name: 'x', image: 'i' },
          { name: 'x', image: 'i' },
        ],
      }),
      ['spec.containers[1].name: Duplicate value: "x"'],
    ],
    ['services', named({ spec: {} }), ['spec.ports: Required value']],
    [
      'services',
      named({ spec: { ports: [{ port: 1, nodePort: 30000 }] } }),
      ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ],
    ['namespaces', { metadata: { name: 'a.b' } }, ['metadata.name: Invalid value: "a.b": must not contain dots']],
    ['replicationcontrollers', named({ spec: {} }), ['spec.selector: Required value', 'spec.template: Required value']],
    [
      'secrets',
      named({ type: 'kubernetes.io/tls' }),
      ['data[tls.crt]: Required value', 'data[tls.key]: Required value'],
    ],
    [
      'configmaps',
      named({ data: { a: '1' }, binaryData: { a: 'aaaa' } }),
      ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ],
    [
      'events',
      named({ involvedObject: { namespace: 'x' } }),
      ['involvedObject.namespace: Invalid value: "x": does not match event.namespace'],
    ],
    ['endpointslices', named(), ['addressType: Required value']],
    [
      'leases',
      named({ spec: { leaseDurationSeconds: 0 } }),
      ['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0'],
    ],
    [
      'endpoints',
      named({ subsets: [{}] }),
      ['subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
    ],
  ];
  test.each(cases)('%s %j', (plural, object, mistakes) => expect(create(plural, object).mistakes).toEqual(mistakes));
});

describe('updates', () => {
  const running = create('pods', pod({ activeDeadlineSeconds: 5 })).object;
  test('a pod may change its image and nothing much else', () => {
    const image = update('pods', running, (next) => {
      (next.spec['containers'] as Doc[])[0]!['image'] = 'j';
    });
    expect(image.mistakes).toEqual([]);
    expect(image.object.metadata.generation).toBe(2);
    const policy = update('pods', running, (next) => (next.spec['restartPolicy'] = 'Never'));
    expect(policy.mistakes[0]).toStartWith(
      'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`',
    );
    const more = update('pods', running, (next) => (next.spec['containers'] as Doc[]).push({ name: 'y', image: 'i' }));
    expect(more.mistakes).toEqual(['spec.containers: Forbidden: pod updates may not add or remove containers']);
    const deadline = update('pods', running, (next) => (next.spec['activeDeadlineSeconds'] = 6));
    expect(deadline.mistakes).toEqual([
      'spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value',
    ]);
  });
  test('spec and status are written apart', () => {
    const both = (next: Loose): void => {
      next.spec['activeDeadlineSeconds'] = 3;
      next.status['phase'] = 'Running';
    };
    expect(update('pods', running, both).object).toMatchObject({
      spec: { activeDeadlineSeconds: 3 },
      status: { phase: 'Pending' },
    });
    expect(update('pods', running, both, 'status').object).toMatchObject({
      metadata: { generation: 1 },
      spec: { activeDeadlineSeconds: 5 },
      status: { phase: 'Running' },
    });
  });
  test('an immutable secret stays', () => {
    const secret = create('secrets', named({ data: { a: 'Yg==' }, immutable: true })).object;
    expect(update('secrets', secret, (next) => (next.data['a'] = 'Yw==')).mistakes).toEqual([
      'data: Forbidden: field is immutable when `immutable` is set',
    ]);
  });
  test('an address of a service may not change', () => {
    const spec = { clusterIP: '10.96.0.9', clusterIPs: ['10.96.0.9'], ports: [{ port: 1 }] };
    const service = create('services', named({ spec })).object;
    const changed = update('services', service, (next) => {
      next.spec['clusterIP'] = '10.96.0.8';
      next.spec['clusterIPs'] = ['10.96.0.8'];
    });
    expect(changed.mistakes).toEqual(['spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set']);
  });
});

describe('columns', () => {
  const row = (plural: string, object: Doc, wide = false): unknown[] =>
    strategyOf(plural)
      .columns!.filter(({ priority }) => wide || priority === 0)
      .map((column) => column.value(object as unknown as KubeObject, 60_000));
  const status = (containerStatuses: Doc[], rest: Doc = {}): Doc => ({
    ...pod(),
    status: { phase: 'Running', containerStatuses, ...rest },
  });
  const cases: [string, Doc, string][] = [
    ['running', status([{ name: 'x', ready: true, restartCount: 0, state: { running: {} } }]), '1/1 Running 0'],
    [
      'crashing',
      status([
        {
          name: 'x',
          restartCount: 3,
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { finishedAt: '1970-01-01T00:00:30Z' } },
        },
      ]),
      '0/1 CrashLoopBackOff 3 (30s ago)',
    ],
    [
      'failed',
      status([{ name: 'x', restartCount: 0, state: { terminated: { exitCode: 3 } } }], { phase: 'Failed' }),
      '0/1 ExitCode:3 0',
    ],
    [
      'initialising',
      {
        ...pod({ initContainers: [{ name: 'i' }, { name: 'j' }] }),
        status: {
          phase: 'Pending',
          initContainerStatuses: [
            { name: 'i', state: { terminated: { exitCode: 0 } } },
            { name: 'j', state: { running: {} } },
          ],
        },
      },
      '0/1 Init:1/2 0',
    ],
    [
      'ending',
      { ...status([]), metadata: { name: 'a', deletionTimestamp: '1970-01-01T00:00:00Z' } },
      '0/1 Terminating 0',
    ],
  ];
  test.each(cases)('%s', (_, object, text) => expect(row('pods', object).slice(1, 4).join(' ')).toBe(text));
  test('of a node port service', () => {
    const spec = {
      type: 'NodePort',
      clusterIPs: ['10.0.0.1'],
      ports: [{ port: 80, nodePort: 30080, protocol: 'TCP' }],
      selector: { b: '2', a: '1' },
    };
    expect(row('services', named({ spec }), true)).toEqual([
      'a',
      'NodePort',
      '10.0.0.1',
      '<none>',
      '80:30080/TCP',
      '<unknown>',
      'a=1,b=2',
    ]);
  });
  const ages: [number, string][] = [
    [0, '0s'],
    [119, '119s'],
    [120, '2m'],
    [200, '3m20s'],
    [3600, '60m'],
    [4 * 3600 + 60, '4h1m'],
    [50 * 3600, '2d2h'],
    [800 * 86400, '2y70d'],
  ];
  test.each(ages)('%d seconds are %s', (seconds, text) => expect(humanDuration(seconds * 1000)).toBe(text));
});
