import { expect, test } from 'bun:test';
import { failuresOf } from './device.ts';
import { deviceName, dropTable, macOf, type ObservedWork, planWork, routeProtocol } from './plan.ts';

const owner = { id: 'c/n1/tunnels/vx' };
const vx = deviceName(owner, 'vx');
const scope = { owner, endpoint: '192.0.2.1', underlayMtuBytes: 1_500 };
const nothing: ObservedWork = { links: [], addresses: [], routes: [], neighbours: [], forwarding: [] };
const link = { name: 'vx', type: 'vxlan', vni: 7, port: 8_472 } as const;
const there = {
  device: vx,
  kind: 'vxlan',
  mac: macOf(owner, 'vx'),
  mtuBytes: 1_450,
  isUp: true,
  vni: 7,
  port: 8_472,
  local: '192.0.2.1',
};
const proto = `proto ${routeProtocol(owner)}`;
const work = {
  links: [link],
  addresses: [{ link: 'vx', address: '10.244.1.0' }],
  routes: [{ to: '10.244.2.0/24', link: 'vx', via: '10.244.2.0' }],
  neighbours: [{ link: 'vx', ip: '10.244.2.0', mac: '0a:00:00:00:00:02' }],
  forwarding: [{ link: 'vx', mac: '0a:00:00:00:00:02', to: '192.0.2.2' }],
};
const inForce: ObservedWork = {
  links: [there],
  addresses: [`${vx} 10.244.1.0/32`],
  routes: [{ to: '10.244.2.0/24', device: vx, via: '10.244.2.0' }],
  neighbours: [`${vx} 10.244.2.0 0a:00:00:00:00:02`],
  forwarding: [`${vx} 0a:00:00:00:00:02 192.0.2.2`],
};

test('from nothing to all of it, and then to nothing to do', () => {
  expect(planWork(work, nothing, scope)).toEqual({
    ip: [
      `link add ${vx} mtu 1450 address ${there.mac} type vxlan id 7 dstport 8472 local 192.0.2.1 nolearning`,
      `link set ${vx} up`,
      `addr replace 10.244.1.0/32 dev ${vx}`,
      `neigh replace 10.244.2.0 lladdr 0a:00:00:00:00:02 dev ${vx} nud permanent`,
      `route replace 10.244.2.0/24 via 10.244.2.0 dev ${vx} onlink ${proto}`,
    ],
    bridge: [`fdb replace 0a:00:00:00:00:02 dev ${vx} dst 192.0.2.2 self permanent`],
  });
  expect(planWork(work, inForce, scope)).toEqual({ ip: [], bridge: [] });
});

test('what is wanted no more goes; a route that changes is replaced in place; the rest is not touched', () => {
  const moved = { ...work, routes: [{ to: '10.244.2.0/24', via: '192.0.2.2' }], neighbours: [], forwarding: [] };
  expect(planWork(moved, inForce, scope)).toEqual({
    ip: [`neigh del 10.244.2.0 dev ${vx}`, `route replace 10.244.2.0/24 via 192.0.2.2 ${proto}`],
    bridge: [`fdb del 0a:00:00:00:00:02 dev ${vx} dst 192.0.2.2 self`],
  });
  expect(planWork({}, inForce, { ...scope, keepsRest: true })).toEqual({ ip: [], bridge: [] });
  expect(planWork({}, inForce, scope).ip).toContain(`link del ${vx}`);
});

test('a device that somebody changed is made anew with all that it had; an MTU is set in place', () => {
  const wrong = { ...inForce, links: [{ ...there, vni: 8 }] };
  const plan = planWork(work, wrong, scope);
  expect(plan.ip.slice(0, 2).map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
    `link del ${vx}`,
    `link add ${vx}`,
  ]);
  expect([plan.ip.length, plan.bridge.length]).toEqual([6, 1]);
  expect(planWork({ ...work, links: [{ ...link, mtuBytes: 1_400 }] }, inForce, scope).ip).toEqual([
    `link set ${vx} mtu 1400`,
  ]);
});

test('drops have a table of their own, which goes with the last of them', () => {
  expect(dropTable(owner, [])).toMatch(/^add table inet pintle_work_\w+\ndelete table inet pintle_work_\w+\n$/);
  const text = dropTable(owner, [
    { direction: 'from', range: '10.244.9.0/24' },
    { direction: 'to', range: 'fd00:9::/64' },
  ]);
  expect(text).toContain('ip saddr @from_ip drop');
  expect(text).toContain('ip6 daddr @to_ip6 drop');
});

test('a complaint belongs to the line in front of whose number it stands', () => {
  const stderr =
    'Error: Nexthop has invalid gateway.\nCommand failed -:2\nCannot find device "x"\nCommand failed -:3\n';
  expect(failuresOf(['a', 'b', 'c'], stderr)).toEqual([
    { line: 'b', why: 'Error: Nexthop has invalid gateway.' },
    { line: 'c', why: 'Cannot find device "x"' },
  ]);
});
