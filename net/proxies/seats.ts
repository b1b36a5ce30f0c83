import { seatCountFor, seatCountMax } from './picks.ts';

/**
 * Which backend each seat of a service has. Clients are remembered by their seat, so a seat keeps its backend for as long as
 * that one is there; then another takes over, and with it the clients. Seats outnumber backends where some have gone.
 */
export class SeatBook {
  readonly #seats = new Map<string, readonly string[]>();

  /** The backend of each seat; `key` names the list of backends, which is not empty. At most 1,024 seats: of more backends the rest gets no client. */
  assign(key: string, backends: readonly string[]): readonly string[] {
    const seats = nextSeats(this.#seats.get(key) ?? [], backends);
    this.#seats.set(key, seats);
    return seats;
  }
  /** As somebody else had given them, who is gone. */
  remember(key: string, seats: readonly string[]): void {
    this.#seats.set(key, seats);
  }
  forget(key: string): void {
    this.#seats.delete(key);
  }
}

/** Seats of backends that are there stay; the others go to whoever has the fewest. Pure. */
export function nextSeats(former: readonly string[], backends: readonly string[]): readonly string[] {
  const there = new Set(backends);
  const counts = new Map(backends.map((one) => [one, 0]));
  const seats: (string | undefined)[] = former.map((one) => (there.has(one) ? one : undefined));
  for (const one of seats) if (one !== undefined) counts.set(one, counts.get(one)! + 1);
  const newcomers = backends.filter((one) => counts.get(one) === 0);
  const free = seats.filter((one) => one === undefined).length;
  // Clients of a seat with a stand-in are his by now: newcomers get seats of their own, until there are twice as many as backends.
  const room = Math.max(seatCountFor(2 * backends.length), former.length);
  const wanted = Math.min(seats.length + Math.max(0, newcomers.length - free), room, seatCountMax);
  while (seats.length < Math.max(seatCountFor(Math.max(wanted, backends.length)), former.length)) seats.push(undefined);
  for (let at = 0; at < seats.length; at++) {
    if (seats[at] !== undefined) continue;
    const next = newcomers.shift() ?? fewest(counts);
    seats[at] = next;
    counts.set(next, counts.get(next)! + 1);
  }
  for (const newcomer of newcomers) {
    // No seat is left: the first of whoever has most.
    const most = [...counts].reduce((best, one) => (one[1] > best[1] ? one : best));
    if (most[1] < 2) break;
    seats[seats.indexOf(most[0])] = newcomer;
    counts.set(most[0], most[1] - 1);
    counts.set(newcomer, 1);
  }
  return seats as string[];
}
const fewest = (counts: ReadonlyMap<string, number>): string =>
  [...counts].reduce((best, one) => (one[1] < best[1] ? one : best))[0];
