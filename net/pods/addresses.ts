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

export interface Ipv4Range {
  /** First and last address as numbers, network and broadcast included. */
  readonly first: number;
  readonly last: number;
  readonly prefix: number;
}
export const ipv4Number = (ip: string): number =>
  ip.split('.').reduce((number, part) => number * 256 + Number(part), 0);
export const ipv4Text = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
export function parseIpv4Range(cidr: string): Ipv4Range {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(cidr);
  const prefix = Number(match?.[2]);
  if (!match || prefix > 32 || match[1]!.split('.').some((part) => Number(part) > 255))
    throw new Error(`${cidr} is no IPv4 range such as 10.42.0.0/24`);
  const size = 2 ** (32 - prefix);
  const first = Math.floor(ipv4Number(match[1]!) / size) * size;
  return { first, last: first + size - 1, prefix };
}

/** What one pod holds; written to disk before the address is used. */
export interface AddressRecord {
  readonly uid: string;
  readonly ip: string;
  readonly hostPorts: readonly HostPort[];
}

/**
 * Addresses of one host's subnet, one file for each, so that a crash neither loses nor doubles one. The search goes
 * round: an address that was just given back comes last, because others may still believe in its former owner.
 */
export class AddressBook {
  readonly #folder: string;
  readonly #range: Ipv4Range;
  readonly #byUid = new Map<string, AddressRecord>();
  readonly #taken = new Set<number>();
  #last: number;

  constructor(folder: string, subnet: string) {
    this.#folder = join(folder, 'addresses');
    this.#range = parseIpv4Range(subnet);
    this.#last = this.#range.first + 1; // the gateway
    if (this.#range.prefix > 30) throw new Error(`${subnet} has no room for pods`);
    mkdirSync(this.#folder, { recursive: true });
    for (const name of readdirSync(this.#folder)) this.#load(name);
  }

  #load(name: string): void {
    const path = join(this.#folder, name);
    if (name === 'last') {
      const last = ipv4Number(readFileSync(path, 'utf8').trim());
      if (last > this.#range.first && last < this.#range.last) this.#last = last;
      return;
    }
    try {
      const record = JSON.parse(readFileSync(path, 'utf8')) as AddressRecord;
      this.#byUid.set(record.uid, record);
      this.#taken.add(ipv4Number(record.ip));
    } catch {
      rmSync(path, { force: true }); // torn while it was written: nobody was told this address
    }
  }

  get gateway(): string {
    return ipv4Text(this.#range.first + 1);
  }
  get prefix(): number {
    return this.#range.prefix;
  }
  all(): AddressRecord[] {
    return [...this.#byUid.values()];
  }
  of(uid: string): AddressRecord | undefined {
    return this.#byUid.get(uid);
  }

  /** The pod's address, taken now if it has none. Throws when none is left. */
  take(uid: string, hostPorts: readonly HostPort[]): AddressRecord {
    const present = this.#byUid.get(uid);
    if (present) return present;
    const { first, last } = this.#range;
    const count = last - first - 2; // without network, gateway and broadcast
    for (let step = 1; step <= count; step++) {
      const number = first + 2 + ((this.#last - first - 2 + step + count) % count);
      if (this.#taken.has(number)) continue;
      const record = { uid, ip: ipv4Text(number), hostPorts };
      this.#write(record.ip, JSON.stringify(record), true);
      this.#write('last', record.ip, false);
      this.#last = number;
      this.#taken.add(number);
      this.#byUid.set(uid, record);
      return record;
    }
    throw new Error(`no pod address is left: all ${count} of ${ipv4Text(first)}/${this.#range.prefix} are taken`);
  }

  release(uid: string): void {
    const record = this.#byUid.get(uid);
    if (!record) return;
    rmSync(join(this.#folder, record.ip), { force: true });
    this.#byUid.delete(uid);
    this.#taken.delete(ipv4Number(record.ip));
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
