import type { Chain, Field, Rule } from '../nft/ruleset.ts';

/**
 * Chains that choose a backend. Everything that one does is in its name, and services of one shape share it:
 *
 *   pick3            one of three at random
 *   pickStick4t60    the seat that this client has, else one of four; it is kept for 60 s after the last new connection
 *   pickSeat2t60     remembers the client for seat 2, and leads there
 */
const scopes = {
  /** Virtual addresses, and those from near for external ones. */
  pick: { fields: 'daddr . proto . dport', hides: 'strangers', far: false },
  /** External addresses; the answer has to come back through this host. */
  outPick: { fields: 'daddr . proto . dport', hides: 'all', far: false },
  /** External addresses, backends of this host: the client need not be hidden. */
  farPick: { fields: 'daddr . proto . dport', hides: 'none', far: true },
  nodePick: { fields: 'proto . dport', hides: 'all', far: false },
  nearNodePick: { fields: 'proto . dport', hides: 'strangers', far: false },
  farNodePick: { fields: 'proto . dport', hides: 'none', far: true },
} as const satisfies Record<string, { fields: Field; hides: 'strangers' | 'all' | 'none'; far: boolean }>;
export type PickScope = keyof typeof scopes;
const scopeNames = Object.keys(scopes) as PickScope[];

/** Where the places begin that only clients from far away are led to. */
export const farOffset = 65_536;
const backendsMax = farOffset - 1;

export type Choice =
  | { readonly by: 'random'; readonly of: number }
  | { readonly by: 'client'; readonly of: number; readonly ttlSeconds: number };

export const chainName = (scope: PickScope, choice: Choice): string =>
  choice.by === 'random' ? `${scope}${choice.of}` : `${scope}Stick${choice.of}t${choice.ttlSeconds}`;
const seatName = (scope: PickScope, seat: number, ttlSeconds: number): string => `${scope}Seat${seat}t${ttlSeconds}`;
/** Who sits there: one set for each seat number, for all services together. */
export const stickySetName = (seat: number): string => `sticky${seat}`;

/** Chains for the usual numbers of endpoints are there from the start, so that hardly any change needs a new one. */
const usualMax = 8;
export const standingPicks: readonly string[] = scopeNames.flatMap((scope) =>
  Array.from({ length: usualMax }, (_unused, index) => `${scope}${index + 1}`),
);
const stickPattern = /^([a-zA-Z]+)Stick(\d+)t(\d+)$/;
/** Where one chain for clients that stay is needed, those of the neighbouring sizes will be: a new one is dear. */
export const siblingsOf = (name: string): string[] => {
  const match = stickPattern.exec(name);
  if (!match) return [name];
  const sizes = [...seatCounts.filter((size) => size <= usualMax), Number(match[2])];
  return [...new Set(sizes)].map((size) => `${match[1]}Stick${size}t${match[3]}`);
};

const pickPattern = new RegExp(`^(${scopeNames.join('|')})(Stick)?(\\d+)(?:t(\\d+))?$`);

/** The chain of that name, after those that it leads to. */
export function pickChains(name: string, masqueradeBit: number): Chain[] {
  const match = pickPattern.exec(name);
  const of = Number(match?.[3]);
  if (!match || of < 1 || of > backendsMax || (match[2] === undefined) !== (match[4] === undefined))
    throw new Error(`${name} is no chain for a choice among backends`);
  const scope = match[1] as PickScope;
  const { fields, hides, far } = scopes[scope];
  const offset = far ? farOffset : 0;
  const mark: Rule['do'] = { type: 'mark', bit: masqueradeBit };
  const hide: Rule[] =
    hides === 'strangers'
      ? [{ when: [{ type: 'in', fields: 'saddr', set: 'pods', not: true }], do: mark }]
      : hides === 'all'
        ? [{ do: mark }]
        : [];
  const isPort = fields === 'proto . dport';
  if (!match[2]) {
    const map = isPort ? 'portEndpoints' : 'endpoints';
    return [{ name, rules: [...hide, { do: { type: 'dnat', fields, pick: { of, offset }, map } }] }];
  }
  const ttlSeconds = Number(match[4]);
  const client = 'saddr . daddr . proto . dport';
  const seats = Array.from({ length: of }, (_unused, seat) => seatName(scope, seat, ttlSeconds));
  const kept = seats.map(
    (chain, seat): Rule => ({
      when: [{ type: 'in', fields: client, set: stickySetName(seat) }],
      do: { type: 'goto', chain },
    }),
  );
  const map = isPort ? 'portSeats' : 'seats';
  return [
    ...seats.map(
      (chain, seat): Chain => ({
        name: chain,
        rules: [
          { do: { type: 'learn', fields: client, set: stickySetName(seat), ttlSeconds } },
          { do: { type: 'dnat', fields, pick: { of: 1, offset: offset + seat }, map } },
        ],
      }),
    ),
    { name, rules: [...hide, ...kept, { do: { type: 'spread', chains: seats } }] },
  ];
}

/** How many seats the chains among these need sets for. */
export const seatsOf = (picks: Iterable<string>): number =>
  Math.max(0, ...[...picks].map((name) => Number(stickPattern.exec(name)?.[2] ?? 0)));

/** How many seats there are sets for in a table with these chains. */
export const seatsIn = (chains: readonly string[]): number =>
  Math.max(0, ...chains.map((name) => Number(/Seat(\d+)t\d+$/.exec(name)?.[1] ?? -1) + 1));

/** Sizes of services whose clients stay: few, so that chains are shared and a service that grows often needs no new one. */
const seatCounts: readonly number[] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1_024];
export const seatCountFor = (backends: number): number =>
  seatCounts.find((size) => size >= backends) ?? seatCounts.at(-1)!;
export const seatCountMax: number = seatCounts.at(-1)!;
