import { bytesOf } from './address.ts';
import { headerBytes, types } from './query.ts';
import { type Answer, type DnsRecord, soaTimes } from './records.ts';

/** A whole answer without EDNS, with the question's name in lower case, from which replies are copied. */
export interface Encoded {
  readonly bytes: Uint8Array;
  /** Offsets behind each record: of the answers, the authority and the additional ones, in this order. */
  readonly ends: readonly number[];
  readonly counts: readonly [answers: number, authority: number, additional: number];
  /** Where the TTLs are; only needed of answers that age. */
  readonly ttlOffsets: readonly number[];
}
const messageBytesMax = 65_535;
const pointerOffsetMax = 0x3fff;
const buffer = Buffer.alloc(messageBytesMax);

/**
 * Writes a message with compressed names: dns-packet, which this plugin uses to read, writes them in full, and an answer
 * to a client without EDNS has 512 bytes. What does not fit into 64 KiB is left out. `key`: as Query has it.
 */
export function encodeAnswer(key: string, answer: Answer): Encoded {
  const names = new Map<string, number>();
  let at = headerBytes + buffer.write(key, headerBytes, 'latin1');
  learnQuestion(names, headerBytes);
  buffer.fill(0, 0, headerBytes);
  buffer[2] = 0x80 | (answer.authoritative ? 0x04 : 0);
  buffer[3] = 0x80 | (answer.code & 15);
  buffer[5] = 1;
  const ends: number[] = [];
  const ttlOffsets: number[] = [];
  const counts: [number, number, number] = [0, 0, 0];
  [answer.answers, answer.authority, answer.additional].forEach((section, index) => {
    for (const record of section) {
      if (at + 600 > messageBytesMax) return; // the longest record: two names and some numbers
      at = writeRecord(record, at, names, ttlOffsets);
      ends.push(at);
      counts[index]!++;
    }
  });
  counts.forEach((count, index) => buffer.writeUInt16BE(count, 6 + index * 2));
  return { bytes: new Uint8Array(buffer.subarray(0, at)), ends, counts, ttlOffsets };
}

/** Every suffix of the question's name can be pointed at. */
function learnQuestion(names: Map<string, number>, from: number): void {
  const labels: [string, number][] = [];
  let at = from;
  while (buffer[at]! > 0) {
    labels.push([buffer.toString('latin1', at + 1, at + 1 + buffer[at]!), at]);
    at += buffer[at]! + 1;
  }
  let suffix = '';
  for (const [label, offset] of labels.reverse()) {
    suffix = suffix ? `${label}.${suffix}` : label;
    names.set(suffix, offset);
  }
}

function writeName(name: string, from: number, names: Map<string, number>): number {
  let at = from;
  let rest = name;
  while (rest !== '') {
    const known = names.get(rest);
    if (known !== undefined) {
      buffer.writeUInt16BE(0xc000 | known, at);
      return at + 2;
    }
    if (at <= pointerOffsetMax) names.set(rest, at);
    const dot = rest.indexOf('.');
    const label = dot < 0 ? rest : rest.slice(0, dot);
    buffer[at] = buffer.write(label, at + 1, 'latin1');
    at += label.length + 1;
    rest = dot < 0 ? '' : rest.slice(dot + 1);
  }
  buffer[at] = 0;
  return at + 1;
}

function writeRecord(record: DnsRecord, from: number, names: Map<string, number>, ttlOffsets: number[]): number {
  let at = writeName(record.name, from, names);
  buffer.writeUInt16BE(types[record.type], at);
  buffer.writeUInt16BE(1, at + 2);
  buffer.writeUInt32BE(record.ttl, at + 4);
  ttlOffsets.push(at + 4);
  at += 10;
  const end = writeData(record, at, names);
  buffer.writeUInt16BE(end - at, at - 2);
  return end;
}

function writeData(record: DnsRecord, at: number, names: Map<string, number>): number {
  switch (record.type) {
    case 'A':
    case 'AAAA': {
      const bytes = bytesOf(record.address) ?? assertAddress(record.address);
      buffer.set(bytes, at);
      return at + bytes.length;
    }
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return writeName(record.target, at, names);
    case 'SRV':
      buffer.writeUInt16BE(record.priority, at);
      buffer.writeUInt16BE(record.weight, at + 2);
      buffer.writeUInt16BE(record.port, at + 4);
      return writeName(record.target, at + 6, new Map()); // RFC 2782: not compressed
    case 'TXT': {
      const text = record.text.slice(0, 255);
      buffer[at] = buffer.write(text, at + 1, 'latin1');
      return at + 1 + text.length;
    }
    case 'SOA': {
      const numbers = writeName(record.mailbox, writeName(record.primary, at, names), names);
      const { refresh, retry, expire } = soaTimes;
      [record.serial, refresh, retry, expire, record.ttl].forEach((value, index) =>
        buffer.writeUInt32BE(value, numbers + index * 4),
      );
      return numbers + 20;
    }
  }
}

function assertAddress(text: string): never {
  throw new Error(`${text} is no address; records are made of checked ones`);
}
