import { expect, test } from 'bun:test';
import { poolMistakes } from './admission.ts';
import { type AddressPool, addressesAnnotation, poolAnnotation } from './kinds.ts';
import { isServed, planAddresses, takenFrom } from './plan.ts';

const pool = (name: string, addresses: string[], more: object = {}) =>
  ({ metadata: { name }, spec: { addresses, ...more } }) as AddressPool;
const service = (
  spec: object = {},
  annotations: object = {},
  ips: string[] = [],
  uid = 'u',
  created = '2026-01-02',
) => ({
  metadata: { uid, creationTimestamp: created, annotations },
  spec: { type: 'LoadBalancer', ...spec },
  status: { loadBalancer: { ingress: ips.map((ip) => ({ ip })) } },
});
const [four, six] = [pool('four', ['192.0.2.8/30']), pool('six', ['fd00::/126'])];
const both = { ipFamilies: ['IPv4', 'IPv6'] };

test.each([
  ['the first free one', service(), [four], [], ['192.0.2.8']],
  ['not what another has', service(), [four], ['192.0.2.8'], ['192.0.2.9']],
  ['what it has already', service({}, {}, ['192.0.2.10']), [four], [], ['192.0.2.10']],
  ['another when its pool changed', service({}, {}, ['192.0.2.99']), [four], [], ['192.0.2.8']],
  ['another when somebody older has it', service({}, {}, ['192.0.2.8']), [four], ['192.0.2.8'], ['192.0.2.9']],
  ['one of each family', service(both), [four, six], [], ['192.0.2.8', 'fd00::']],
  [
    'one family is enough where two are preferred',
    service({ ...both, ipFamilyPolicy: 'PreferDualStack' }),
    [six],
    [],
    ['fd00::'],
  ],
  [
    'and not where two are required',
    service({ ...both, ipFamilyPolicy: 'RequireDualStack' }),
    [six],
    [],
    'no AddressPool that it may use has IPv4 addresses',
  ],
  ['the next pool when one is exhausted', service(), [pool('a', ['192.0.2.1']), four], ['192.0.2.1'], ['192.0.2.8']],
  ['what it asks for', service({ loadBalancerIP: '192.0.2.11' }), [four], [], ['192.0.2.11']],
  [
    'the annotation before the field',
    service({ loadBalancerIP: '192.0.2.11' }, { [addressesAnnotation]: '192.0.2.10' }),
    [four],
    [],
    ['192.0.2.10'],
  ],
  [
    'what it asks for in both families',
    service(both, { [addressesAnnotation]: 'fd00::2, 192.0.2.10' }),
    [four, six],
    [],
    ['192.0.2.10', 'fd00::2'],
  ],
  [
    'what is asked for is taken',
    service({ loadBalancerIP: '192.0.2.11' }),
    [four],
    ['192.0.2.11'],
    'another service has 192.0.2.11',
  ],
  [
    'what is asked for is nowhere',
    service({ loadBalancerIP: '198.51.100.1' }),
    [four],
    [],
    'no AddressPool that it may use holds 198.51.100.1',
  ],
  ['what is asked for is no address', service({ loadBalancerIP: 'a' }), [four], [], '"a" is no address'],
  [
    'a pool that is not for all',
    service(),
    [pool('vip', ['192.0.2.1'], { autoAssign: false })],
    [],
    'no AddressPool that it may use has IPv4 addresses',
  ],
  [
    'unless it is named',
    service({}, { [poolAnnotation]: 'vip' }),
    [four, pool('vip', ['192.0.2.1'], { autoAssign: false })],
    [],
    ['192.0.2.1'],
  ],
  [
    'or its address is asked for',
    service({ loadBalancerIP: '192.0.2.1' }),
    [pool('vip', ['192.0.2.1'], { autoAssign: false })],
    [],
    ['192.0.2.1'],
  ],
  ['a pool that is not there', service({}, { [poolAnnotation]: 'x' }), [four], [], 'there is no AddressPool "x"'],
  ['none at all', service(), [], [], 'no AddressPool gives addresses: create one (kubectl explain addresspool.spec)'],
  ['all taken', service(), [pool('a', ['192.0.2.1'])], ['192.0.2.1'], 'every IPv4 address of the pools is taken'],
] as const)('%s', (_what, given, pools, taken, wanted) => {
  const plan = planAddresses(given as never, pools as never, new Set(taken));
  expect<unknown>(plan).toEqual(typeof wanted === 'string' ? { failure: wanted } : { ips: [...wanted] });
});

test('of two with one address the older keeps it; whatever the others have is taken', () => {
  const older = service({}, {}, ['192.0.2.8'], 'a', '2026-01-01');
  const younger = service({}, {}, ['192.0.2.8'], 'b', '2026-01-02');
  const foreign = service({ loadBalancerClass: 'example.com/lb' }, {}, ['192.0.2.9'], 'c');
  const all = [older, younger, foreign] as never[];
  expect([...takenFrom(older as never, all)]).toEqual([]);
  expect([...takenFrom(younger as never, all)]).toEqual(['192.0.2.8']);
  expect([older, foreign, service({ type: 'ClusterIP' })].map((one) => isServed(one as never))).toEqual([
    true,
    false,
    false,
  ]);
});

test.each([
  [['192.0.2.0/30', '192.0.2.16-192.0.2.20', 'fd00::/120'], []],
  [['192.0.2.1/30'], ['must be a range such as']],
  [['127.0.0.1'], ['must hold no loopback']],
  [['192.0.2.0/29', '192.0.2.4'], ['meets 192.0.2.0/29']],
  [['10.96.4.0/24'], ['meets the range of service addresses 10.96.0.0/16']],
  [['10.44.255.0-10.45.0.1'], ['meets the range of pod addresses 10.44.0.0/16']],
  [['198.51.100.5'], ['meets 198.51.100.0/24 of the pool other']],
])('a pool of %j: %j', (addresses, wanted) => {
  const used = { services: ['10.96.0.0/16'], pods: ['10.44.0.0/16'] };
  const found = poolMistakes(pool('p', addresses), [pool('other', ['198.51.100.0/24'])], used);
  expect(found.map(({ message }, index) => message.includes(wanted[index] ?? 'nothing'))).toEqual(
    wanted.map(() => true),
  );
});
