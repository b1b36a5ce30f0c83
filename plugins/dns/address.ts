/** 4 or 6 for an address in its usual text, else 0. IPv6 may end in an IPv4 address; zones (%eth0) are no part of one. */
export function familyOf(text: string): 0 | 4 | 6 {
  return isFour(text) ? 4 : bytesOfSix(text) ? 6 : 0;
}

const isFour = (text: string): boolean => {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
};

/** Four or sixteen bytes; undefined for what is no address. */
export const bytesOf = (text: string): Uint8Array | undefined =>
  isFour(text) ? Uint8Array.from(text.split('.'), Number) : bytesOfSix(text);

function bytesOfSix(text: string): Uint8Array | undefined {
  if (!text.includes(':') || text.length > 45) return undefined;
  const last = text.slice(text.lastIndexOf(':') + 1);
  const plain = isFour(last) ? text.slice(0, -last.length) + hexOf(last) : text;
  const halves = plain.split('::');
  if (halves.length > 2) return undefined;
  const [left, right] = halves.map((half) => (half === '' ? [] : half.split(':'))) as [string[], string[] | undefined];
  const given = [...left, ...(right ?? [])];
  if (given.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const zeros = 8 - given.length;
  if (right === undefined ? zeros !== 0 : zeros < 1) return undefined;
  const groups = [...left, ...Array<string>(right === undefined ? 0 : zeros).fill('0'), ...(right ?? [])];
  return Uint8Array.from(
    groups.flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 255];
    }),
  );
}
function hexOf(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** The one form of an address by which it can be looked up (RFC 5952 for IPv6); undefined for what is none. */
export function plainAddress(text: string): string | undefined {
  const bytes = bytesOf(text);
  if (bytes?.length !== 16) return bytes && text;
  const groups = Array.from({ length: 8 }, (_unused, index) => (bytes[index * 2]! << 8) | bytes[index * 2 + 1]!);
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
