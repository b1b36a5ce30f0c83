import type { Exec } from '#base';
import { listJson, mustBatch } from './batch.ts';

/** A device as it is to be, once somebody made it. */
export interface WantedDevice {
  readonly name: string;
  readonly mtuBytes: number;
  /** Single addresses (no prefix). */
  readonly addresses: readonly string[];
  readonly mac?: string;
}
interface LinkRow {
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly address?: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

/** Undefined when there is none of that name. */
export async function readDevice(exec: Exec, name: string): Promise<LinkRow | undefined> {
  return (await listJson<LinkRow>(exec, ['ip', '-j', '-d', 'address', 'show', 'dev', name])).find(
    (row) => row.ifname === name,
  );
}

const hostPrefix = (ip: string): string => `${ip}/${ip.includes(':') ? 128 : 32}`;

/** For `ip -batch`: what is missing on the device; nothing when it is as wanted. Pure. */
export function deviceCommands(wanted: WantedDevice, present: LinkRow): string[] {
  const { name } = wanted;
  const held = (present.addr_info ?? [])
    .filter(({ scope }) => scope === 'global')
    .map((each) => `${each.local}/${each.prefixlen}`);
  const addresses = wanted.addresses.map(hostPrefix);
  return [
    ...(wanted.mac && present.address !== wanted.mac ? [`link set dev ${name} address ${wanted.mac}`] : []),
    ...(present.mtu === wanted.mtuBytes ? [] : [`link set dev ${name} mtu ${wanted.mtuBytes}`]),
    ...addresses
      .filter((address) => !held.includes(address))
      .map((address) => `address replace ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`),
    ...held.filter((address) => !addresses.includes(address)).map((address) => `address delete ${address} dev ${name}`),
    ...(present.flags.includes('UP') ? [] : [`link set dev ${name} up`]),
  ];
}

/**
 * Brings a device that exists to what is wanted of it. Loose reverse-path filtering: while routes move from one device to
 * another, packets still come by the old one. True when something was mended.
 */
export async function settleDevice(exec: Exec, wanted: WantedDevice, present: LinkRow): Promise<boolean> {
  const commands = deviceCommands(wanted, present);
  if (commands.length === 0) return false;
  await mustBatch(exec, 'ip', commands);
  await exec.run(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', `net/ipv4/conf/${wanted.name}/rp_filter=2`]);
  if (wanted.addresses.some((ip) => ip.includes(':')))
    await exec.run(['sysctl', '-q', '-w', 'net.ipv6.conf.all.forwarding=1']);
  return true;
}

/** Also when it is gone already. */
export async function removeDevice(exec: Exec, name: string): Promise<void> {
  const removed = await exec.run(['ip', 'link', 'delete', 'dev', name]);
  if (removed.code !== 0 && !/Cannot find device|does not exist/.test(removed.stderr))
    throw new Error(`cannot remove the device ${name}: ${removed.stderr.trim()}`);
}
