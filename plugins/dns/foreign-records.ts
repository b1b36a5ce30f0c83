import { decode } from 'dns-packet';
import type { Encoded } from './encode.ts';
import type { DnsRecord } from './records.ts';

/** What of somebody else's answer can stand behind a chain of ours. */
export function recordsOf({ bytes }: Encoded): DnsRecord[] {
  try {
    return (decode(Buffer.from(bytes)).answers ?? []).flatMap((record): DnsRecord[] => {
      const { name, ttl = 0 } = record as { name: string; ttl?: number };
      if (record.type === 'A' || record.type === 'AAAA')
        return [{ name, ttl, type: record.type, address: record.data }];
      return record.type === 'CNAME' ? [{ name, ttl, type: 'CNAME', target: record.data }] : [];
    });
  } catch {
    return [];
  }
}
