import type { Clock } from '#sdk';
import { familyOf } from './address.ts';

const lookAgainMs = 1_000;
const rememberedMax = 4_096;

const numberOf = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

/** Whether an IPv4 address lies in a range such as 10.244.0.0/16. */
export function isInRange(address: string, cidr: string): boolean {
  const [base = '', bits = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(bits));
  return familyOf(address) === 4 && Math.floor(numberOf(address) / size) === Math.floor(numberOf(base) / size);
}

/**
 * Who may ask: pods, and programs of this host. A server that anybody can reach lends itself to attacks on others
 * (small questions with a forged sender, large answers), and its cache is easier to poison.
 */
export function createAskers(ranges: readonly string[], clock: Clock, own: () => readonly string[]) {
  let hosts = new Set(own());
  let lookedMs = clock.monotonicMs();
  const known = new Map<string, boolean>();
  return (address: string): boolean => {
    const found = known.get(address);
    if (found !== undefined) return found;
    const plain = address.replace(/^::ffff:/, '');
    const inRange = plain.startsWith('127.') || plain === '::1' || ranges.some((range) => isInRange(plain, range));
    if (!inRange && !hosts.has(plain) && clock.monotonicMs() - lookedMs > lookAgainMs) {
      hosts = new Set(own()); // a link may have come
      lookedMs = clock.monotonicMs();
    }
    const may = inRange || hosts.has(plain);
    if (known.size >= rememberedMax) known.clear();
    if (inRange) known.set(address, may);
    return may;
  };
}
