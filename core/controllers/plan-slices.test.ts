import { describe, expect, test } from 'bun:test';
import type { EndpointSlice, Pod, Service, ServiceSpec } from '#api';
import { endpointsPerSliceMax, planSlices, sliceLabels } from './plan-slices.ts';
import { endpointsAddressesMax, planSubsets } from './plan-subsets.ts';

const service = (spec: ServiceSpec = {}, labels?: Record<string, string>): Service => ({
  metadata: { namespace: 'n', name: 's', uid: 'u1', labels },
  spec: { clusterIP: '10.96.0.9', ipFamilies: ['IPv4'], ports: [{ port: 80, targetPort: 8080 }], ...spec },
});
const pod = (index: number, { ready = true, node = 'a', ips = [`10.1.${index >> 8}.${index & 255}`] } = {}): Pod =>
  ({
    metadata: { namespace: 'n', name: `p${String(index).padStart(4, '0')}`, uid: `pod-${index}` },
    spec: { nodeName: node, containers: [] },
    status: {
      podIP: ips[0],
      podIPs: ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  }) as Pod;
const pods = (count: number, options = {}) => Array.from({ length: count }, (_none, index) => pod(index, options));
const zones = new Map([
  ['a', 'z1'],
  ['b', undefined],
]);
const plan = (spec: ServiceSpec, list: readonly Pod[], existing: readonly EndpointSlice[] = []) =>
  planSlices(service(spec), list, zones, existing);
/** What would stand there once the plan is carried out. */
const made = (spec: ServiceSpec, list: readonly Pod[], uid = 'u1'): EndpointSlice[] =>
  plan(spec, list).create.map((want, index) => ({
    ...want,
    metadata: {
      name: `s-${index}`,
      labels: sliceLabels(service(spec)),
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: 's', uid }],
    },
  }));

describe('slices', () => {
  test('of at most a hundred endpoints, each where it was', () => {
    const list = pods(250);
    const existing = made({}, list);
    expect(existing.map(({ endpoints }) => endpoints!.length)).toEqual([100, 100, 50]);
    expect(plan({}, list, existing)).toEqual({ create: [], update: [], remove: [] });
    const fewer = list.filter((_pod, index) => index !== 5);
    const { create, update, remove } = plan({}, [...fewer, pod(300)], existing);
    expect([create, remove, update.map(({ slice }) => slice.metadata.name)]).toEqual([[], [], ['s-0']]);
    expect(update[0]!.endpoints).toHaveLength(endpointsPerSliceMax);
  });
  test('one set for each family of the service; the others go', () => {
    const list = [pod(1, { ips: ['10.1.0.1', 'fd01::1'] })];
    const both = made({ ipFamilies: ['IPv6', 'IPv4'] }, list);
    expect(both.map(({ addressType }) => addressType).sort()).toEqual(['IPv4', 'IPv6']);
    expect(plan({ ipFamilies: ['IPv6'] }, list, both).remove.map(({ addressType }) => addressType)).toEqual(['IPv4']);
    expect(made({ ipFamilies: ['IPv4', 'IPv6'] }, []).map(({ endpoints }) => endpoints)).toEqual([[], []]);
  });
  test('those of a former service of that name are not filled', () => {
    const former = made({}, pods(1), 'u0');
    const { create, remove } = plan({}, pods(1), former);
    expect([create.length, remove]).toEqual([1, former]);
  });
  test('labels of the service come and go', () => {
    const existing = made({}, pods(1));
    const now = planSlices(service({}, { a: 'b', 'kubernetes.io/service-name': 'x' }), pods(1), zones, existing);
    expect(now.update.map(({ labels }) => labels)).toEqual([{ ...sliceLabels(service()), a: 'b' }]);
  });
  test('a pod of a node that is not there is left out, unless all are wanted', () => {
    const [here, nowhere] = [pod(1), pod(2, { node: 'gone' })];
    expect(plan({}, [here, nowhere]).create[0]!.endpoints).toHaveLength(1);
    expect(plan({ publishNotReadyAddresses: true }, [here, nowhere]).create[0]!.endpoints).toHaveLength(2);
  });
  const near: readonly [ServiceSpec['trafficDistribution'], string, object | undefined][] = [
    [undefined, 'a', undefined],
    ['PreferClose', 'a', { forZones: [{ name: 'z1' }] }],
    ['PreferSameZone', 'b', undefined],
    ['PreferSameNode', 'a', { forZones: [{ name: 'z1' }], forNodes: [{ name: 'a' }] }],
    ['PreferSameNode', 'b', { forNodes: [{ name: 'b' }] }],
  ];
  for (const [trafficDistribution, node, hints] of near)
    test(`hints: ${trafficDistribution} on ${node}`, () => {
      const [ready, unready] = plan({ trafficDistribution }, [pod(1, { node }), pod(2, { node, ready: false })])
        .create[0]!.endpoints;
      expect([ready!.hints, unready!.hints]).toEqual([hints, undefined] as never);
    });
});

describe('subsets', () => {
  const planned = (spec: ServiceSpec, list: readonly Pod[]) => planSubsets(service(spec), list);
  test('of the first family alone', () => {
    const list = [pod(1, { ips: ['10.1.0.1', 'fd01::1'] })];
    const ips = (ipFamilies: string[]) =>
      planned({ ipFamilies }, list).subsets.flatMap(({ addresses }) => addresses!.map(({ ip }) => ip));
    expect([ips(['IPv4', 'IPv6']), ips(['IPv6', 'IPv4'])]).toEqual([['10.1.0.1'], ['fd01::1']]);
  });
  test('more than a thousand are cut: those that are not ready first', () => {
    const { subsets, isCut } = planned({}, [...pods(700), ...pods(1500, { ready: false }).slice(700)]);
    expect([isCut, subsets[0]!.addresses!.length, subsets[0]!.notReadyAddresses!.length]).toEqual([true, 700, 300]);
    const crowded = planned({}, pods(1500));
    expect(crowded.subsets[0]!.addresses).toHaveLength(endpointsAddressesMax);
    expect(planned({}, pods(1000)).isCut).toBe(false);
  });
});
