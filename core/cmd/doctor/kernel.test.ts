import { expect, test } from 'bun:test';
import { type Kernel, kernelChecks } from './kernel.ts';

const sound: Kernel = {
  forwarding: 'on',
  bridgeFilter: 'on',
  wireguard: { works: true, detail: 'the kernel of this host knows WireGuard' },
  vxlan: '',
  tun: true,
  tracked: { count: 10, max: 1000 },
};
const rows: [change: Partial<Kernel>, found: string[]][] = [
  [{}, []],
  [{ forwarding: 'off' }, []],
  [{ forwarding: 'fixed' }, ['forwarding: sysctl -w net.ipv4.ip_forward=1']],
  [{ bridgeFilter: 'off' }, []],
  [{ bridgeFilter: 'absent' }, ['bridge-nf: modprobe br_netfilter']],
  [{ wireguard: { works: false, detail: 'no', fix: 'modprobe wireguard' } }, ['wireguard: modprobe wireguard']],
  [{ vxlan: 'Error: Unknown device type.' }, ['vxlan: modprobe vxlan']],
  [{ tun: false }, ['tun: modprobe tun']],
  [{ tracked: { count: 900, max: 1000 } }, ['tracking: sysctl -w net.netfilter.nf_conntrack_max=2000']],
  [{ tracked: undefined }, ['tracking: modprobe nf_conntrack']],
];
for (const [change, found] of rows)
  test(`a kernel with ${JSON.stringify(change)}`, () => {
    const lacks = kernelChecks({ ...sound, ...change }).filter(({ state }) => state !== 'ok');
    expect(lacks.every(({ state }) => state === 'missing')).toBe(true); // one host runs all the same
    expect(lacks.map(({ name, fix }) => `${name}: ${fix}`)).toEqual(found.map((text) => expect.stringContaining(text)));
  });
