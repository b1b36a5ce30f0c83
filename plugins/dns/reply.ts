import type { Encoded } from './encode.ts';
import { codes, headerBytes, type Query, udpBytesMax } from './query.ts';

const ednsBytes = 11;

/**
 * A reply to one query, copied from what is known: its id, its flags, its question as it was written, and EDNS when it has it.
 * What does not fit into `bytesMax` is cut at a record: additional ones go silently, for others the client is told to ask by TCP.
 */
export function replyTo(query: Query, known: Encoded, bytesMax: number): Uint8Array {
  const room = bytesMax - (query.edns ? ednsBytes : 0);
  const { bytes, ends } = known;
  let [answers, authority, additional] = known.counts;
  let length = bytes.length;
  let truncated = false;
  if (length > room) {
    let kept = ends.length;
    while (kept > 0 && ends[kept - 1]! > room) kept--;
    length = kept > 0 ? ends[kept - 1]! : headerBytes + query.question.length;
    truncated = kept < answers + authority;
    additional = Math.max(0, kept - answers - authority);
    authority = Math.max(0, Math.min(authority, kept - answers));
    answers = Math.min(answers, kept);
  }
  const reply = new Uint8Array(length + (query.edns ? ednsBytes : 0));
  reply.set(length === bytes.length ? bytes : bytes.subarray(0, length));
  reply.set(query.question, headerBytes);
  writeHeader(reply, query, truncated);
  writeCount(reply, 6, answers);
  writeCount(reply, 8, authority);
  writeCount(reply, 10, additional + (query.edns ? 1 : 0));
  if (query.edns) writeEdns(reply, length, 0, query.edns.dnssec);
  return reply;
}

function writeHeader(reply: Uint8Array, query: Query, truncated: boolean): void {
  reply[0] = query.id >> 8;
  reply[1] = query.id & 255;
  reply[2] = reply[2]! | (truncated ? 0x02 : 0) | (query.recursionDesired ? 0x01 : 0);
  reply[3] = reply[3]! | (query.checkingDisabled ? 0x10 : 0);
}
function writeCount(reply: Uint8Array, at: number, count: number): void {
  reply[at] = count >> 8;
  reply[at + 1] = count & 255;
}
function writeEdns(reply: Uint8Array, at: number, highCode: number, dnssec: boolean): void {
  reply[at + 2] = 41;
  reply[at + 3] = udpBytesMax >> 8;
  reply[at + 4] = udpBytesMax & 255;
  reply[at + 5] = highCode;
  reply[at + 7] = dnssec ? 0x80 : 0;
}

/** A reply without a record. */
export function replyCode(query: Query, code: number): Uint8Array {
  const length = headerBytes + query.question.length;
  const reply = new Uint8Array(length + (query.edns ? ednsBytes : 0));
  reply[2] = 0x80;
  reply[3] = 0x80 | (code & 15);
  reply[5] = 1;
  reply.set(query.question, headerBytes);
  writeHeader(reply, query, false);
  if (query.edns) {
    reply[11] = 1;
    writeEdns(reply, length, code >> 4, query.edns.dnssec);
  }
  return reply;
}

/** To a packet whose question could not be read: twelve bytes, never more than came. */
export function replyUnread(id: number, code: number): Uint8Array {
  const reply = new Uint8Array(headerBytes);
  reply[0] = id >> 8;
  reply[1] = id & 255;
  reply[2] = 0x80 | (code === codes.notImplemented ? 0x10 : 0);
  reply[3] = code;
  return reply;
}
