import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { type Exec, PintleError } from '#base';
import { probeWireguard } from '../../../net/wireguard/probe.ts';
import type { Check } from './checks.ts';

/** What the kernel of a host does for the network of pods. Read by `doctor` alone: it makes devices to see whether it can. */
export interface Kernel {
  /** `fixed`: off, and nobody here may turn it on, as in a container. */
  readonly forwarding: 'on' | 'off' | 'fixed';
  /** Whether packets between two ports of a bridge are shown to the firewall. */
  readonly bridgeFilter: 'on' | 'off' | 'absent';
  readonly wireguard: { readonly works: boolean; readonly detail: string; readonly fix?: string };
  /** Empty: it makes such devices; else what it complains of. */
  readonly vxlan: string;
  readonly tun: boolean;
  /** Connections that are tracked and how many can be. Absent: the kernel does not track any. */
  readonly tracked?: { readonly count: number; readonly max: number };
}

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
};
const isWritable = (path: string): boolean => {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
};

const forwardingPath = '/proc/sys/net/ipv4/ip_forward';
const bridgePath = '/proc/sys/net/bridge/bridge-nf-call-iptables';
/** As root. The devices that it makes for a moment carry this process's id. */
export async function inspectKernel(exec: Exec): Promise<Kernel> {
  const [wireguard, vxlan] = await Promise.all([wireguardOf(exec), vxlanOf(exec)]);
  const [count, max] = ['count', 'max'].map((what) => read(`/proc/sys/net/netfilter/nf_conntrack_${what}`));
  const filter = read(bridgePath);
  return {
    forwarding: read(forwardingPath) === '1' ? 'on' : isWritable(forwardingPath) ? 'off' : 'fixed',
    bridgeFilter: filter === undefined ? 'absent' : filter === '1' ? 'on' : 'off',
    wireguard,
    vxlan,
    tun: existsSync('/dev/net/tun'),
    ...(count && max ? { tracked: { count: Number(count), max: Number(max) } } : {}),
  };
}

async function wireguardOf(exec: Exec): Promise<Kernel['wireguard']> {
  try {
    return { works: true, detail: (await probeWireguard(exec, `pwd${process.pid}`)).why };
  } catch (error) {
    if (!(error instanceof PintleError)) throw error;
    return { works: false, detail: error.message, fix: error.next };
  }
}

async function vxlanOf(exec: Exec): Promise<string> {
  const name = `pvd${process.pid}`;
  const made = await exec.run(['ip', 'link', 'add', name, 'type', 'vxlan', 'id', '1', 'dstport', '0']);
  if (made.code === 0) await exec.run(['ip', 'link', 'delete', 'dev', name]);
  return made.code === 0 ? '' : made.stderr.trim().split('\n')[0] || `code ${made.code}`;
}

const nearlyFull = 0.8;
/** Judges a kernel. Nothing of it keeps a cluster of one host from running. Pure. */
export function kernelChecks({ forwarding, bridgeFilter, wireguard, vxlan, tun, tracked }: Kernel): Check[] {
  const check = (name: string, isOk: boolean, detail: string, fix?: string): Check =>
    isOk ? { name, state: 'ok', detail } : { name, state: 'missing', detail, ...(fix && { fix }) };
  const bridgeDetail = {
    on: 'packets between two pods of a host pass its rules',
    off: 'br_netfilter is there; network policies turn it on, and each bridge of ours for itself',
    absent:
      'br_netfilter is not loaded: pods of one host do not reach each other through services, and policies between them do not hold',
  }[bridgeFilter];
  const forwardingDetail = {
    on: 'the kernel forwards packets of pods',
    off: 'off; turned on with the first pod',
    fixed: 'off, and it cannot be turned on from here: pods reach nothing but this host',
  }[forwarding];
  const full = tracked && tracked.count > tracked.max * nearlyFull;
  return [
    check(
      'forwarding',
      forwarding !== 'fixed',
      forwardingDetail,
      'sysctl -w net.ipv4.ip_forward=1 on the machine itself',
    ),
    check(
      'bridge-nf',
      bridgeFilter !== 'absent',
      bridgeDetail,
      'modprobe br_netfilter, and its name in /etc/modules-load.d',
    ),
    check('wireguard', wireguard.works, wireguard.detail, wireguard.fix),
    check(
      'vxlan',
      vxlan === '',
      vxlan === ''
        ? 'the overlay can use it'
        : `the kernel makes no VXLAN device (${vxlan}): that backend cannot be used`,
      'modprobe vxlan; the backends wireguard and host-gw do without',
    ),
    check(
      'tun',
      tun,
      tun ? '/dev/net/tun is there' : 'no /dev/net/tun: WireGuard works only where the kernel knows it',
      'modprobe tun; in a container: --device /dev/net/tun',
    ),
    tracked
      ? check(
          'tracking',
          !full,
          `${tracked.count} of ${tracked.max} connections are tracked${full ? ': new ones are dropped when it is full' : ''}`,
          `sysctl -w net.netfilter.nf_conntrack_max=${tracked.max * 2}`,
        )
      : check(
          'tracking',
          false,
          'the kernel tracks no connections: services do not work with nftables',
          'modprobe nf_conntrack',
        ),
  ];
}
