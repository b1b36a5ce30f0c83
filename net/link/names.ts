import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** The host's end of a pod's link: 14 characters of the 15 that the kernel takes, the same for the same pod. */
export const vethName = (podUid: string): string => `pv${createHash('sha1').update(podUid).digest('hex').slice(0, 12)}`;

/** A locally administered address made from an IP, so that a bridge keeps its own whatever joins it. */
export function macOfIp(ip: string): string {
  const four = isIPv4(ip)
    ? ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))
    : createHash('sha1').update(ip).digest('hex').slice(0, 8).match(/../g)!;
  return `0a:58:${four.join(':')}`;
}

/** What `ip` takes to name a namespace: the pid in `/proc/PID/ns/net`, or the name of one in /run/netns. */
export function netnsReference(path: string): string {
  const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1];
  if (pid) return pid;
  const name = /^(?:\/var)?\/run\/netns\/([\w.-]+)$/.exec(path)?.[1];
  if (name) return name;
  throw new Error(`${path} names no network namespace: /proc/PID/ns/net or /run/netns/NAME is wanted`);
}

/** The IPv6 address that a device with this hardware address gives itself (EUI-64). */
export function linkLocalOfMac(mac: string): string {
  const bytes = mac.split(':').map((part) => Number.parseInt(part, 16));
  const [a, b, c, d, e, f] = bytes as [number, number, number, number, number, number];
  const words = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return ipaddr.IPv6.parse(`fe80::${words.map((word) => word.toString(16)).join(':')}`).toRFC5952String();
}
