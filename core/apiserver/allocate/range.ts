/** IPv4 ranges as numbers. */
export interface Range {
  readonly first: number;
  readonly last: number;
}
export const addressNumber = (text: string): number | undefined => {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const parts = match?.slice(1).map(Number);
  return parts?.every((part) => part <= 255) ? parts.reduce((sum, part) => sum * 256 + part, 0) : undefined;
};
export const addressText = (value: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');

/** Usable addresses of a CIDR: without the network's own and the broadcast address. Throws for what is no IPv4 CIDR of /8 to /30. */
export function rangeOf(cidr: string): Range {
  const [address = '', bits = ''] = cidr.split('/');
  const base = addressNumber(address);
  const length = Number(bits);
  if (base === undefined || !Number.isInteger(length) || length < 8 || length > 30) {
    throw new Error(`${cidr} is no IPv4 range of /8 to /30`);
  }
  const size = 2 ** (32 - length);
  const network = base - (base % size);
  return { first: network + 1, last: network + size - 2 };
}
export const firstAddress = (cidr: string): string => addressText(rangeOf(cidr).first);
export const holds = (range: Range, value: number): boolean => value >= range.first && value <= range.last;
