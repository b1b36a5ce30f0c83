import { networkInterfaces } from 'node:os';
import { PintleError } from '#base';
import { canonicalCidr, cidrContains } from '../../net/cidr.ts';
import type { UpOptions } from './decide.ts';
import type { Config } from './home.ts';

export type ServiceFlags = Pick<UpOptions, 'externalIps' | 'nodePortAddresses'>;

/** What was said about services outside of the cluster; nothing else. Throws BAD_RANGE. */
export function serviceSettingsOf({ externalIps, nodePortAddresses }: ServiceFlags): Partial<Config> {
  return {
    ...(externalIps && { externalIps: externalIps === 'on' ? true : undefined }),
    ...(nodePortAddresses && {
      nodePortAddresses: nodePortAddresses === 'all' ? undefined : nodePortAddresses.split(',').map(rangeOf),
    }),
  };
}
function rangeOf(text: string): string {
  const bare = text.trim();
  const range = canonicalCidr(bare.includes('/') ? bare : `${bare}/${bare.includes(':') ? 128 : 32}`);
  if (range !== undefined) return range;
  throw new PintleError(
    'BAD_RANGE',
    `--node-port-addresses ${bare} is no range of addresses`,
    'name ranges such as 192.0.2.0/24, with commas between them, or all',
  );
}

/** Addresses that this host has now in one of the ranges; undefined: no ranges were named. */
export function addressesWithin(ranges: readonly string[] | undefined): string[] | undefined {
  if (!ranges) return undefined;
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  return all.map(({ address }) => address).filter((ip) => ranges.some((range) => cidrContains(range, ip)));
}
