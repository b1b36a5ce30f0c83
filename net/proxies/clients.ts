import type { Element, Family } from '../nft/ruleset.ts';
import { farOffset, seatsIn, stickySetName } from './picks.ts';

/**
 * Which clients a table remembers, so that the next table goes on where it was: services keep their clients over a restart
 * of this process. Seats are read too: who has seat 2 only says something together with whose seat that is.
 */
export interface Remembered {
  readonly clients: readonly Element[];
  /** By key and offset, as the seat book has them. */
  readonly seats: ReadonlyMap<string, readonly string[]>;
}
export const nobody: Remembered = { clients: [], seats: new Map() };

type RunNft = (argv: readonly string[]) => Promise<string>;

/** What the kernel's table of that name remembers; nobody, where there is none or none that we understand. */
export async function readClients(nft: RunNft, family: Family, table: string): Promise<Remembered> {
  const word = family === 4 ? 'ip' : 'ip6';
  try {
    // Not `list table`: that reads every element, which is dear however little it prints.
    const chains = chainsIn(await nft(['-j', 'list', 'chains', word]), table);
    const seats = seatsIn(chains);
    if (seats === 0) return nobody;
    const sticky = Array.from({ length: seats }, (_unused, seat) => stickySetName(seat));
    // One by one: of several in one text nft 1.0.6 reads the last alone.
    const list = async (kind: string, names: readonly string[]): Promise<string> => {
      const texts: string[] = [];
      for (const name of names) texts.push(await nft(['-j', 'list', kind, word, table, name]));
      return texts.join('\n');
    };
    const clients = parseClients(await list('set', sticky));
    if (clients.length === 0) return nobody;
    return { clients, seats: parseSeats(await list('map', ['seats', 'portSeats'])) };
  } catch {
    return nobody; // they are chosen anew: no reason to serve nobody
  }
}

type Said = {
  readonly nftables?: readonly Record<
    string,
    { readonly name?: string; readonly table?: string; readonly elem?: readonly unknown[] }
  >[];
};
/** Documents of nft, one a line. */
const saidIn = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .flatMap((line) => (JSON.parse(line) as Said).nftables ?? []);
const objectsIn = (text: string) =>
  saidIn(text).flatMap((one) => [one['set'], one['map']].filter((each) => each !== undefined));

/** Names of the chains of one table, in the answer to `list chains`. */
export const chainsIn = (text: string, table: string): string[] =>
  saidIn(text).flatMap(({ chain }) => (chain?.table === table && chain.name !== undefined ? [chain.name] : []));

const concatOf = (value: unknown): string | undefined => {
  const parts = (value as { concat?: unknown } | undefined)?.concat;
  return Array.isArray(parts) ? parts.map(String).join(' . ') : undefined;
};

/** Members of sticky sets, with the time that they have left. */
export function parseClients(text: string): Element[] {
  const found: Element[] = [];
  for (const { name, elem = [] } of objectsIn(text))
    for (const one of elem) {
      const { val, timeout, expires } = ((one as { elem?: unknown }).elem ?? {}) as Record<string, unknown>;
      const key = concatOf(val);
      if (name !== undefined && key !== undefined && typeof timeout === 'number')
        found.push({ in: name, key: `${key} timeout ${timeout}s expires ${Math.max(1, Number(expires) || 0)}s` });
    }
  return found;
}

/** Elements of seat maps: of each address or port, the backend of each seat. Lists with a hole are left out. */
export function parseSeats(text: string): Map<string, readonly string[]> {
  const lists = new Map<string, string[]>();
  for (const { elem = [] } of objectsIn(text))
    for (const one of elem) {
      const [key, value] = Array.isArray(one) ? one.map(concatOf) : [];
      const at = key?.lastIndexOf(' . ') ?? -1;
      const place = Number(key?.slice(at + 3));
      if (key === undefined || value === undefined || at < 0 || !Number.isInteger(place)) continue;
      const offset = place >= farOffset ? farOffset : 0;
      const id = `${key.slice(0, at)} . ${offset}`;
      const list = lists.get(id) ?? [];
      list[place - offset] = value;
      lists.set(id, list);
    }
  return new Map([...lists].filter(([, list]) => !Array.from(list).includes(undefined as unknown as string)));
}

/** Those for whom the next table has a set. */
export const thoseWithSeats = ({ clients }: Remembered, seats: number): Element[] => {
  const names = new Set(Array.from({ length: seats }, (_unused, seat) => stickySetName(seat)));
  return clients.filter((one) => names.has(one.in));
};
