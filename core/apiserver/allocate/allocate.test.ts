import { describe, expect, test } from 'bun:test';
import type { IPAddress, KubeObject, Service, ServiceSpec } from '#api';
import { chooseFamilies } from './families.ts';
import { leakAfterMs, planRepair } from './plan-repair.ts';
import { addressNumber, addressText, canonical, type Family, firstAddress, holds, rangeOf } from './range.ts';

describe('ranges', () => {
  test('of both families, without what nobody may have', () => {
    const [four, six] = [rangeOf('10.96.0.0/24'), rangeOf('fd96::/112')];
    const ends = ({ first, last, dynamicFrom, family }: typeof four) =>
      [first, last, dynamicFrom].map((value) => addressText(value, family));
    expect(ends(four)).toEqual(['10.96.0.1', '10.96.0.254', '10.96.0.17']);
    expect(ends(six)).toEqual(['fd96::1', 'fd96::ffff', 'fd96::101']);
    expect(holds(four, addressNumber('10.96.0.255')!)).toBe(false);
    expect([firstAddress('fd96::/112,10.96.0.0/24'), canonical('fd96:0::7')]).toEqual(['fd96::1', 'fd96::7']);
    for (const bad of ['10.0.0.0/31', 'fd96::/48', '10.0.0.0', 'x/24']) expect(() => rangeOf(bad)).toThrow();
  });
});

describe('families', () => {
  const chosen = (spec: ServiceSpec, families: Family[], before?: ServiceSpec) => {
    const draft: ServiceSpec = { type: 'ClusterIP', ...spec };
    const mistakes = chooseFamilies(draft, before && { type: 'ClusterIP', ...before }, families);
    return mistakes.length > 0 ? mistakes[0]!.field : [draft.ipFamilyPolicy, ...(draft.ipFamilies ?? [])].join(' ');
  };
  const [dual, single]: [Family[], Family[]] = [['IPv6', 'IPv4'], ['IPv4']];
  const two = { clusterIP: 'fd96::7', clusterIPs: ['fd96::7', '10.96.0.7'], ipFamilies: ['IPv6', 'IPv4'] };
  const rows: readonly [ServiceSpec, Family[], ServiceSpec | undefined, string][] = [
    [{}, dual, undefined, 'SingleStack IPv6'],
    [{ ipFamilyPolicy: 'PreferDualStack' }, dual, undefined, 'PreferDualStack IPv6 IPv4'],
    [{ ipFamilyPolicy: 'PreferDualStack' }, single, undefined, 'PreferDualStack IPv4'],
    [{ ipFamilyPolicy: 'RequireDualStack' }, single, undefined, 'spec.ipFamilyPolicy'],
    [{ ipFamilies: ['IPv6'] }, single, undefined, 'spec.ipFamilies[0]'],
    [{ clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'] }, dual, undefined, 'SingleStack IPv4'],
    [{ clusterIP: 'None', clusterIPs: ['None'] }, single, undefined, 'RequireDualStack IPv4 IPv6'],
    [{ type: 'ExternalName' }, dual, undefined, ''],
    [
      { ...two, ipFamilyPolicy: 'SingleStack' },
      dual,
      { ...two, ipFamilyPolicy: 'PreferDualStack' },
      'SingleStack IPv6',
    ],
    [{ ...two, clusterIPs: ['fd96::7'] }, dual, { ...two, ipFamilyPolicy: 'PreferDualStack' }, 'spec.ipFamilyPolicy'],
  ];
  test.each(rows)('%j of %j after %j', (spec, families, before, wanted) => {
    expect(chosen(spec, families, before)).toBe(wanted);
  });
});

describe('repair', () => {
  const nowMs = 10 * leakAfterMs;
  const service = (name: string, ...clusterIPs: string[]): Service & KubeObject => ({
    metadata: { namespace: 'n', name },
    spec: { clusterIP: clusterIPs[0], clusterIPs },
  });
  const address = (ip: string, name: string, ageMs = nowMs): IPAddress & KubeObject => ({
    metadata: {
      name: ip,
      labels: { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' },
      creationTimestamp: new Date(nowMs - ageMs).toISOString(),
    },
    spec: { parentRef: { resource: 'services', namespace: 'n', name } },
  });
  const found = (services: Service[], addresses: IPAddress[]) =>
    planRepair(
      services as (Service & KubeObject)[],
      addresses as (IPAddress & KubeObject)[],
      (ip) => ip.startsWith('10.'),
      nowMs,
    ).map(({ type, ip, reason }) => `${type} ${ip} ${reason}`);
  test('what is as it should be', () => {
    expect(found([service('a', '10.0.0.1'), service('b', 'None')], [address('10.0.0.1', 'a')])).toEqual([]);
  });
  test('missing, of another, of two services, out of range', () => {
    const services = [service('a', '10.0.0.1'), service('b', '10.0.0.2'), service('c', '10.0.0.2', 'fd00::1')];
    expect(found(services, [address('10.0.0.2', 'gone')])).toEqual([
      'create 10.0.0.1 ClusterIPNotAllocated',
      'replace 10.0.0.2 ClusterIPNotAllocated',
      'tell 10.0.0.2 ClusterIPAlreadyAllocated',
      'tell fd00::1 ClusterIPOutOfRange',
    ]);
  });
  test('what is nobody’s goes after a minute; what people made stays', () => {
    const people = address('10.0.0.9', 'x');
    delete people.metadata.labels;
    expect(found([], [address('10.0.0.7', 'a'), address('10.0.0.8', 'a', leakAfterMs - 1), people])).toEqual([
      'remove 10.0.0.7 IPAddressNotAllocated',
    ]);
  });
});
