import { describe, expect, test } from 'bun:test';
import type { EndpointSlice, Service } from '../api/gen/types.ts';
import type { NodeFacts } from './endpoints.ts';
import { routesOf } from './routes.ts';

const service = (spec: Service['spec'], labels?: Record<string, string>): Service => ({
  metadata: { name: 'web', namespace: 'default', labels },
  spec: { clusterIP: '10.96.0.10', clusterIPs: ['10.96.0.10'], ports: [{ name: 'http', port: 80 }], ...spec },
});
type Ends = NonNullable<EndpointSlice['endpoints']>;
const slice = (endpoints: Ends, port = 8080, name = 'http', addressType = 'IPv4'): EndpointSlice => ({
  metadata: { name: 'web-1', namespace: 'default' },
  addressType,
  ports: [{ name, port, protocol: 'TCP' }],
  endpoints,
});
const end = (ip: string, conditions: Ends[number]['conditions'] = { ready: true }, nodeName = 'n1') => ({
  addresses: [ip],
  conditions,
  nodeName,
});
const backends = (s: Service, ...slices: EndpointSlice[]) =>
  routesOf(s, slices, { name: 'n1' }).map((route) =>
    route.backends.map((one) => `${one.ip}:${one.port}${one.local ? '' : ' remote'}`),
  );

test.each<[string, Service, EndpointSlice[], string[][]]>([
  ['ready ones only', service({}), [slice([end('10.1.0.1'), end('10.1.0.2', { ready: false })])], [['10.1.0.1:8080']]],
  ['no conditions means ready', service({}), [slice([end('10.1.0.1', undefined)])], [['10.1.0.1:8080']]],
  [
    'several slices, sorted and once each',
    service({}),
    [slice([end('10.1.0.2')]), slice([end('10.1.0.1'), end('10.1.0.2')])],
    [['10.1.0.1:8080', '10.1.0.2:8080']],
  ],
  [
    'local and remote',
    service({}),
    [slice([end('10.1.0.1'), end('10.1.0.2', { ready: true }, 'n2')])],
    [['10.1.0.1:8080', '10.1.0.2:8080 remote']],
  ],
  [
    'none ready: serving and terminating',
    service({}),
    [
      slice([
        end('10.1.0.1', { ready: false, serving: true, terminating: true }),
        end('10.1.0.2', { ready: false, serving: false, terminating: true }),
      ]),
    ],
    [['10.1.0.1:8080']],
  ],
  [
    'a ready one wins over terminating',
    service({}),
    [slice([end('10.1.0.1', { ready: false, serving: true, terminating: true }), end('10.1.0.2')])],
    [['10.1.0.2:8080']],
  ],
  [
    'ports by name',
    service({
      ports: [
        { name: 'http', port: 80 },
        { name: 'admin', port: 81 },
      ],
    }),
    [slice([end('10.1.0.1')]), slice([end('10.1.0.1')], 9090, 'admin')],
    [['10.1.0.1:8080'], ['10.1.0.1:9090']],
  ],
  [
    'other protocol is another port',
    service({ ports: [{ name: 'http', port: 80, protocol: 'UDP' }] }),
    [slice([end('10.1.0.1')])],
    [[]],
  ],
  ['no slices: a route without backends', service({}), [], [[]]],
  ['IPv6 slices are not ours', service({}), [slice([end('fd00::1')], 8080, 'http', 'IPv6')], [[]]],
  ['headless', service({ clusterIP: 'None', clusterIPs: ['None'] }), [slice([end('10.1.0.1')])], []],
  ['no address yet', service({ clusterIP: undefined, clusterIPs: undefined }), [], []],
  ['ExternalName', service({ type: 'ExternalName' }), [], []],
  ['another proxy', service({}, { 'service.kubernetes.io/service-proxy-name': 'x' }), [], []],
  [
    'internal traffic stays local',
    service({ internalTrafficPolicy: 'Local' }),
    [slice([end('10.1.0.1'), end('10.1.0.2', { ready: true }, 'n2')])],
    [['10.1.0.1:8080']],
  ],
])('%s', (_name, given, slices, expected) => {
  expect(backends(given, ...slices)).toEqual(expected);
});

