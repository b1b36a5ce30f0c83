import type { Clock, Random } from '#base';
import { echoRequest, type Family, familyOf, readEchoReply, sizeBytesMin } from './echo.ts';
import { type EchoSocket, type OpenEchoSocket, openEchoSocket } from './raw-socket.ts';
import { narrow, nextSizes, type Search } from './search.ts';

export interface Way {
  /** Of the other host. */
  readonly address: string;
  /** The MTU of the own device that leads there. */
  readonly linkMtuBytes: number;
  /** What was measured last: three packets then tell that it still holds. */
  readonly knownBytes?: number;
}
export interface PathMtuOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How long an answer is waited for; default 400. Each size is sent twice in that time. */
  readonly waitMs?: number;
  /** Default: a raw socket of this process, in its network namespace. */
  readonly open?: OpenEchoSocket;
}
interface Open {
  readonly way: Way;
  search: Search;
  sizes: number[];
}
const roundsMax = 6; // three suffice for 9,000 bytes
const lookMs = { first: 5, most: 50 }; // seldomer as time passes: near hosts answer in the first few milliseconds

/**
 * The largest packet that each way takes, by echo messages that must not be fragmented: also where routers drop what is too
 * large without a word. Ways from which no answer comes at all are left out: nothing is known of them. All ways at once;
 * about one round trip where nothing has changed, at most `waitMs` for each of a few rounds otherwise.
 */
export async function measurePaths(ways: readonly Way[], options: PathMtuOptions): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const family of [4, 6] as const) {
    const mine = ways.filter(({ address }) => familyOf(address) === family);
    if (mine.length === 0) continue;
    using socket = (options.open ?? openEchoSocket)(family);
    for (const [address, bytes] of await measure(socket, family, mine, options)) found.set(address, bytes);
  }
  return found;
}

async function measure(
  socket: EchoSocket,
  family: Family,
  ways: readonly Way[],
  options: PathMtuOptions,
): Promise<Map<string, number>> {
  const least = sizeBytesMin(family);
  let open = ways.map((way): Open => {
    const search = { passedBytes: least - 1, failedBytes: way.linkMtuBytes + 1 };
    const known = way.knownBytes ?? way.linkMtuBytes;
    const first = [least, known, known + 1, way.linkMtuBytes].filter((size) => size <= way.linkMtuBytes);
    return { way, search, sizes: [...new Set(first)] };
  });
  const found = new Map<string, number>();
  for (let round = 0; round < roundsMax && open.length > 0; round++) {
    const answers = await ask(socket, family, open, options);
    for (const [index, one] of open.entries()) {
      one.search = narrow(one.search, one.sizes, answers[index]!);
      one.sizes = nextSizes(one.search);
      if (one.search.passedBytes >= least) found.set(one.way.address, one.search.passedBytes);
    }
    open = open.filter(({ way, sizes }) => sizes.length > 0 && found.has(way.address));
  }
  return found;
}

/** Which sizes were answered, for each way. */
async function ask(
  socket: EchoSocket,
  family: Family,
  open: readonly Open[],
  { clock, random, waitMs = 400 }: PathMtuOptions,
): Promise<Set<number>[]> {
  const id = Math.floor(random.next() * 65_536);
  const asked = open.flatMap(({ way, sizes }, index) => sizes.map((size) => ({ index, size, address: way.address })));
  const answers = open.map(() => new Set<number>());
  const waiting = new Set<number>();
  const send = () => {
    for (const sequence of waiting) {
      const { address, size } = asked[sequence]!;
      if (!socket.send(address, echoRequest(family, id, sequence, size))) waiting.delete(sequence);
    }
  };
  const receive = () => {
    for (let got = socket.receive(); got; got = socket.receive()) {
      const sequence = readEchoReply(family, got.packet, id)?.sequence;
      const one = sequence === undefined ? undefined : asked[sequence];
      if (!one || one.address !== got.from) continue;
      answers[one.index]!.add(one.size);
      waiting.delete(sequence!);
    }
  };
  for (const sequence of asked.keys()) waiting.add(sequence);
  for (let attempt = 0; attempt < 2; attempt++) {
    send();
    const endMs = clock.monotonicMs() + waitMs / 2;
    for (let ms = lookMs.first; waiting.size > 0; ms = Math.min(2 * ms, lookMs.most)) {
      const leftMs = endMs - clock.monotonicMs();
      if (leftMs <= 0) break;
      await clock.sleep(Math.min(ms, leftMs));
      receive();
    }
  }
  return answers;
}
