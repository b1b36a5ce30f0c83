import type { Clock } from '#sdk';
import { type ForeignAnswer, readForeign } from './foreign.ts';
import { headerBytes, udpBytesMax } from './query.ts';

export interface Upstream {
  readonly ip: string;
  readonly port: number;
}
/** One question for somebody else. */
export interface Question {
  /** As Query has it. */
  readonly key: string;
  readonly dnssec: boolean;
  readonly checkingDisabled: boolean;
}
/** Undefined: no answer in time, or none that can be read. */
export type Ask = (upstream: Upstream, question: Question, signal: AbortSignal) => Promise<ForeignAnswer | undefined>;

/** With EDNS, recursion desired; the id comes from the system's own generator, as it is half of what keeps forgers out. */
function packetOf(question: Question): { readonly packet: Uint8Array; readonly id: number } {
  const { key } = question;
  const packet = new Uint8Array(headerBytes + key.length + 11);
  const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
  packet.set([id >> 8, id & 255, 0x01, question.checkingDisabled ? 0x10 : 0, 0, 1, 0, 0, 0, 0, 0, 1]);
  for (let index = 0; index < key.length; index++) packet[headerBytes + index] = key.charCodeAt(index);
  packet.set(
    [0, 0, 41, udpBytesMax >> 8, udpBytesMax & 255, 0, 0, question.dnssec ? 0x80 : 0],
    headerBytes + key.length,
  );
  return { packet, id };
}

/** By UDP from a port of its own for each question (the other half), by TCP when the answer was cut. */
export const askUpstream =
  (clock: Clock, timeoutMs: number): Ask =>
  async (upstream, question, signal) => {
    const byUdp = await attempt(clock, timeoutMs, signal, (settle) => overUdp(upstream, question, settle));
    if (!byUdp?.truncated) return byUdp;
    return (await attempt(clock, timeoutMs, signal, (settle) => overTcp(upstream, question, settle))) ?? byUdp;
  };

type Settle = (answer: ForeignAnswer | undefined) => void;
interface Attempt {
  close(): void;
}
async function attempt(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
  open: (settle: Settle) => Promise<Attempt>,
): Promise<ForeignAnswer | undefined> {
  const { promise, resolve } = Promise.withResolvers<ForeignAnswer | undefined>();
  const over = new AbortController();
  void clock.sleep(timeoutMs, AbortSignal.any([signal, over.signal])).then(() => resolve(undefined));
  const opened = open(resolve).catch(() => {
    resolve(undefined); // no route, no port: the next one is asked
    return undefined;
  });
  const answer = await promise;
  over.abort();
  void opened.then((one) => one?.close());
  return answer;
}

async function overUdp(upstream: Upstream, question: Question, settle: Settle): Promise<Attempt> {
  const { packet, id } = packetOf(question);
  const socket = await Bun.udpSocket({
    connect: { hostname: upstream.ip, port: upstream.port }, // the kernel drops what others send
    socket: {
      data(_socket, bytes) {
        const answer = readForeign(bytes, id, question.key);
        if (answer) settle(answer); // a forged one is passed over: the true one may still come
      },
      error: () => settle(undefined),
    },
  });
  try {
    socket.send(packet);
  } catch {
    settle(undefined); // no route: the socket is closed all the same
  }
  return socket;
}

async function overTcp(upstream: Upstream, question: Question, settle: Settle): Promise<Attempt> {
  const { packet, id } = packetOf(question);
  let received: Uint8Array = new Uint8Array();
  const socket = await Bun.connect({
    hostname: upstream.ip,
    port: upstream.port,
    socket: {
      open: (one) => void one.write(Uint8Array.from([packet.length >> 8, packet.length & 255, ...packet])),
      data(_socket, bytes) {
        received = Buffer.concat([received, bytes]);
        const length = received.length < 2 ? Number.POSITIVE_INFINITY : (received[0]! << 8) | received[1]!;
        if (received.length >= length + 2) settle(readForeign(received.subarray(2, length + 2), id, question.key));
      },
      close: () => settle(undefined),
      error: () => settle(undefined),
    },
  });
  return { close: () => socket.terminate() };
}
