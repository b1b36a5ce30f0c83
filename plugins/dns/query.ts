/** Numbers of RFC 1035 and its successors, as far as this server has to know them. */
export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;
export const codes = {
  ok: 0,
  format: 1,
  failure: 2,
  noName: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;
export const classIn = 1;

export const headerBytes = 12;
/** What every resolver takes without EDNS. */
export const plainBytesMax = 512;
/** Fits into one packet on every link: larger answers are asked for by TCP (dnsflagday.net/2020). */
export const udpBytesMax = 1232;
const nameBytesMax = 255;
const labelBytesMax = 63;

export interface Query {
  readonly id: number;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  /** Lower case, without the last dot; a byte that is no letter, digit, - or _ is written as \DDD. The root is empty. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The question as it was asked, letters in their case: 0x20 bits are given back. */
  readonly question: Uint8Array;
  /** What tells questions apart: name in lower case, type, class. */
  readonly key: string;
  /** Absent without EDNS. */
  readonly edns?: { readonly version: number; readonly bytesMax: number; readonly dnssec: boolean };
}
/** A packet that is answered with a code alone, or not at all. */
export type BadQuery =
  | { readonly type: 'drop' }
  | { readonly type: 'refuse'; readonly id: number; readonly code: number };

const scratch = Buffer.alloc(nameBytesMax + 5);
const isPlain = (byte: number): boolean =>
  (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57) || byte === 45 || byte === 95;

/** Reads one query. Nothing of it is believed: lengths are checked before they are used. */
export function parseQuery(packet: Uint8Array): Query | BadQuery {
  if (packet.length < headerBytes) return { type: 'drop' };
  const id = (packet[0]! << 8) | packet[1]!;
  const flags = (packet[2]! << 8) | packet[3]!;
  if (flags & 0x8000) return { type: 'drop' }; // an answer: to answer it would make two servers talk for ever
  const refuse = (code: number): BadQuery => ({ type: 'refuse', id, code });
  if ((flags >> 11) & 15) return refuse(codes.notImplemented);
  const count = (at: number) => (packet[at]! << 8) | packet[at + 1]!;
  if (count(4) !== 1 || count(6) !== 0 || count(8) !== 0) return refuse(codes.format);
  const end = lowerName(packet);
  if (end < 0 || end + 4 > packet.length) return refuse(codes.format);
  const length = end - headerBytes + 4;
  for (let at = 0; at < 4; at++) scratch[length - 4 + at] = packet[end + at]!;
  const additional = count(10);
  const edns = additional === 0 ? undefined : readEdns(packet, end + 4, additional);
  if (edns === 'bad') return refuse(codes.format);
  return {
    id,
    recursionDesired: (flags & 0x0100) !== 0,
    checkingDisabled: (flags & 0x0010) !== 0,
    name: nameText(length - 4),
    type: count(end),
    class: count(end + 2),
    question: packet.subarray(headerBytes, end + 4),
    key: scratch.toString('latin1', 0, length),
    ...(edns ? { edns } : {}),
  };
}

/** Copies the name in lower case to the scratch; the offset behind it, or -1. */
function lowerName(packet: Uint8Array): number {
  let at = headerBytes;
  for (;;) {
    const size = packet[at];
    if (size === undefined || size > labelBytesMax) return -1; // compressed questions do not exist
    if (at - headerBytes + size + 1 > nameBytesMax || at + size >= packet.length) return -1;
    scratch[at - headerBytes] = size;
    for (let index = at + 1; index <= at + size; index++) {
      const byte = packet[index]!;
      scratch[index - headerBytes] = byte >= 65 && byte <= 90 ? byte + 32 : byte;
    }
    at += size + 1;
    if (size === 0) return at;
  }
}

function nameText(length: number): string {
  let text = '';
  for (let at = 0; at < length - 1; ) {
    const size = scratch[at]!;
    if (text) text += '.';
    const start = ++at;
    let plain = true;
    for (; at < start + size; at++) plain &&= isPlain(scratch[at]!);
    if (plain) text += scratch.toString('latin1', start, at);
    else
      for (const byte of scratch.subarray(start, at))
        text += isPlain(byte) ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`;
  }
  return text;
}

/** The OPT record among the additional ones; others (a TSIG) are passed over. */
function readEdns(packet: Uint8Array, from: number, records: number): Query['edns'] | 'bad' {
  let at = from;
  let found: Query['edns'];
  for (let index = 0; index < records; index++) {
    const name = at;
    while (packet[at] !== undefined && packet[at] !== 0) {
      if (packet[at]! > labelBytesMax) return 'bad';
      at += packet[at]! + 1;
    }
    const fields = at + 1;
    if (fields + 10 > packet.length) return 'bad';
    const size = (packet[fields + 8]! << 8) | packet[fields + 9]!;
    at = fields + 10 + size;
    if (at > packet.length) return 'bad';
    if (((packet[fields]! << 8) | packet[fields + 1]!) !== types.OPT) continue;
    if (found || fields !== name + 1) return 'bad';
    const asked = (packet[fields + 2]! << 8) | packet[fields + 3]!;
    found = {
      version: packet[fields + 5]!,
      bytesMax: Math.min(udpBytesMax, Math.max(plainBytesMax, asked)),
      dnssec: (packet[fields + 6]! & 0x80) !== 0,
    };
  }
  return found;
}
