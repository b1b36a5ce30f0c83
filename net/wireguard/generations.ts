import { isKey } from './keys.ts';
import { sessionS } from './plan.ts';

/**
 * Keys of a cluster's hosts change by generations. A generation is a device with a key and a port of its own on every host,
 * because two peers of one device cannot share allowed-ips. Whoever begins one publishes it; the others see that and follow.
 * Each host sends on the newest generation that has a live session with the peer and receives on all it has. The old one
 * goes when nobody sends on it any more, and 180 s after that: no packet on its way meets a closed door.
 */
export interface End {
  readonly publicKey: string;
  readonly port: number;
  /** Of the secret behind the pre-shared keys; empty without one. */
  readonly mark: string;
}
/** What a host publishes. */
export interface Published {
  readonly ends: ReadonlyMap<number, End>;
  /** It sends to everybody on this generation or a newer one. */
  readonly sendsOn: number;
}
const generationMax = 2 ** 40; // far beyond one a second for a thousand years; a number from elsewhere must stay exact

export const writePublished = ({ ends, sendsOn }: Published): Record<string, string> => ({
  sendsOn: String(sendsOn),
  ...Object.fromEntries(
    [...ends].flatMap(([number, { publicKey, port, mark }]) => [
      [`key.${number}`, publicKey],
      [`port.${number}`, String(port)],
      ...(mark ? [[`mark.${number}`, mark]] : []),
    ]),
  ),
});

/** A text says what is wrong with the data. */
export function readPublished(data: Readonly<Record<string, string>>): Published | string {
  const ends = new Map<number, End>();
  for (const [name, publicKey] of Object.entries(data)) {
    const number = Number(/^key\.(\d{1,13})$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) continue;
    if (number > generationMax) return `its generation ${number} is beyond all bounds`;
    if (!isKey(publicKey)) return `its public key of generation ${number} is no WireGuard key`;
    const port = Number(data[`port.${number}`]);
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      return `its port of generation ${number} is ${data[`port.${number}`] ?? 'missing'}`;
    ends.set(number, { publicKey, port, mark: data[`mark.${number}`] ?? '' });
  }
  if (ends.size === 0) return 'it publishes no public key';
  const sendsOn = Number(data['sendsOn']);
  return { ends, sendsOn: Number.isInteger(sendsOn) ? sendsOn : 0 };
}

/** The generations a host must have: at most two, the newest of its own and of all the others. Ascending. */
export function followedGenerations(own: readonly number[], others: readonly (readonly number[])[]): number[] {
  const newestOwn = Math.max(0, ...own);
  const newer = new Set(others.flat().filter((number) => number > newestOwn));
  // Who has none yet starts with what everybody has; who has one adds the newest alone.
  const added =
    own.length === 0 ? [...newer].sort((a, b) => a - b).slice(-2) : [...newer].length ? [Math.max(...newer)] : [];
  const all = [...own, ...added].sort((a, b) => a - b).slice(-2);
  return all.length ? all : [1];
}

/** A peer as rotation sees it. */
export interface RotatingPeer {
  readonly node: string;
  readonly published: Published;
  /** By generation: seconds since 1970 of the last handshake; absent or 0 where there was none. */
  readonly handshakesS: ReadonlyMap<number, number>;
}
/** Both ends refuse a session of that age; and a few seconds for clocks and for what is read late. */
const isLive = (peer: RotatingPeer, generation: number, nowS: number): boolean =>
  nowS - (peer.handshakesS.get(generation) ?? 0) <= sessionS + 10;

/** Where packets to that peer go: the newest common generation with a live session, else the newest common one. */
export function generationFor(own: readonly number[], peer: RotatingPeer, nowS: number): number | undefined {
  const common = own.filter((number) => peer.published.ends.has(number)).sort((a, b) => b - a);
  return common.find((number) => isLive(peer, number, nowS)) ?? common[0];
}

export interface Rotation {
  /** Ascending, one or two. */
  readonly generations: readonly number[];
  readonly sendsOn: number;
  /** Since when nobody sends on the old generation (milliseconds since 1970); absent without an old one, or while somebody does. */
  readonly quietSinceMs?: number;
  readonly retire?: number;
  /** Milliseconds until there may be more to do; absent when nothing is under way. */
  readonly againAfterMs?: number;
  /** Who holds it up. */
  readonly waiting: readonly { readonly node: string; readonly reason: string }[];
}
const keepOldMs = sessionS * 1000;
const lookMs = 1000;

/** The next step of a host with these generations. Pure: to be asked again until `againAfterMs` is absent. */
export function nextRotation(
  own: Pick<Rotation, 'generations' | 'sendsOn' | 'quietSinceMs'>,
  peers: readonly RotatingPeer[],
  nowMs: number,
): Rotation {
  const { generations } = own;
  const newest = generations.at(-1)!;
  if (generations.length < 2) return { generations, sendsOn: newest, waiting: [] };
  const oldest = generations[0]!;
  const nowS = nowMs / 1000;
  const onOld = peers.filter((peer) => isLive(peer, oldest, nowS));
  const waiting = onOld.flatMap((peer) => {
    if (!peer.published.ends.has(newest))
      return [{ node: peer.node, reason: `it has no key of generation ${newest} yet` }];
    if (!isLive(peer, newest, nowS)) {
      const port = peer.published.ends.get(newest)!.port;
      return [{ node: peer.node, reason: `no handshake on generation ${newest} yet (UDP port ${port} of it)` }];
    }
    return [];
  });
  const sendsOn = waiting.length === 0 ? newest : own.sendsOn;
  const late = onOld.filter((peer) => peer.published.sendsOn < newest);
  for (const peer of late)
    if (!waiting.some(({ node }) => node === peer.node))
      waiting.push({ node: peer.node, reason: `it still sends on generation ${peer.published.sendsOn}` });
  if (waiting.length) return { generations, sendsOn, waiting, againAfterMs: lookMs };
  const quietSinceMs = own.quietSinceMs ?? nowMs;
  const leftMs = quietSinceMs + keepOldMs - nowMs;
  if (leftMs > 0) return { generations, sendsOn, quietSinceMs, waiting, againAfterMs: Math.max(lookMs, leftMs) };
  return { generations: [newest], sendsOn, retire: oldest, waiting };
}