test('each policy chooses for its own side', () => {
  const here = end('10.1.0.1', { ready: false, serving: true, terminating: true });
  const there = end('10.1.0.2', { ready: true }, 'n2');
  const chosen = (policies: Partial<NonNullable<Service['spec']>>) => {
    const ports = [{ name: 'http', port: 80, nodePort: 30080 }];
    const [route] = routesOf(service({ ...policies, ports }), [slice([here, there])], { name: 'n1' });
    const ips = (list: readonly { readonly ip: string }[] | undefined) => list?.map(({ ip }) => ip);
    return [route!.backends, route!.externalBackends, route!.externalLocal, route!.retained].map(ips);
  };
  expect(chosen({ type: 'NodePort' })).toEqual([['10.1.0.2'], undefined, undefined, ['10.1.0.1']]);
  // What still serves while it terminates is better than nothing on this node.
  const local = { type: 'NodePort', externalTrafficPolicy: 'Local' };
  expect(chosen(local)).toEqual([['10.1.0.2'], undefined, ['10.1.0.1'], undefined]);
  // Inside policy does not bind those who come from outside.
  const inside = { type: 'NodePort', internalTrafficPolicy: 'Local' };
  expect(chosen(inside)).toEqual([['10.1.0.1'], ['10.1.0.2'], undefined, undefined]);
});

test('node port, affinity and policy are carried', () => {
  const given = service({
    type: 'NodePort',
    sessionAffinity: 'ClientIP',
    externalTrafficPolicy: 'Local',
    ports: [{ name: 'http', port: 80, nodePort: 30080 }],
  });
  expect(routesOf(given, [], { name: 'n1' })).toEqual([
    {
      id: 'default/web:http',
      protocol: 'tcp',
      virtual: { ip: '10.96.0.10', port: 80 },
      nodePort: 30080,
      externalLocal: [],
      affinityTtlMs: 10_800_000,
      backends: [],
    },
  ]);
});

describe('both families', () => {
  const dual = service({
    type: 'NodePort',
    clusterIPs: ['10.96.0.10', 'fd00:96::10'],
    ports: [{ name: 'http', port: 80, nodePort: 30080 }],
  });
  const slices = [slice([end('10.1.0.1')]), slice([end('fd00::1')], 8080, 'http', 'IPv6')];
  test('each is a route of its own, with the node port', () => {
    const routes = routesOf(dual, slices, { name: 'n1' });
    expect(
      routes.map(({ id, virtual, nodePort, backends }) => [id, virtual.ip, nodePort, backends.map(({ ip }) => ip)]),
    ).toEqual([
      ['default/web:http', '10.96.0.10', 30080, ['10.1.0.1']],
      ['default/web:http#1', 'fd00:96::10', 30080, ['fd00::1']],
    ]);
  });
  test('external addresses and ranges go with their family', () => {
    const given: Service = {
      ...dual,
      spec: {
        ...dual.spec,
        type: 'LoadBalancer',
        loadBalancerSourceRanges: [' 192.0.2.0/24'],
        externalIPs: ['fd00:e::1'],
      },
      status: {
        loadBalancer: {
          ingress: [
            { ip: '203.0.113.1', ipMode: 'VIP' },
            { ip: 'fd00:e::2' },
            { ip: '203.0.113.9', ipMode: 'Proxy' },
            { hostname: 'x' },
          ],
        },
      },
    };
    const of = (name: NodeFacts) => routesOf(given, slices, name).map(({ external }) => external);
    expect(of({ name: 'n1' })).toEqual([
      [{ ip: '203.0.113.1', sources: ['192.0.2.0/24'] }],
      [{ ip: 'fd00:e::1' }, { ip: 'fd00:e::2' }],
    ]);
    // A host that may come can have the address itself.
    expect(of({ name: 'n1', addresses: ['192.0.2.7'] })[0]).toEqual([
      { ip: '203.0.113.1', sources: ['192.0.2.0/24', '203.0.113.1/32'] },
    ]);
    const open = { ...given, spec: { ...given.spec, loadBalancerSourceRanges: ['192.0.2.0/24', '0.0.0.0/0'] } };
    expect(routesOf(open, slices, { name: 'n1' })[0]!.external).toEqual([{ ip: '203.0.113.1' }]);
    const other = { ...given, spec: { ...given.spec, type: 'NodePort' } };
    expect(routesOf(other, slices, { name: 'n1' })[0]!.external).toBeUndefined();
  });
});

