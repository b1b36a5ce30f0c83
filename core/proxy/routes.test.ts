import { expect, test } from 'bun:test';
import type { EndpointSlice, Service } from '../api/gen/types.ts';
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
  routesOf(s, slices, 'n1').map((route) =>
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
    const [route] = routesOf(service({ ...policies, ports }), [slice([here, there])], 'n1');
    const ips = (list: readonly { readonly ip: string }[] | undefined) => list?.map(({ ip }) => ip);
    return [ips(route!.backends), ips(route!.nodePortBackends)];
  };
  expect(chosen({})).toEqual([['10.1.0.2'], undefined]);
  // What still serves while it terminates is better than nothing on this node.
  expect(chosen({ externalTrafficPolicy: 'Local' })).toEqual([['10.1.0.2'], ['10.1.0.1']]);
  // Inside policy does not bind those who come from outside.
  expect(chosen({ internalTrafficPolicy: 'Local' })).toEqual([['10.1.0.1'], ['10.1.0.2']]);
});

test('node port, affinity and policy are carried', () => {
  const given = service({
    sessionAffinity: 'ClientIP',
    externalTrafficPolicy: 'Local',
    ports: [{ name: 'http', port: 80, nodePort: 30080 }],
  });
  expect(routesOf(given, [], 'n1')).toEqual([
    {
      id: 'default/web:http',
      protocol: 'tcp',
      virtual: { ip: '10.96.0.10', port: 80 },
      nodePort: 30080,
      nodePortLocalOnly: true,
      affinityTtlMs: 10_800_000,
      backends: [],
    },
  ]);
});
