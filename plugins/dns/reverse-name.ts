import { familyOf, plainAddress } from './address.ts';

/** The address that `4.3.2.1.in-addr.arpa` or a name of ip6.arpa asks about, in the form that objects have it; else undefined. */
export function addressOfReverse(name: string): string | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const text = name.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.');
    return familyOf(text) === 4 ? text : undefined;
  }
  if (!name.endsWith('.ip6.arpa')) return undefined;
  const digits = name.slice(0, -'.ip6.arpa'.length).split('.').reverse();
  if (digits.length !== 32 || digits.some((digit) => !/^[0-9a-f]$/.test(digit))) return undefined;
  return plainAddress(digits.join('').match(/.{4}/g)!.join(':'));
}
