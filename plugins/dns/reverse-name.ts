import { isIPv4, isIPv6 } from 'node:net';

/** The address that `4.3.2.1.in-addr.arpa` or a name of ip6.arpa asks about, in the form that objects have it; else undefined. */
export function addressOfReverse(name: string): string | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const text = name.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.');
    return isIPv4(text) ? text : undefined;
  }
  if (!name.endsWith('.ip6.arpa')) return undefined;
  const digits = name.slice(0, -'.ip6.arpa'.length).split('.').reverse();
  if (digits.length !== 32 || digits.some((digit) => !/^[0-9a-f]$/.test(digit))) return undefined;
  const groups = digits.join('').match(/.{4}/g)!.join(':');
  return isIPv6(groups) ? shortened(groups) : undefined;
}

/** RFC 5952: no leading zeros, the longest run of zero groups as two colons. */
export function shortened(full: string): string {
  const groups = full.split(':').map((group) => Number.parseInt(group, 16));
  let best = { at: -1, size: 1 };
  for (let at = 0; at < 8; at++) {
    let size = 0;
    while (groups[at + size] === 0) size++;
    if (size > best.size) best = { at, size };
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (best.at < 0) return hex(groups);
  return `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.size))}`;
}
