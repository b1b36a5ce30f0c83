import ipaddr from 'ipaddr.js';
import { PintleError } from '#base';

/** Inclusive numbers of an IPv4 range. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

const addressNumber = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const addressText = (value: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');

/** `10.0.0.0/8`, or one address. Undefined when it is no IPv4 range. */
export function spanOf(cidr: string): Span | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(cidr);
  const length = Number(match?.[5] ?? 32);
  if (!match || length > 32 || match.slice(1, 5).some((part) => Number(part) > 255)) return undefined;
  const size = 2 ** (32 - length);
  const first = Math.floor(addressNumber(cidr.split('/')[0]!) / size) * size;
  return { first, last: first + size - 1 };
}
export const overlaps = (a: Span, b: Span): boolean => a.first <= b.last && b.first <= a.last;
/** The first usable address of a range of either family: of services it is the API server's. */
export function firstAddress(cidr: string): string {
  if (!cidr.includes(':')) return nthAddress(cidr, 1);
  const bytes = ipaddr.IPv6.networkAddressFromCIDR(cidr).toByteArray();
  return new ipaddr.IPv6([...bytes.slice(0, -1), bytes.at(-1)! + 1]).toRFC5952String();
}
/** The n-th address of a range. */
export function nthAddress(cidr: string, n: number): string {
  return addressText(spanOf(cidr)!.first + n);
}

export interface Wanted {
  /** `10.244.0.0/16`, or with an IPv6 range behind a comma. */
  readonly podCidr?: string;
  /** One range, or one of each family with a comma: the first's is the one that services have unasked. */
  readonly serviceCidr?: string;
  readonly nodePorts?: string;
}
export interface Ranges {
  readonly podCidr: string;
  readonly podCidr6?: string;
  readonly serviceCidr: string;
  readonly nodePorts: string;
}

const candidatesMax = 60;

/** Addresses of 127.0.0.0/8, but for 127.0.0.x, that somebody listens on: from the text of /proc/net/tcp or udp. Pure. */
export function loopbackListeners(text: string): string[] {
  const found = new Set<string>();
  for (const match of text.matchAll(/^\s*\d+: ([0-9A-F]{6})7F:[0-9A-F]{4} [0-9A-F]{8}:[0-9A-F]{4} (?:0A|07)/gm)) {
    const [fourth, third, second] = match[1]!.match(/../g)!.map((hex) => Number.parseInt(hex, 16)) as [
      number,
      number,
      number,
    ]; // the kernel writes the last byte first
    if (second !== 0 || third !== 0) found.add(`127.${second}.${third}.${fourth}/32`);
  }
  return [...found];
}

/**
 * Picks ranges that nothing on this host uses. Explicit ones are checked, not changed.
 * `taken`: routes of the host and ranges of other homes; `loopback`: without root every address must come from 127.0.0.0/8,
 * tried from candidate `startAt` on, which differs between clusters.
 */
export function pickRanges(
  asked: Wanted,
  taken: { readonly cidrs: readonly string[]; readonly nodePorts: readonly string[] },
  loopback: boolean,
  startAt = 0,
): Ranges {
  const [podCidr4, podCidr6] = splitFamilies(asked.podCidr, loopback);
  const service = splitServices(asked.serviceCidr, loopback);
  const wanted = { ...asked, podCidr: podCidr4, serviceCidr: service.four };
  checkSix(service.six, podCidr6, asked);
  const used = taken.cidrs.map(spanOf).filter((span) => span !== undefined);
  const free = (cidr: string) => !used.some((span) => overlaps(span, spanOf(cidr)!));
  const candidates = (second: number) =>
    Array.from({ length: candidatesMax }, (_unused, index) =>
      loopback ? `127.${second - ((index + startAt) % candidatesMax)}.0.0/16` : `10.${second - index}.0.0/16`,
    );
  // Without root other users' clusters are known by their listeners only, and an idle one has none on its pods' range:
  // pod and service ranges go in pairs, and the API's service is always served.
  const alone = (cidr: string, index: number) => free(cidr) && (!loopback || free(candidates(96)[index]!));
  const podCidr = wanted.podCidr ? checkCidr('--pod-cidr', wanted.podCidr, 24, loopback) : candidates(244).find(alone);
  if (podCidr && spanOf(podCidr)) used.push(spanOf(podCidr)!);
  const isOnlySix = service.six !== undefined && !service.four;
  const serviceCidr = isOnlySix
    ? service.six
    : wanted.serviceCidr
      ? checkCidr('--service-cidr', wanted.serviceCidr, 28, loopback)
      : candidates(96).find(
          (cidr, index) => free(cidr) && (!loopback || wanted.podCidr || candidates(244)[index] === podCidr),
        );
  if (!podCidr || !serviceCidr)
    throw new PintleError(
      'NO_FREE_RANGE',
      'every candidate address range is in use on this host',
      'name free ranges with --pod-cidr and --service-cidr',
    );
  if (!isOnlySix && overlaps(spanOf(podCidr)!, spanOf(serviceCidr)!))
    throw new PintleError(
      'BAD_RANGE',
      `--pod-cidr ${podCidr} and --service-cidr ${serviceCidr} overlap`,
      'name two ranges that do not overlap',
    );
  for (const [flag, cidr] of [
    ['--pod-cidr', wanted.podCidr],
    ['--service-cidr', wanted.serviceCidr],
  ] as const) {
    const other = cidr && taken.cidrs.find((one) => spanOf(one) && overlaps(spanOf(one)!, spanOf(cidr)!));
    if (other)
      throw new PintleError(
        'RANGE_TAKEN',
        `${flag} ${cidr} overlaps ${other}, which this host or another cluster uses`,
        `leave ${flag} out, or name a free range`,
      );
  }
  const second = podCidr6 ? { podCidr6 } : {};
  const both = service.four && service.six ? [serviceCidr, service.six] : [serviceCidr];
  if (service.sixFirst) both.reverse();
  return { podCidr, ...second, serviceCidr: both.join(), nodePorts: pickNodePorts(wanted.nodePorts, taken.nodePorts) };
}

