import { describe, expect, test } from 'bun:test';
import type { Affinity, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec, StorageClass } from '#api';
import { schedule, type View } from '../cycle.ts';
import { nodeInfoOf } from '../node-info.ts';
import { rules } from './index.ts';

// The texts are what the original's scheduler wrote about the same nodes and pods.
const zone = 'topology.kubernetes.io/zone';
const hostname = 'kubernetes.io/hostname';
const node = (name: string, inZone?: string, images: string[] = []): Node => ({
  metadata: { name, labels: { [hostname]: name, ...(inZone ? { [zone]: inZone } : {}) } },
  status: {
    allocatable: { cpu: '2', memory: '4Gi', pods: '110' },
    images: images.map((one) => ({ names: [one], sizeBytes: 700 * 1024 * 1024 })),
  },
});
const four = [node('n1', 'z1'), node('n2', 'z1'), node('n3', 'z2'), node('n4')];
let count = 0;
function pod(labels: Record<string, string> = {}, spec: Partial<PodSpec> = {}, cpu?: string): Pod {
  const name = `p${count++}`;
  const container = { name: 'c', image: 'x', resources: cpu ? { requests: { cpu } } : {} };
  return { metadata: { name, namespace: 'default', uid: name, labels }, spec: { containers: [container], ...spec } };
}
const on = (name: string): Partial<PodSpec> => ({ nodeSelector: { [hostname]: name } });
const term = (matchLabels: Record<string, string>, topologyKey: string) => ({
  labelSelector: { matchLabels },
  topologyKey,
});
const near = (labels: Record<string, string>, key: string): Affinity => ({
  podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(labels, key)] },
});
const apart = (labels: Record<string, string>, key: string): Affinity => ({
  podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(labels, key)] },
});
interface Objects {
  claims?: Record<string, PersistentVolumeClaim>;
  volumes?: Record<string, PersistentVolume>;
  classes?: Record<string, StorageClass>;
  namespaces?: Record<string, Record<string, string>>;
}
function place(wanted: Pod, nodes: Node[], running: Record<string, Pod[]> = {}, objects: Objects = {}): string {
  const view: View = {
    nodes: nodes.map((one) => nodeInfoOf(one, running[one.metadata.name!] ?? [])),
    cluster: {
      namespaceLabels: (name) => objects.namespaces?.[name],
      claim: (_namespace, name) => objects.claims?.[name],
      volume: (name) => objects.volumes?.[name],
      volumes: () => Object.values(objects.volumes ?? {}),
      storageClass: (name) => objects.classes?.[name],
      budgets: () => [],
    },
    nominatedOn: () => [],
  };
  const outcome = schedule(wanted, view, rules, () => 0);
  return outcome.type === 'bind' ? outcome.node : outcome.message;
}
const unhelpful = (nodes: number, all = nodes) =>
  ` preemption: 0/${all} nodes are available: ${nodes} Preemption is not helpful for scheduling.`;
const oneVictimless =
  ' preemption: 0/4 nodes are available: 1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling.';
const elsewhere = "3 node(s) didn't match Pod's node affinity/selector";

