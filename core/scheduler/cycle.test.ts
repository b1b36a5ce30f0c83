import { expect, test } from 'bun:test';
import type { Node, Pod } from '#api';
import { schedule } from './cycle.ts';
import { SchedulingQueue } from './queue.ts';
import { coreRules } from './rules/index.ts';
import { Snapshot } from './snapshot.ts';

const node = (name: string, cpu: string, more: Partial<Node> = {}): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  status: { allocatable: { cpu, memory: '1Gi', pods: '3' } },
  ...more,
});
const pod = (name: string, cpu: string, spec: Partial<NonNullable<Pod['spec']>> = {}, owner?: string): Pod => ({
  metadata: {
    namespace: 'ns',
    name,
    uid: name,
    labels: { app: 'web' },
    ownerReferences: owner ? [{ apiVersion: 'v1', kind: 'R', name: 'r', uid: owner, controller: true }] : undefined,
  },
  spec: { containers: [{ name: 'c', resources: { requests: { cpu } } }], ...spec },
});
const decide = (wanted: Pod, nodes: readonly Node[], placed: readonly Pod[] = []) => {
  const snapshot = new Snapshot();
  for (const one of nodes) snapshot.setNode(one);
  for (const one of placed) snapshot.setPod(one);
  return schedule(wanted, snapshot.nodes(), coreRules, 0);
};
const tainted: Partial<Node> = { spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } };

test('the message counts the reasons of each node', () => {
  expect(decide(pod('p', '2'), [node('a', '1'), node('b', '4', tainted), node('c', '4', tainted)])).toMatchObject({
    message:
      '0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.',
  });
  expect(decide(pod('p', '1'), [node('a', '1')], [pod('q', '1', { nodeName: 'a' })])).toMatchObject({
    message:
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
  });
});
test('no node at all', () => {
  expect(decide(pod('p', '1'), [])).toMatchObject({ node: undefined });
});
test.each([
  ['selector', { nodeSelector: { 'kubernetes.io/hostname': 'b' } }],
  ['toleration', { tolerations: [{ operator: 'Exists' }], nodeSelector: { 'kubernetes.io/hostname': 'b' } }],
])('%s leads to b', (_what, spec) => {
  expect(decide(pod('p', '1', spec), [node('a', '4'), node('b', '4')])).toEqual({ node: 'b' });
});
test('pods of one controller spread', () => {
  const placed = [pod('q', '100m', { nodeName: 'a' }, 'r')];
  expect(decide(pod('p', '100m', {}, 'r'), [node('a', '4'), node('b', '4')], placed)).toEqual({ node: 'b' });
});
test('host ports collide, and anti-affinity keeps apart in both directions', () => {
  const port = { containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 80 }] }] };
  expect(decide(pod('p', '0', port), [node('a', '4')], [pod('q', '0', { ...port, nodeName: 'a' })])).toMatchObject({
    rules: new Set(['NodePorts']),
  });
  const term = { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'web' } } };
  const apart = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
  expect(decide(pod('p', '0', apart), [node('a', '4')], [pod('q', '0', { nodeName: 'a' })]).node).toBeUndefined();
  expect(decide(pod('p', '0'), [node('a', '4')], [pod('q', '0', { ...apart, nodeName: 'a' })]).node).toBeUndefined();
});
test('an assumed placement counts until it is forgotten', () => {
  const snapshot = new Snapshot();
  snapshot.setNode(node('a', '1'));
  snapshot.assume(pod('p', '1'), 'a');
  snapshot.setPod(pod('p', '1')); // a late event from before the binding
  expect(snapshot.nodes()[0]!.requested.cpuMilli).toBe(1000);
  snapshot.removePod('p');
  expect(snapshot.nodes()[0]!.requested.cpuMilli).toBe(0);
});
test('the queue: priority, back-off, and only the change a rule waits for', () => {
  const queue = new SchedulingQueue(coreRules);
  queue.set(pod('low', '1'), true, 0);
  queue.set(pod('high', '1', { priority: 5 }), true, 1);
  expect(queue.take(2)?.metadata.name).toBe('high');
  queue.refuse('high', new Set(['NodeAffinity']), 2);
  expect(queue.take(2)?.metadata.name).toBe('low');
  expect(queue.take(2)).toBeUndefined();
  expect(queue.changed('pod-deleted')).toBe(false);
  expect(queue.changed('node')).toBe(true);
  expect(queue.take(500)).toBeUndefined(); // still backing off
  expect(queue.take(1_002)?.metadata.name).toBe('high');
});
