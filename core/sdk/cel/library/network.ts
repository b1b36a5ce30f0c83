import ipaddr from 'ipaddr.js';
import { global, method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import { CelOpaque, failure, type Value } from '../values.ts';

const ipName = 'net.IP';
const cidrName = 'net.CIDR';
const urlName = 'kubernetes.URL';
const ip = t.opaque(ipName);
const cidr = t.opaque(cidrName);
const url = t.opaque(urlName);
const parsing = { cost: (size = 0) => Math.ceil(size * 0.1) };

type Address = ipaddr.IPv4 | ipaddr.IPv6;
interface Block {
  readonly address: Address;
  readonly bits: number;
}
/** Four decimal parts without leading zeros, or IPv6 that is neither zoned nor a mapped IPv4. */
function readAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return /(^|\.)0\d/.test(text) ? undefined : ipaddr.IPv4.parse(text);
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? undefined : address;
}
const addressText = (address: Address): string =>
  address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
const ipOf = (address: Address): CelOpaque => new CelOpaque(ipName, address, addressText(address));
function parseIp(text: string): CelOpaque {
  const address = readAddress(text);
  if (!address) throw failure(`IP Address "${text}" parse error during conversion from string`);
  return ipOf(address);
}
const addressOf = (value: CelOpaque): Address => value.data as Address;
const isRange =
  (...ranges: string[]) =>
  (value: CelOpaque): boolean =>
    ranges.includes(addressOf(value).range());
const isMulticastLinkLocal = (value: CelOpaque): boolean => {
  const bytes = addressOf(value).toByteArray();
  return bytes.length === 4
    ? bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0
    : bytes[0] === 0xff && (bytes[1]! & 0xf) === 2;
};
const isGlobal = (value: CelOpaque): boolean =>
  !['unspecified', 'loopback', 'multicast', 'linkLocal', 'broadcast'].includes(addressOf(value).range());