describe('affinity between pods', () => {
  const running = {
    n1: [pod({ a: 'low1' })],
    n3: [pod({ a: 'low3' }), pod({ g: '1' }, { affinity: apart({ x: 'y' }, zone) })],
  };
  const rows: [string, Pod, string][] = [
    [
      'nobody to be near',
      pod({}, { affinity: near({ no: 'one' }, zone) }),
      `0/4 nodes are available: 4 node(s) didn't match pod affinity rules.${unhelpful(4)}`,
    ],
    ['near, in its zone', pod({}, { affinity: near({ a: 'low3' }, zone) }), 'n3'],
    [
      'near, but elsewhere',
      pod({}, { affinity: near({ a: 'low3' }, zone), ...on('n1') }),
      `0/4 nodes are available: 1 node(s) didn't match pod affinity rules, ${elsewhere}.${unhelpful(4)}`,
    ],
    [
      'apart from another',
      pod({}, { affinity: apart({ a: 'low1' }, zone), ...on('n2') }),
      `0/4 nodes are available: 1 node(s) didn't match pod anti-affinity rules, ${elsewhere}.${oneVictimless}`,
    ],
    [
      'another wants to be apart',
      pod({ x: 'y' }, on('n3')),
      `0/4 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules, ${elsewhere}.${oneVictimless}`,
    ],
    ['the first of a group', pod({ me: '1' }, { affinity: near({ me: '1' }, zone), ...on('n2') }), 'n2'],
    ['a node without the key is apart', pod({ x: 'y' }, { affinity: apart({ a: 'low1' }, zone) }), 'n4'],
  ];
  for (const [name, wanted, expected] of rows) test(name, () => expect(place(wanted, four, running)).toBe(expected));

  test('namespaces: its own, those it names, those a selector matches', () => {
    const other: Pod = { ...pod({ a: 'b' }), metadata: { ...pod().metadata, namespace: 'far', labels: { a: 'b' } } };
    const wanted = (more: object) =>
      pod(
        {},
        {
          affinity: {
            podAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: [{ ...term({ a: 'b' }, hostname), ...more }],
            },
          },
        },
      );
    const objects = { namespaces: { far: { team: 'x' } } };
    const go = (more: object) => place(wanted(more), four, { n2: [other] }, objects);
    expect(go({})).toContain('affinity rules');
    expect(go({ namespaces: ['far'] })).toBe('n2');
    expect(go({ namespaceSelector: { matchLabels: { team: 'x' } } })).toBe('n2');
    expect(go({ namespaceSelector: {} })).toBe('n2');
    expect(go({ namespaceSelector: { matchLabels: { team: 'y' } } })).toContain('affinity rules');
  });
  test('preferences of both sides weigh', () => {
    const weighted = (weight: number) => [{ weight, podAffinityTerm: term({ a: 'b' }, hostname) }];
    const preferred = { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: weighted(50) } };
    const averse = { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: weighted(50) } };
    const busy = { n1: [pod({ a: 'b' })] };
    expect(place(pod({}, { affinity: preferred }), four.slice(0, 2), busy)).toBe('n1');
    expect(place(pod({}, { affinity: averse }), four.slice(0, 2), busy)).toBe('n2');
    expect(place(pod({ a: 'b' }), four.slice(0, 2), { n1: [pod({}, { affinity: averse })], n2: [pod()] })).toBe('n2');
    expect(place(pod({ a: 'b' }), four.slice(0, 2), { n2: [pod({}, { affinity: near({ a: 'b' }, zone) })] })).toBe(
      'n1',
    );
  });
});

describe('topology spread', () => {
  const spread = (key: string, more: object = {}): Partial<PodSpec> => ({
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: key,
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { s: '1' } },
        ...more,
      },
    ],
  });
  const own = { s: '1' };
  test('the fuller zone is refused', () => {
    const running = { n1: [pod(own)], n2: [] };
    expect(place(pod(own, spread(zone)), four, running)).toBe('n3');
  });
  test('texts', () => {
    expect(place(pod(own, { ...spread(zone), ...on('n4') }), four)).toBe(
      `0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label), ${elsewhere}.${unhelpful(4)}`,
    );
    const wanted = pod(own, { ...spread(hostname, { nodeAffinityPolicy: 'Ignore' }), ...on('n1') });
    expect(place(wanted, four, { n1: [pod(own)] })).toBe(
      `0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints, ${elsewhere}.${oneVictimless}`,
    );
  });
  test('only nodes that the pod may use count, unless told otherwise', () => {
    expect(place(pod(own, { ...spread(hostname), ...on('n1') }), four, { n1: [pod(own)] })).toBe('n1');
  });
  test('fewer domains than minDomains: none counts as empty enough', () => {
    const running = { n1: [pod(own)], n3: [pod(own)] };
    expect(place(pod(own, spread(zone)), four, running)).toStartWith('n');
    expect(place(pod(own, spread(zone, { minDomains: 3 })), four, running)).toStartWith('0/4');
  });
  test('matchLabelKeys tells generations apart', () => {
    const running = { n1: [pod({ s: '1', v: 'old' })] };
    const wanted = pod(
      { s: '1', v: 'new' },
      { ...spread(hostname, { matchLabelKeys: ['v'], nodeAffinityPolicy: 'Ignore' }), ...on('n1') },
    );
    expect(place(wanted, four, running)).toBe('n1');
  });
  test('pods that end and pods of other namespaces do not count', () => {
    const ending = pod(own);
    ending.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    const foreign = pod(own);
    foreign.metadata.namespace = 'far';
    expect(
      place(pod(own, { ...spread(hostname, { nodeAffinityPolicy: 'Ignore' }), ...on('n1') }), four, {
        n1: [ending, foreign],
      }),
    ).toBe('n1');
  });
  test('ScheduleAnyway only prefers', () => {
    const soft = spread(zone, { whenUnsatisfiable: 'ScheduleAnyway' });
    const running = { n1: [pod(own)], n2: [pod(own)] };
    expect(place(pod(own, soft), four, running)).toBe('n3');
    expect(place(pod(own, { ...soft, ...on('n1') }), four, running)).toBe('n1');
  });
});