/** The ranges of pods of each family. An IPv6 one comes with an IPv4 one: services have IPv4 addresses. */
function splitFamilies(text: string | undefined, loopback: boolean): [string | undefined, string | undefined] {
  const [first, second, ...more] = text?.split(',') ?? [];
  if (second === undefined) return [first, undefined];
  const length = Number(second.split('/')[1]);
  if (more.length > 0 || !ipaddr.IPv6.isValidCIDR(second) || length > 112 || loopback)
    throw new PintleError(
      'BAD_RANGE',
      `--pod-cidr ${text}: the second range is no IPv6 range up to /112${loopback ? ', which needs root' : ''}`,
      'write both as 10.244.0.0/16,fd44::/48',
    );
  return [first, `${ipaddr.IPv6.networkAddressFromCIDR(second).toRFC5952String()}/${length}`];
}

interface ServiceFamilies {
  readonly four?: string;
  readonly six?: string;
  readonly sixFirst: boolean;
}
/** The ranges of services of each family, in either order; IPv6 may be alone. */
function splitServices(text: string | undefined, loopback: boolean): ServiceFamilies {
  const parts = text?.split(',') ?? [];
  const sixes = parts.filter((part) => part.includes(':'));
  const fours = parts.filter((part) => !part.includes(':'));
  if (sixes.length === 0 && fours.length < 2) return { four: fours[0], sixFirst: false };
  const [six = ''] = sixes;
  const length = Number(six.split('/')[1]);
  if (sixes.length > 1 || fours.length > 1 || !ipaddr.IPv6.isValidCIDR(six) || length < 64 || length > 120 || loopback)
    throw new PintleError(
      'BAD_RANGE',
      `--service-cidr ${text} is not one range of each family, the IPv6 one from /64 to /120${loopback ? ', which needs root' : ''}`,
      'write both as 10.96.0.0/16,fd96::/112',
    );
  const network = `${ipaddr.IPv6.networkAddressFromCIDR(six).toRFC5952String()}/${length}`;
  return { four: fours[0], six: network, sixFirst: parts[0] === six };
}

/** Services of IPv6 need pods of IPv6, elsewhere. */
function checkSix(service: string | undefined, pods: string | undefined, asked: Wanted): void {
  if (!service) return;
  if (!pods)
    throw new PintleError(
      'BAD_RANGE',
      `--service-cidr ${asked.serviceCidr}: services have IPv6 addresses only where pods have them`,
      'give pods a range of each family too: --pod-cidr 10.244.0.0/16,fd44::/48',
    );
  const [mine, theirs] = [ipaddr.IPv6.parseCIDR(service), ipaddr.IPv6.parseCIDR(pods)];
  if (mine[0].match(theirs) || theirs[0].match(mine))
    throw new PintleError(
      'BAD_RANGE',
      `--pod-cidr ${pods} and --service-cidr ${service} overlap`,
      'name two ranges that do not overlap',
    );
}

function checkCidr(flag: string, cidr: string, longest: number, loopback: boolean): string {
  const span = spanOf(cidr);
  const length = Number(cidr.split('/')[1] ?? 32);
  if (!span || length > longest || length < 8)
    throw new PintleError(
      'BAD_RANGE',
      `${flag} ${cidr} is not an IPv4 range between /8 and /${longest}`,
      `write it as 10.244.0.0/16`,
    );
  if (loopback && !cidr.startsWith('127.'))
    throw new PintleError(
      'BAD_RANGE',
      `${flag} ${cidr}: without root every address comes from 127.0.0.0/8`,
      'name a range such as 127.244.0.0/16, or run as root',
    );
  return `${addressText(span.first)}/${length}`;
}

// Below 32768: the kernel's ephemeral ports start there.
const block = (first: number, size: number): string => `${first}-${first + size - 1}`;
const nodePortBlocks = [
  ...[30_000, 27_000, 24_000, 21_000, 18_000, 15_000].map((first) => block(first, 2768)), // as wide as people know it
  ...Array.from({ length: 10 }, (_unused, index) => block(14_500 - index * 500, 500)), // where many clusters share a host
];
function pickNodePorts(wanted: string | undefined, taken: readonly string[]): string {
  const parse = (text: string): Span => {
    const [first, last] = text.split('-').map(Number);
    return { first: first!, last: last! };
  };
  if (wanted === undefined) {
    const free = nodePortBlocks.find((candidate) => !taken.some((other) => overlaps(parse(candidate), parse(other))));
    if (!free)
      throw new PintleError(
        'NO_FREE_RANGE',
        'every candidate node-port range belongs to another cluster',
        'name a free range with --node-ports FIRST-LAST',
      );
    return free;
  }
  const span = parse(wanted);
  if (!/^\d+-\d+$/.test(wanted) || span.first < 1 || span.last > 65535 || span.last <= span.first)
    throw new PintleError(
      'BAD_RANGE',
      `--node-ports ${wanted} is not FIRST-LAST within 1-65535`,
      'write it as 30000-32767',
    );
  const other = taken.find((one) => overlaps(parse(one), span));
  if (other)
    throw new PintleError(
      'RANGE_TAKEN',
      `--node-ports ${wanted} overlaps ${other} of another cluster on this host`,
      'leave --node-ports out, or name a free range',
    );
  return wanted;
}
