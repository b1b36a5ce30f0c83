import { type Log, messageOf, type NodePartContext, ranges } from '#sdk';
import { listenDns, type Place, type Respond } from './sockets.ts';

/** The server at this host's IPv6 address for pods too, on the port of the other one: services of IPv6 lead there. */
export class SecondListener implements AsyncDisposable {
  readonly #hostname: string | undefined;
  #open: (AsyncDisposable & { readonly place: Place }) | undefined;
  constructor(
    private readonly network: NodePartContext['network'],
    private readonly respond: Respond,
    private readonly log: Log,
  ) {
    this.#hostname = firstOfSix(network.subnets);
  }
  /** The address is not there yet: the first pod makes the bridge, and the kernel looks whether somebody has it. */
  get isDue(): boolean {
    return this.#hostname !== undefined && !this.#open;
  }

  /** Where it listens; undefined: not yet, or pods have no IPv6 addresses. */
  async ensure({ port }: Place): Promise<Place | undefined> {
    if (this.#open && this.#open.place.port !== port) await this[Symbol.asyncDispose]();
    const hostname = this.#hostname;
    if (hostname === undefined || this.#open) return this.#open?.place;
    if (!this.network.ownAddresses().includes(hostname)) return undefined;
    try {
      const server = await listenDns({ hostname, port }, this.respond, this.log);
      this.#open = { place: { hostname, port }, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
      this.log.info('the DNS server listens', { hostname, port });
    } catch (error) {
      this.log.debug('the DNS server cannot listen yet', { hostname, port, error: messageOf(error) });
    }
    return this.#open?.place;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.[Symbol.asyncDispose]();
  }
}

/** The host's own address among its pods' is the first of their range. */
export function firstOfSix(subnets: readonly string[]): string | undefined {
  const six = subnets.map((cidr) => ranges.parseCidr(cidr)).find((cidr) => cidr?.family === 6);
  if (!six) return undefined;
  const text = ranges.cidrText({ ...six, first: six.first + 1n, prefixBits: 128 });
  return text.slice(0, text.indexOf('/'));
}
