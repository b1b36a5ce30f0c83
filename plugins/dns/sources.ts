import { type Clock, ranges } from '#sdk';

const lookAgainMs = 1_000;
const rememberedMax = 4_096;
const windowMs = 1_000;

/** What one who asks may have. */
export interface SourceLimits {
  readonly questionsPerSecondMax: number;
  /** Questions that wait for other servers at a time. */
  readonly waitingMax: number;
}
/** Far more than a busy pod asks, far less than this server answers: one that floods takes from itself. */
export const podLimits: SourceLimits = { questionsPerSecondMax: 5_000, waitingMax: 64 };
/** Programs of the host cannot be told apart by their address, so that what one does must not be held against all. */
export const hostLimits: SourceLimits = { questionsPerSecondMax: Number.MAX_SAFE_INTEGER, waitingMax: 512 };

/** One who asks, by address. */
export class Source {
  #windowFromMs = Number.NEGATIVE_INFINITY;
  #taken = 0;
  #waiting = 0;

  constructor(
    private readonly limits: SourceLimits,
    private readonly clock: Clock,
  ) {}

  /** Counts one more packet. False: beyond what is taken in this second. */
  admits(): boolean {
    const now = this.clock.monotonicMs();
    if (now - this.#windowFromMs >= windowMs) {
      this.#windowFromMs = now;
      this.#taken = 0;
    }
    return this.#taken++ < this.limits.questionsPerSecondMax;
  }
  /** A question that waits for others, until `end`. False: too many wait already. */
  begin(): boolean {
    if (this.#waiting >= this.limits.waitingMax) return false;
    this.#waiting++;
    return true;
  }
  end(): void {
    this.#waiting--;
  }
}

/** Whether an address lies in a range such as 10.244.0.0/16 or fd44::/48. */
export function isInRange(address: string, cidr: string): boolean {
  const range = ranges.networkOf(cidr);
  return range !== undefined && ranges.holdsAddress(range, address);
}

/**
 * Who may ask: pods, each within its limits, and programs of this host; undefined for others. A server that anybody can
 * reach lends itself to attacks on others (small questions with a forged sender, large answers), and its cache is easier to poison.
 */
export function createSources(
  podRanges: readonly string[],
  clock: Clock,
  own: () => readonly string[],
): (address: string) => Source | undefined {
  let hosts = new Set(own());
  let lookedMs = clock.monotonicMs();
  const host = new Source(hostLimits, clock);
  const known = new Map<string, Source>();
  return (address) => {
    const found = known.get(address);
    if (found) return found;
    const plain = address.replace(/^::ffff:/, '');
    const isPod = podRanges.some((range) => isInRange(plain, range));
    const isLoopback = plain.startsWith('127.') || plain === '::1';
    if (!isPod && !isLoopback) {
      if (!hosts.has(plain) && clock.monotonicMs() - lookedMs > lookAgainMs) {
        hosts = new Set(own()); // a link may have come
        lookedMs = clock.monotonicMs();
      }
      return hosts.has(plain) ? host : undefined; // not remembered: a link may go
    }
    const source = isPod ? new Source(podLimits, clock) : host;
    if (known.size >= rememberedMax) known.delete(known.keys().next().value!); // the oldest begins anew with its next question
    known.set(address, source);
    return source;
  };
}
