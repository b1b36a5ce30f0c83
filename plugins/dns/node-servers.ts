import { familyOf } from './address.ts';
import type { Upstream } from './upstream.ts';

const serversMax = 3; // what a C library reads

/** Name servers of a resolv.conf, without ourselves: a server that asks itself answers nobody. */
export const parseNameservers = (text: string, ownAddress: string): Upstream[] =>
  [...text.matchAll(/^\s*nameserver\s+([0-9A-Fa-f.:]+)/gm)]
    .map((match) => match[1]!)
    .filter((ip) => familyOf(ip) > 0 && ip !== ownAddress)
    .slice(0, serversMax)
    .map((ip) => ({ ip, port: 53 }));
