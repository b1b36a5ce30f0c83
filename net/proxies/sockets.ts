import type { Clock, Log } from '#base';
import type { Route } from '../service-proxy.ts';

export interface Listener {
  close(): void;
}
export interface Place {
  readonly hostname: string;
  readonly port: number;
}
export interface Relay {
  choose(client: string): Route['backends'][number] | undefined;
  /** Whether the backend (`ip port`) is still one of the route's. */
  alive(target: string): boolean;
  /** Open TCP connections. */
  readonly budget: { open: number; readonly max: number };
  readonly clock: Clock;
  readonly log: Log;
}
const pendingBytesMax = 1 << 20; // held for one direction of one connection; the sender is paused before that
const udpFlowsMax = 1_024; // for each listener
const udpIdleMs = 60_000;

type Socket = Bun.Socket<Side>;
interface Side {
  peer?: Socket;
  /** Bytes for this socket that it has not taken yet. */
  pending: Uint8Array[];
  pendingBytes: number;
  ended: boolean;
  /** The client closed its half before the backend was connected. */
  inputEnded?: boolean;
  /** Counts against the limit. */
  counted?: boolean;
}
const freshSide = (): Side => ({ pending: [], pendingBytes: 0, ended: false });

function flush(socket: Socket): void {
  const side = socket.data;
  while (side.pending.length > 0) {
    const head = side.pending[0]!;
    const taken = Math.max(0, socket.write(head));
    side.pendingBytes -= taken;
    if (taken < head.length) {
      side.pending[0] = head.subarray(taken);
      return;
    }
    side.pending.shift();
  }
  side.peer?.resume();
  if (side.ended) socket.end();
}
function forward(from: Socket, chunk: Uint8Array): void {
  const to = from.data.peer;
  const side = to?.data ?? from.data; // the backend is not connected yet: kept on our own side until then
  side.pending.push(new Uint8Array(chunk));
  side.pendingBytes += chunk.length;
  if (to) flush(to);
  if (side.pendingBytes > pendingBytesMax / 2) from.pause();
  if (side.pendingBytes > pendingBytesMax) from.terminate();
}
function half(socket: Socket): void {
  const peer = socket.data.peer;
  if (!peer) return;
  peer.data.ended = true;
  if (peer.data.pending.length === 0) peer.end();
}

/** Resolves when it listens; rejects with the bind's error. */
export async function listenTcp(place: Place, relay: Relay): Promise<Listener> {
  const common = {
    data: (socket: Socket, chunk: Uint8Array) => forward(socket, chunk),
    drain: flush,
    end: half,
    error: (socket: Socket) => socket.terminate(),
  };
  const server = Bun.listen<Side>({
    ...place,
    allowHalfOpen: true,
    socket: {
      ...common,
      async open(client) {
        client.data = freshSide();
        const backend = relay.choose(client.remoteAddress);
        if (!backend || relay.budget.open >= relay.budget.max) {
          if (backend) relay.log.warn('too many connections; one was closed', { limit: relay.budget.max });
          client.terminate();
          return;
        }
        relay.budget.open++;
        client.data.counted = true;
        try {
          const upstream = await Bun.connect<Side>({
            hostname: backend.ip,
            port: backend.port,
            allowHalfOpen: true,
            data: { ...freshSide(), peer: client },
            socket: { ...common, close: (socket) => void socket.data.peer?.end() },
          });
          upstream.data.pending.push(...client.data.pending.splice(0));
          upstream.data.pendingBytes += client.data.pendingBytes;
          client.data.pendingBytes = 0;
          client.data.peer = upstream;
          if (client.data.inputEnded) upstream.data.ended = true;
          flush(upstream);
        } catch {
          client.terminate();
        }
      },
      end(client) {
        client.data.inputEnded = client.data.peer === undefined;
        half(client);
      },
      close(client) {
        if (client.data?.peer) client.data.peer.end();
        if (client.data?.counted) relay.budget.open--;
      },
    },
  });
  return { close: () => server.stop() };
}

/** One upstream socket for each client; a quiet one is closed after a minute. */
export async function listenUdp(place: Place, relay: Relay): Promise<Listener> {
  const flows = new Map<string, { send(data: Uint8Array): void; close(): void; lastMs: number; target: string }>();
  const server = await Bun.udpSocket({
    ...place,
    socket: {
      async data(_socket, data, port, client) {
        const key = `${client} ${port}`;
        const now = relay.clock.monotonicMs();
        for (const [old, flow] of flows)
          if (now - flow.lastMs > udpIdleMs || (flows.size >= udpFlowsMax && old !== key)) {
            flow.close();
            flows.delete(old);
          } else break; // in order of last use
        const known = flows.get(key);
        flows.delete(key);
        if (known && !relay.alive(known.target)) known.close();
        else if (known) {
          flows.set(key, { ...known, lastMs: now });
          known.send(data);
          return;
        }
        const backend = relay.choose(client);
        if (!backend) return;
        const upstream = await Bun.udpSocket({
          connect: { hostname: backend.ip, port: backend.port },
          socket: { data: (_from, answer) => void server.send(answer, port, client) },
        });
        flows.set(key, {
          send: (bytes) => void upstream.send(bytes),
          close: () => upstream.close(),
          lastMs: now,
          target: `${backend.ip} ${backend.port}`,
        });
        upstream.send(data);
      },
    },
  });
  return {
    close() {
      for (const flow of flows.values()) flow.close();
      server.close();
    },
  };
}
