import { type MeasuredWay, messageOf, type PartContext } from '#sdk';

const everyMs = 8_000; // a cut on a live link is to be noticed within 10 s

/**
 * The largest packet that all ways to the other hosts take: measured again and again, because links change while they live.
 * A smaller value counts once it was measured twice in a row, so that lost packets make nobody's packets smaller.
 */
export class WayMtu {
  #known: ReadonlyMap<string, number> = new Map();
  #ways: readonly MeasuredWay[] = [];
  #mtuBytes: number | undefined;

  constructor(
    private readonly context: Pick<PartContext, 'clock' | 'log'> & { readonly scope: { readonly signal: AbortSignal } },
    private readonly measure: (ways: readonly MeasuredWay[]) => Promise<ReadonlyMap<string, number>>,
    /** Called when the answer has changed. */
    private readonly changed: () => void,
  ) {}

  /** From now on these addresses, over a device with this MTU. Resolves at once to what is known: at most that MTU. */
  over(addresses: readonly string[], linkMtuBytes: number): number {
    this.#ways = addresses.map((address) => ({ address, linkMtuBytes }));
    this.#mtuBytes = leastOf(this.#known, addresses);
    return Math.min(linkMtuBytes, this.#mtuBytes ?? linkMtuBytes);
  }

  /** Until the part ends, or where this process may not measure: then the devices' own MTU holds. */
  async run(): Promise<void> {
    const { clock, log, scope } = this.context;
    while (!scope.signal.aborted) {
      try {
        await this.look();
      } catch (error) {
        log.warn('the MTU of the ways to other hosts is not measured', { error: messageOf(error) });
        return;
      }
      await clock.sleep(everyMs, scope.signal);
    }
  }

  /** Measures once. A way that is silent now keeps what was known of it. */
  async look(): Promise<void> {
    const ways = this.#ways.map((way) => {
      const knownBytes = this.#known.get(way.address);
      return knownBytes === undefined ? way : { ...way, knownBytes };
    });
    if (ways.length === 0) return;
    const found = new Map(await this.measure(ways));
    const smaller = ways.filter(({ address, knownBytes, linkMtuBytes }) => {
      const now = found.get(address);
      return now !== undefined && now < (knownBytes ?? linkMtuBytes);
    });
    if (smaller.length > 0)
      for (const [address, bytes] of await this.measure(smaller))
        found.set(address, Math.max(bytes, found.get(address) ?? 0));
    const addresses = this.#ways.map(({ address }) => address);
    this.#known = new Map(
      addresses.flatMap((address) => {
        const bytes = found.get(address) ?? this.#known.get(address);
        return bytes === undefined ? [] : [[address, bytes] as const];
      }),
    );
    const before = this.#mtuBytes;
    this.#mtuBytes = leastOf(this.#known, addresses);
    if (this.#mtuBytes === before) return;
    this.context.log.info('the MTU of the ways to other hosts', { mtuBytes: this.#mtuBytes });
    this.changed();
  }
}

function leastOf(known: ReadonlyMap<string, number>, addresses: readonly string[]): number | undefined {
  const found = addresses.flatMap((address) => known.get(address) ?? []);
  return found.length > 0 ? Math.min(...found) : undefined;
}
