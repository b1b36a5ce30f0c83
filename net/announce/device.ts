import ipaddr from 'ipaddr.js';
import type { Exec, Log } from '#base';
import type { AddressAnnouncer } from '../announcer.ts';
import { listJson, mustBatch } from '../link/batch.ts';
import { removeDevice } from '../link/device.ts';
import { announcement } from './frames.ts';
import { type SendFrame, sendFrame } from './packet-socket.ts';

export interface AnnouncerOptions {
  /** Of this cluster on this host; no other has it. */
  readonly device: string;
  readonly exec: Exec;
  readonly log: Log;
  readonly send?: SendFrame;
}
interface LinkRow {
  readonly ifindex: number;
  readonly ifname: string;
  readonly address?: string;
  readonly flags: readonly string[];
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[];
}
/** Neighbours that missed the first one hear another. */
const timesTold = 3;

/**
 * The addresses are on a bridge without ports: the kernel answers ARP for an address of any of its devices. IPv6 asks for
 * more, an entry among the proxied neighbours of the link itself. The bridge is also what a later start knows them by.
 */
export function createAnnouncer({ device, exec, log, send = sendFrame }: AnnouncerOptions): AddressAnnouncer {
  const told = new Map<string, number>();
  return {
    async hold(ips, nodeIp) {
      const links = await listJson<LinkRow>(exec, ['ip', '-j', 'address', 'show']);
      const present = links.find(({ ifname }) => ifname === device);
      if (!present && ips.length === 0) return;
      const served = links.filter((link) => link.ifname !== device && link.flags.includes('UP'));
      const proxied = await listJson<{ dst: string; dev: string }>(exec, ['ip', '-j', '-6', 'neigh', 'show', 'proxy']);
      const commands = planHold({ device, nodeIp, ips, present, links: served, proxied });
      await mustBatch(exec, 'ip', commands);
      for (const { ifname } of ips.some((ip) => ip.includes(':')) ? linksOf6(served, nodeIp, ips) : [])
        await exec.run(['sysctl', '-q', '-w', `net/ipv6/conf/${ifname}/proxy_ndp=1`, 'net/ipv6/conf/all/forwarding=1']);
      for (const ip of told.keys()) if (!ips.includes(ip)) told.delete(ip);
      for (const ip of ips) tell(ip, linksFor(served, nodeIp, ip));
      if (ips.length === 0) await removeDevice(exec, device);
    },
    async purge() {
      await this.hold([], '');
    },
  };

  function tell(ip: string, links: readonly LinkRow[]): void {
    const times = told.get(ip) ?? 0;
    if (times >= timesTold) return;
    told.set(ip, times + 1);
    for (const { ifindex, address, ifname } of links)
      try {
        if (address) send(ifindex, announcement(ip, address));
      } catch (error) {
        if (times === 0) log.warn('neighbours were not told of an address', { ip, link: ifname, error: String(error) });
      }
  }
}

/** The links on which neighbours look for an address: those whose network it is in, and the one by which the host is known. Pure. */
export function linksFor(links: readonly LinkRow[], nodeIp: string, ip: string): LinkRow[] {
  const address = ipaddr.parse(ip);
  return links.filter(({ flags, addr_info = [] }) => {
    if (flags.includes('LOOPBACK') || !flags.includes('BROADCAST')) return false;
    return addr_info.some(({ local, prefixlen }) => {
      if (local === nodeIp) return true;
      const own = ipaddr.parse(local);
      return own.kind() === address.kind() && address.match(own as ipaddr.IPv4, prefixlen);
    });
  });
}
const linksOf6 = (links: readonly LinkRow[], nodeIp: string, ips: readonly string[]): LinkRow[] =>
  links.filter((link) => ips.some((ip) => ip.includes(':') && linksFor([link], nodeIp, ip).length > 0));

interface Hold {
  readonly device: string;
  readonly nodeIp: string;
  readonly ips: readonly string[];
  readonly present: LinkRow | undefined;
  readonly links: readonly LinkRow[];
  readonly proxied: readonly { readonly dst: string; readonly dev: string }[];
}
/** For `ip -batch`; nothing when all is as wanted. Pure. */
export function planHold({ device, nodeIp, ips, present, links, proxied }: Hold): string[] {
  const held = (present?.addr_info ?? []).filter(({ local }) => !local.startsWith('fe80:')).map(({ local }) => local);
  const gone = held.filter((ip) => !ips.includes(ip));
  const entries = ips.flatMap((ip) =>
    ip.includes(':') ? linksFor(links, nodeIp, ip).map(({ ifname }) => ({ dst: ip, dev: ifname })) : [],
  );
  const has = (list: Hold['proxied'], { dst, dev }: Hold['proxied'][number]) =>
    list.some((one) => one.dst === dst && one.dev === dev);
  const bits = (ip: string) => (ip.includes(':') ? 128 : 32);
  return [
    ...(present ? [] : [`link add name ${device} type bridge`]),
    ...(present?.flags.includes('UP') ? [] : [`link set dev ${device} up`]),
    ...gone.map((ip) => `address delete ${ip}/${bits(ip)} dev ${device}`),
    ...ips
      .filter((ip) => !held.includes(ip))
      .map((ip) => `address add ${ip}/${bits(ip)} dev ${device}${ip.includes(':') ? ' nodad' : ''}`),
    // What is no longer held is known by the bridge; entries of others are left alone.
    ...proxied.filter((one) => gone.includes(one.dst)).map(({ dst, dev }) => `neigh delete proxy ${dst} dev ${dev}`),
    ...entries.filter((one) => !has(proxied, one)).map(({ dst, dev }) => `neigh add proxy ${dst} dev ${dev}`),
  ];
}
