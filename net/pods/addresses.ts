import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { HostPort } from '../pod.ts';
import { addressAt, type Family, familyOf, gatewayOf, numberAt, type PodRange, parsePodRange } from './ranges.ts';

/** What one pod holds; written to disk before an address is used. */
export interface AddressRecord {
  readonly uid: string;
  /** One of each range, in their order. A pod keeps those it was given when a range is added later. */
  readonly ips: readonly string[];
  readonly hostPorts: readonly HostPort[];
  /** Where it was attached last. */
  readonly netnsPath?: string;
}
/** As it was written before pods had several addresses. */
type FormerRecord = Omit<AddressRecord, 'ips'> & { readonly ip: string };

/**
 * Addresses of one host's ranges, one file for each pod, so that a crash neither loses nor doubles one. The search goes
 * round: an address that was just given back comes last, because others may still believe in its former owner.
 */
export class AddressBook {
  readonly #folder: string;
  readonly ranges: readonly PodRange[];
  readonly #byUid = new Map<string, AddressRecord>();
  readonly #taken = new Set<string>();
  readonly #last = new Map<Family, number>();

  /** `subnets`: one of a family, the first is that of the primary address. */
  constructor(folder: string, subnets: readonly string[]) {
    this.#folder = join(folder, 'addresses');
    this.ranges = subnets.map(parsePodRange);
    const families = new Set(this.ranges.map(({ family }) => family));
    if (families.size !== subnets.length || families.size === 0)
      throw new Error(`one IPv4 range, one IPv6 range or both are wanted, not ${subnets.join(' ') || 'none'}`);
    mkdirSync(this.#folder, { recursive: true });
    for (const name of readdirSync(this.#folder)) this.#load(name);
  }

  #load(name: string): void {
    const path = join(this.#folder, name);
    const counted = this.ranges.find((range) => name === lastName(range.family));
    if (counted) {
      const last = numberAt(counted, readFileSync(path, 'utf8').trim());
      if (last !== undefined) this.#last.set(counted.family, last);
      return;
    }
    if (/^last6?$/.test(name)) return; // of a range that is not used now
    try {
      const read = JSON.parse(readFileSync(path, 'utf8')) as AddressRecord | FormerRecord;
      const record = 'ips' in read ? read : { ...read, ips: [read.ip] };
      this.#byUid.set(record.uid, record);
      for (const ip of record.ips) this.#taken.add(ip);
    } catch {
      rmSync(path, { force: true }); // torn while it was written: nobody was told this address
    }
  }

  all(): AddressRecord[] {
    return [...this.#byUid.values()];
  }
  of(uid: string): AddressRecord | undefined {
    return this.#byUid.get(uid);
  }

  /** The pod's addresses, taken now if it has none. Throws when none is left. */
  take(uid: string, hostPorts: readonly HostPort[], netnsPath?: string): AddressRecord {
    const present = this.#byUid.get(uid);
    if (present && present.netnsPath === netnsPath) return present;
    const record: AddressRecord = {
      uid,
      ips: present?.ips ?? this.ranges.map((range) => this.#free(range)),
      hostPorts: present?.hostPorts ?? hostPorts,
      ...(netnsPath ? { netnsPath } : {}),
    };
    this.#write(record.ips[0]!, JSON.stringify(record), true);
    if (!present)
      for (const range of this.ranges) {
        const ip = record.ips.find((each) => familyOf(each) === range.family)!;
        this.#write(lastName(range.family), ip, false);
        this.#last.set(range.family, numberAt(range, ip)!);
        this.#taken.add(ip);
      }
    this.#byUid.set(uid, record);
    return record;
  }

  #free(range: PodRange): string {
    const count = range.lastPod - 1; // without the network and the gateway
    const last = this.#last.get(range.family) ?? 1;
    for (let step = 1; step <= count; step++) {
      const ip = addressAt(range, 2 + ((last - 2 + step + count) % count));
      if (!this.#taken.has(ip)) return ip;
    }
    throw new Error(`no pod address is left: all ${count} of ${range.cidr} are taken`);
  }

  release(uid: string): void {
    const record = this.#byUid.get(uid);
    if (!record) return;
    rmSync(join(this.#folder, record.ips[0]!), { force: true });
    this.#byUid.delete(uid);
    for (const ip of record.ips) this.#taken.delete(ip);
  }

  clear(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    this.#byUid.clear();
    this.#taken.clear();
  }

  #write(name: string, text: string, durable: boolean): void {
    if (!existsSync(this.#folder)) mkdirSync(this.#folder, { recursive: true });
    const file = openSync(join(this.#folder, name), 'w', 0o600);
    try {
      writeFileSync(file, text);
      if (durable) fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
}
const lastName = (family: Family): string => (family === 4 ? 'last' : 'last6');

/** How links and tables are made for a range: the host's own address first. */
export interface RangeShape {
  readonly family: Family;
  readonly cidr: string;
  readonly prefix: number;
  readonly gateway: string;
}
export const shapeOf = (range: PodRange): RangeShape => ({
  family: range.family,
  cidr: range.cidr,
  prefix: range.prefix,
  gateway: gatewayOf(range),
});