function readBlock(text: string): Block | undefined {
  const [base, length, more] = text.split('/') as [string, string?, string?];
  const address = readAddress(base);
  if (!address || length === undefined || more !== undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const bits = Number(length);
  return bits <= address.toByteArray().length * 8 ? { address, bits } : undefined;
}
const cidrOf = (block: Block): CelOpaque =>
  new CelOpaque(cidrName, block, `${addressText(block.address)}/${block.bits}`);
function parseCidr(text: string): CelOpaque {
  const block = readBlock(text);
  if (!block) throw failure(`network address parse error during conversion from string: ${text} is no CIDR`);
  return cidrOf(block);
}
const blockOf = (value: CelOpaque): Block => value.data as Block;
function masked({ address, bits }: Block): Block {
  const bytes = address
    .toByteArray()
    .map((byte, i) => byte & (0xff << Math.max(0, Math.min(8, (i + 1) * 8 - bits))) & 0xff);
  return { address: ipaddr.fromByteArray(bytes), bits };
}
const contains = (block: Block, address: Address, bits: number): boolean =>
  block.address.kind() === address.kind() &&
  bits >= block.bits &&
  (address.match as (other: Address, bits: number) => boolean)(block.address, block.bits);
const lengthOf = (address: Address): number => address.toByteArray().length * 8;
/** The bytes of the block's prefix twice, once more to mask a block, and a text to parse. */
const containing = (isBlock: boolean, isText: boolean) => ({
  weigh(block: Value, other: Value): number {
    const bytes = Math.ceil(blockOf(block as CelOpaque).bits / 8);
    const parsing = isText ? Math.ceil(String(other).length * 0.1) : 0;
    return Math.ceil(bytes * 0.2) + (isBlock ? Math.ceil(bytes * 0.1) + 1 : 0) + parsing;
  },
});

function readUrl(text: string): URL | undefined {
  try {
    if (/^\/[^/]?/.test(text) || text === '/') return new URL(text, 'relative://'); // an absolute path
    return /^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(text) ? new URL(text) : undefined;
  } catch {
    return undefined;
  }
}
function parseUrl(text: string): CelOpaque {
  const read = readUrl(text);
  if (!read) throw failure(`URL parse error during conversion from string: parse "${text}": invalid URI for request`);
  return new CelOpaque(urlName, { read, text }, text);
}
const ofUrl = (name: string, get: (read: URL, text: string) => Value, result: t.Type = t.string): Overload =>
  method(name, [url], result, (value: CelOpaque) => {
    const { read, text } = value.data as { read: URL; text: string };
    return get(read, text);
  });
const isRelative = (read: URL): boolean => read.protocol === 'relative:';
/** Authority and path as written: the URL class would drop default ports and turn names to lower case. */
const writtenHost = (text: string): string => /^[^/?#]*\/\/(?:[^/?#@]*@)?([^/?#]*)/.exec(text)?.[1] ?? '';
const writtenPath = (text: string): string => /^(?:[^/?#]*\/\/[^/?#]*|[a-zA-Z][^/?#]*:)?([^?#]*)/.exec(text)?.[1] ?? '';
const queryOf = (read: URL): Map<Value, Value> => {
  const query = new Map<Value, string[]>();
  for (const [key, value] of read.searchParams) query.set(key, [...(query.get(key) ?? []), value]);
  return query as Map<Value, Value>;
};

export const network: readonly Overload[] = [
  global('ip', [t.string], ip, parseIp, parsing),
  global('isIP', [t.string], t.bool, (text: string) => readAddress(text) !== undefined, parsing),
  global('ip.isCanonical', [t.string], t.bool, (text: string) => parseIp(text).text === text, {
    cost: (size = 0) => Math.ceil(size * 0.2),
  }),
  global('string', [ip], t.string, (value: CelOpaque) => value.text),
  method('family', [ip], t.int, (value: CelOpaque) => (addressOf(value).kind() === 'ipv4' ? 4 : 6)),
  method('isUnspecified', [ip], t.bool, isRange('unspecified')),
  method('isLoopback', [ip], t.bool, isRange('loopback')),
  method('isLinkLocalUnicast', [ip], t.bool, isRange('linkLocal')),
  method('isLinkLocalMulticast', [ip], t.bool, isMulticastLinkLocal),
  method('isGlobalUnicast', [ip], t.bool, isGlobal),
  global('cidr', [t.string], cidr, parseCidr, parsing),
  global('isCIDR', [t.string], t.bool, (text: string) => readBlock(text) !== undefined, parsing),
  global('string', [cidr], t.string, (value: CelOpaque) => value.text),
  method('ip', [cidr], ip, (value: CelOpaque) => ipOf(blockOf(value).address)),
  method('prefixLength', [cidr], t.int, (value: CelOpaque) => blockOf(value).bits),
  method('masked', [cidr], cidr, (value: CelOpaque) => cidrOf(masked(blockOf(value)))),
  method(
    'containsIP',
    [cidr, ip],
    t.bool,
    (a: CelOpaque, b: CelOpaque) => contains(blockOf(a), addressOf(b), lengthOf(addressOf(b))),
    containing(false, false),
  ),
  method(
    'containsIP',
    [cidr, t.string],
    t.bool,
    (a: CelOpaque, b: string) => {
      const address = addressOf(parseIp(b));
      return contains(blockOf(a), address, lengthOf(address));
    },
    containing(false, true),
  ),
  method(
    'containsCIDR',
    [cidr, cidr],
    t.bool,
    (a: CelOpaque, b: CelOpaque) => contains(blockOf(a), blockOf(b).address, blockOf(b).bits),
    containing(true, false),
  ),
  method(
    'containsCIDR',
    [cidr, t.string],
    t.bool,
    (a: CelOpaque, b: string) => {
      const block = blockOf(parseCidr(b));
      return contains(blockOf(a), block.address, block.bits);
    },
    containing(true, true),
  ),
  global('url', [t.string], url, parseUrl, parsing),
  global('isURL', [t.string], t.bool, (text: string) => readUrl(text) !== undefined),
  ofUrl('getScheme', (read) => (isRelative(read) ? '' : read.protocol.slice(0, -1))),
  ofUrl('getHost', (read, text) => (isRelative(read) ? '' : writtenHost(text))),
  ofUrl('getHostname', (read, text) =>
    isRelative(read)
      ? ''
      : writtenHost(text)
          .replace(/:\d*$/, '')
          .replace(/^\[|\]$/g, ''),
  ),
  ofUrl('getPort', (read, text) => (isRelative(read) ? '' : (/:(\d*)$/.exec(writtenHost(text))?.[1] ?? ''))),
  ofUrl('getEscapedPath', (_read, text) => encodeURI(decodeSafely(writtenPath(text)))),
  ofUrl('getQuery', (read) => queryOf(read), t.map(t.string, t.list(t.string))),
];
function decodeSafely(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}
