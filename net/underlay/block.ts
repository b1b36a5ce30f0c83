/** Addresses of one lab: 32 IPv4 networks of 256, and an IPv6 network of the private kind made from the lab's id. */
export interface Block {
  /** `172.31.224.0/19` */
  readonly cidr: string;
  readonly cidr6: string;
}
export const networksPerBlock = 32; // a /19 in /24s

/** Candidates, from the far end of the range that private clouds and Docker use least. */
export const blockCandidates: readonly string[] = Array.from({ length: 16 * 8 }, (_unused, index) => {
  const second = 31 - Math.floor(index / 8);
  const third = (7 - (index % 8)) * networksPerBlock;
  return `172.${second}.${third}.0/19`;
});

export const blockOf = (cidr: string, id: string): Block => ({
  cidr,
  cidr6: `fd50:${id.slice(0, 4)}:${id.slice(4)}::/48`,
});

/** `172.31.230.11` for network 6, host 11. */
export function addressIn(block: Block, network: number, host: number): string {
  const [first, second, third] = block.cidr.split('.').map(Number);
  return `${first}.${second}.${third! + network}.${host}`;
}
/** `fd50:…:6::`, to be followed by the host's number. */
export const prefixOf = (block: Block, network: number): string =>
  block.cidr6.replace('::/48', `:${network.toString(16)}::`);