test('where a policy leaves nobody, others exist', () => {
  const there = slice([end('10.1.0.2', { ready: true }, 'n2')]);
  const drops = (spec: Service['spec'], ...slices: EndpointSlice[]) =>
    routesOf(service(spec), slices, { name: 'n1' })[0]!.hasOthers;
  expect(drops({ internalTrafficPolicy: 'Local' }, there)).toBe(true);
  expect(drops({ internalTrafficPolicy: 'Local' })).toBeUndefined();
  const outside = {
    type: 'NodePort',
    externalTrafficPolicy: 'Local',
    ports: [{ name: 'http', port: 80, nodePort: 30080 }],
  };
  expect(drops(outside, there)).toBe(true);
  expect(drops({ externalTrafficPolicy: 'Local' }, there)).toBeUndefined(); // nothing is external about it
});

describe('hints', () => {
  const at = (ip: string, zone: string | undefined, node?: string) => ({
    ...end(ip),
    hints: { ...(zone ? { forZones: [{ name: zone }] } : {}), ...(node ? { forNodes: [{ name: node }] } : {}) },
  });
  const reached = (node: NodeFacts, ...ends: Ends) =>
    routesOf(service({}), [slice(ends)], node)[0]!.backends.map(({ ip }) => ip);
  const [east, west] = [at('10.1.0.1', 'east', 'n1'), at('10.1.0.2', 'west', 'n2')];
  test.each<[string, NodeFacts, Ends, string[]]>([
    ['this node before its zone', { name: 'n2', zone: 'east' }, [east, west], ['10.1.0.2']],
    ['the zone where no endpoint is for the node', { name: 'n3', zone: 'east' }, [east, west], ['10.1.0.1']],
    ['all where none is for here', { name: 'n3', zone: 'north' }, [east, west], ['10.1.0.1', '10.1.0.2']],
    ['all where the node has no zone', { name: 'n3' }, [east, west], ['10.1.0.1', '10.1.0.2']],
    ['all where one has no hint', { name: 'n3', zone: 'east' }, [east, end('10.1.0.2')], ['10.1.0.1', '10.1.0.2']],
    [
      'one that is not ready does not count',
      { name: 'n3', zone: 'east' },
      [east, west, end('10.1.0.3', { ready: false })],
      ['10.1.0.1'],
    ],
  ])('%s', (_name, node, ends, expected) => expect(reached(node, ...ends)).toEqual(expected));
});

test('of two pods with one address the one that goes on living is meant', () => {
  const dying = end('10.1.0.1', { ready: false, serving: true, terminating: true });
  for (const ends of [
    [dying, end('10.1.0.1')],
    [end('10.1.0.1'), dying],
  ])
    expect(backends(service({}), slice(ends))).toEqual([['10.1.0.1:8080']]);
});
test('UDP flows go on while their endpoint serves; TCP connections while it is listed', () => {
  const unready = end('10.1.0.1', { ready: false, serving: false });
  const of = (protocol: string) => {
    const given: EndpointSlice = {
      ...slice([unready, end('10.1.0.2')]),
      ports: [{ name: 'http', port: 8080, protocol }],
    };
    return routesOf(service({ ports: [{ name: 'http', port: 80, protocol }] }), [given], { name: 'n1' })[0]!.retained
      ?.length;
  };
  expect([of('TCP'), of('UDP')]).toEqual([1, undefined]);
});
