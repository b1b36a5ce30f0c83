import { type HostAddress, ranges } from '#sdk';

const { contains, isReachableAddress, networkOf, overlaps, parseCidr } = ranges;

export interface Place {
  /** Of this host on the network between the hosts. */
  readonly endpoint: string;
  readonly link?: string;
  readonly mtuBytes: number;
}
const mtuBytesDefault = 1_500;
const addressOf = ({ cidr }: HostAddress): string => cidr.split('/')[0]!;

/**
 * Where this host stands: at the address it was made known by as long as it has it; else at another of the same link, for
 * its address has changed; else at any that others can reach. Never at an address of its pods. Pure.
 */
export function placeOf(
  nodeIp: string,
  links: readonly HostAddress[],
  ranges: readonly string[],
  formerLink?: string,
): Place {
  const pods = ranges.flatMap((range) => parseCidr(range) ?? []);
  const usable = links.filter((one) => {
    const address = networkOf(`${addressOf(one)}/${addressOf(one).includes(':') ? 128 : 32}`);
    return address && isReachableAddress(addressOf(one)) && !pods.some((range) => contains(range, address));
  });
  const family = nodeIp.includes(':');
  const fitting = usable.filter((one) => addressOf(one).includes(':') === family);
  const found =
    usable.find((one) => addressOf(one) === nodeIp) ??
    fitting.find(({ link }) => link === formerLink) ??
    fitting[0] ??
    usable[0];
  return found
    ? { endpoint: addressOf(found), link: found.link, mtuBytes: found.mtuBytes }
    : { endpoint: nodeIp, mtuBytes: mtuBytesDefault };
}

/** Networks of this host that the cluster's pods would hide: `eth1 10.44.0.0/20`. Its own subnets are meant to be here. Pure. */
export function hiddenNetworks(
  links: readonly HostAddress[],
  ranges: readonly string[],
  subnets: readonly string[],
): readonly string[] {
  const [pods, own] = [ranges, subnets].map((list) => list.flatMap((text) => parseCidr(text) ?? []));
  const found = links.flatMap(({ link, cidr }) => {
    const around = networkOf(cidr);
    if (!around || own!.some((subnet) => contains(subnet, around))) return [];
    // A bridge may have the whole range of the cluster on it, with an address out of this host's subnet.
    const [address = ''] = cidr.split('/');
    const host = networkOf(`${address}/${address.includes(':') ? 128 : 32}`)!;
    if (own!.some((subnet) => contains(subnet, host))) return [];
    return pods!.some((range) => overlaps(range, around)) ? [`${link} ${cidr}`] : [];
  });
  return [...new Set(found)];
}
