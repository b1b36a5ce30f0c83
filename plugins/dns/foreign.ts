import type { Encoded } from './encode.ts';
import { codes, headerBytes, types } from './query.ts';

/** An answer of somebody else's server, without EDNS, as it can be kept. */
export interface ForeignAnswer {
  readonly encoded: Encoded;
  readonly code: number;
  readonly truncated: boolean;
  /** How long it may be kept; absent: not at all. */
  readonly ttlSeconds?: number;
}

/**
 * Reads an answer to the question `key` (as Query has it) with the given id. Undefined for anything else: another id, another
 * question, records that do not add up. Nothing of it reaches any other question, so that its additional records cannot poison.
 */
export function readForeign(packet: Uint8Array, id: number, key: string): ForeignAnswer | undefined {
  const end = headerBytes + key.length;
  if (packet.length < end || ((packet[0]! << 8) | packet[1]!) !== id || !(packet[2]! & 0x80)) return undefined;
  const count = (at: number) => (packet[at]! << 8) | packet[at + 1]!;
  if (count(4) !== 1 || !isQuestion(packet, key)) return undefined;
  const counts: [number, number, number] = [0, 0, 0];
  const ends: number[] = [];
  const ttlOffsets: number[] = [];
  const ttls: number[] = [];
  let denialSeconds: number | undefined;
  let at = end;
  for (let section = 0; section < 3; section++)
    for (let index = count(6 + section * 2); index > 0; index--) {
      const fields = skipName(packet, at);
      if (fields < 0 || fields + 10 > packet.length) return undefined;
      const after = fields + 10 + count(fields + 8);
      if (after > packet.length) return undefined;
      const type = count(fields);
      if (type === types.OPT) {
        if (section < 2) return undefined;
        section = 3; // what stands behind it would have to be moved
        break;
      }
      const ttl = count(fields + 4) * 65_536 + count(fields + 6);
      ttls.push(ttl > 0x7fffffff ? 0 : ttl);
      ttlOffsets.push(fields + 4);
      if (type === types.SOA && section === 1 && after - fields >= 14)
        denialSeconds = Math.min(ttl, count(after - 4) * 65_536 + count(after - 2));
      counts[section]!++;
      at = after;
      ends.push(at);
    }
  const code = packet[3]! & 15;
  const truncated = (packet[2]! & 0x02) !== 0;
  const bytes = packet.slice(0, at);
  for (let index = 0; index < key.length; index++) bytes[headerBytes + index] = key.charCodeAt(index);
  bytes[2] = 0x80;
  bytes[3] = 0x80 | (bytes[3]! & 0x2f); // the checked bit and the code; the rest is said anew for each client
  counts.forEach((value, section) => {
    bytes[6 + section * 2] = value >> 8;
    bytes[7 + section * 2] = value & 255;
  });
  const isDenial = code === codes.noName || (code === codes.ok && counts[0] === 0);
  const ttlSeconds = isDenial ? denialSeconds : code === codes.ok && !truncated ? Math.min(...ttls) : undefined;
  return {
    encoded: { bytes, ends, counts, ttlOffsets },
    code,
    truncated,
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
  };
}

/** Letters may have changed their case on the way. */
function isQuestion(packet: Uint8Array, key: string): boolean {
  for (let index = 0; index < key.length; index++) {
    const byte = packet[headerBytes + index]!;
    const lower = byte >= 65 && byte <= 90 && index < key.length - 4 ? byte + 32 : byte;
    if (lower !== key.charCodeAt(index)) return false;
  }
  return true;
}

/** The offset behind a name, which ends at a pointer or at the root; -1 when it runs out. */
function skipName(packet: Uint8Array, from: number): number {
  for (let at = from; ; ) {
    const size = packet[at];
    if (size === undefined) return -1;
    if (size >= 0xc0) {
      const target = ((size & 0x3f) << 8) | (packet[at + 1] ?? 0);
      return at + 2 <= packet.length && target < from ? at + 2 : -1; // pointers go back only: no loops
    }
    if (size > 63) return -1;
    at += size + 1;
    if (size === 0) return at;
  }
}

/** The same answer some seconds later. `leastSeconds`: for one that is past its time. */
export function aged(known: Encoded, bySeconds: number, leastSeconds = 0): Encoded {
  const bytes = known.bytes.slice();
  const view = new DataView(bytes.buffer);
  for (const at of known.ttlOffsets) view.setUint32(at, Math.max(leastSeconds, view.getUint32(at) - bySeconds));
  return { ...known, bytes };
}