describe('node names and images', () => {
  const named = (name: string): Affinity => ({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
      },
    },
  });
  test('a named node', () => {
    expect(place(pod({}, { affinity: named('n2') }), four)).toBe('n2');
    expect(place(pod({}, { affinity: named('n9') }), four)).toBe(
      `0/4 nodes are available: 4 node(s) didn't satisfy plugin(s) [NodeAffinity].${unhelpful(4)}`,
    );
    expect(place(pod({}, { affinity: named('n2') }, '1'), four, { n2: [pod({}, {}, '1500m')] })).toBe(
      "0/4 nodes are available: 1 Insufficient cpu, 3 node(s) didn't satisfy plugin(s) [NodeAffinity]." + oneVictimless,
    );
  });
  test('a node that holds the image', () => {
    const two = [node('a'), node('b', undefined, ['registry.example/x:latest'])];
    const wanted = pod();
    wanted.spec!.containers[0]!.image = 'registry.example/x';
    expect(place(wanted, two)).toBe('b');
  });
});

describe('volumes', () => {
  const using = (claimName: string) => pod({}, { volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }] });
  const claim = (
    name: string,
    more: Partial<PersistentVolumeClaim['spec']> = {},
    isBound = false,
  ): PersistentVolumeClaim => ({
    metadata: { name, namespace: 'default', annotations: isBound ? { 'pv.kubernetes.io/bind-completed': 'yes' } : {} },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...more },
  });
  const objects: Objects = {
    claims: {
      unbound: claim('unbound', { storageClassName: '' }),
      wait: claim('wait', { storageClassName: 'wait' }),
      bound: claim('bound', { volumeName: 'pv' }, true),
      lost: claim('lost', { volumeName: 'gone' }, true),
      single: claim('single', { volumeName: 'pv', accessModes: ['ReadWriteOncePod'] }, true),
    },
    volumes: {
      pv: {
        metadata: { name: 'pv' },
        spec: {
          nodeAffinity: {
            required: {
              nodeSelectorTerms: [{ matchExpressions: [{ key: hostname, operator: 'In', values: ['n3'] }] }],
            },
          },
        },
      },
    },
    classes: { wait: { metadata: { name: 'wait' }, provisioner: 'p', volumeBindingMode: 'WaitForFirstConsumer' } },
  };
  const rows: [string, string][] = [
    ['nope', '0/4 nodes are available: persistentvolumeclaim "nope" not found. not found'],
    ['unbound', '0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found'],
    ['wait', `0/4 nodes are available: 4 node(s) didn't find available persistent volumes to bind.${unhelpful(4)}`],
    ['bound', 'n3'],
    [
      'lost',
      `0/4 nodes are available: 4 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).${unhelpful(4)}`,
    ],
    ['single', 'n3'],
  ];
  for (const [name, expected] of rows) test(name, () => expect(place(using(name), four, {}, objects)).toBe(expected));
  test('a claim for one pod', () => {
    expect(place(using('single'), four, { n1: [using('single')] }, objects)).toStartWith(
      '0/4 nodes are available: 4 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.',
    );
  });
});
