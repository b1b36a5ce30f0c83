import { type Log, messageOf, Scope } from '#sdk';

/** Gives the reply to a packet; undefined: none. */
export type Respond = (
  packet: Uint8Array,
  from: { readonly address: string; readonly stream: boolean },
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;
export interface Place {
  readonly hostname: string;
  readonly port: number;
}
const pendingMax = 1_000; // questions that wait for others; above it datagrams are dropped, as a full queue would
const connectionsMax = 256;
const connectionsOfOneMax = 64; // one that holds its own open leaves room for others
const pipelinedMax = 32; // of one connection
const idleSeconds = 10;
const unreadBytesMax = 4_096; // a query is some dozens of bytes

/** Listens for DNS by UDP and TCP on the same port. Rejects with the bind's error, with nothing left open. */
export async function listenDns(place: Place, respond: Respond, log: Log): Promise<AsyncDisposable & { port: number }> {
  const scope = new Scope();
  try {
    const udp = await listenUdp(place, respond, log, scope);
    listenTcp({ ...place, port: udp }, respond, log, scope);
    return { port: udp, [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose]() };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

async function listenUdp(place: Place, respond: Respond, log: Log, scope: Scope): Promise<number> {
  let pending = 0;
  const failed = (error: unknown) => log.error('a question was not answered', { error: messageOf(error) });
  const send = (own: Bun.udp.Socket<'uint8array'>, reply: Uint8Array, port: number, address: string) => {
    try {
      if (!own.closed) own.send(reply, port, address); // what the kernel has no room for is lost, as datagrams are
    } catch (error) {
      log.debug('a datagram could not be sent', { error: messageOf(error) });
    }
  };
  const socket = await Bun.udpSocket<'uint8array'>({
    ...place,
    binaryType: 'uint8array',
    socket: {
      // Nothing may be thrown from here: a question that ends this process would end its successor too.
      data(own, packet, port, address) {
        if (port === 0) return; // nobody can be there
        try {
          const reply = respond(packet, { address, stream: false });
          if (reply instanceof Promise && pending >= pendingMax) void reply.catch(failed);
          else if (reply instanceof Promise) {
            pending++;
            void reply.then((late) => late && send(own, late, port, address), failed).finally(() => pending--);
          } else if (reply) send(own, reply, port, address);
        } catch (error) {
          failed(error);
        }
      },
      error: (_own, error) => log.debug('a datagram could not be sent', { error: messageOf(error) }),
    },
  });
  scope.defer(() => socket.close());
  return socket.port;
}

interface Connection {
  readonly address: string;
  unread: Uint8Array;
  unsent: Uint8Array[];
  asked: number;
  /** The client has nothing more to ask, and may still listen. */
  ended: boolean;
}
function listenTcp(place: Place, respond: Respond, log: Log, scope: Scope): void {
  let open = 0;
  const openOf = new Map<string, number>();
  const send = (socket: Bun.Socket<Connection>, reply: Uint8Array) => {
    socket.data.unsent.push(Uint8Array.from([reply.length >> 8, reply.length & 255]), reply);
    flush(socket);
  };
  const answer = async (socket: Bun.Socket<Connection>, packet: Uint8Array) => {
    try {
      const reply = await respond(packet, { address: socket.data.address, stream: true });
      if (reply) send(socket, reply);
      else socket.end();
    } catch (error) {
      log.error('a question was not answered', { error: messageOf(error) });
      socket.end();
    }
    socket.data.asked--;
    endIfDone(socket);
  };
  const server = Bun.listen<Connection>({
    ...place,
    allowHalfOpen: true,
    socket: {
      open(socket) {
        const address = socket.remoteAddress;
        socket.data = { address, unread: new Uint8Array(), unsent: [], asked: 0, ended: false };
        const own = (openOf.get(address) ?? 0) + 1;
        openOf.set(address, own);
        if (++open > connectionsMax || own > connectionsOfOneMax) socket.terminate();
        socket.timeout(idleSeconds);
      },
      data(socket, bytes) {
        const state = socket.data;
        state.unread = state.unread.length === 0 ? bytes.slice() : Buffer.concat([state.unread, bytes]);
        while (state.unread.length >= 2) {
          const length = (state.unread[0]! << 8) | state.unread[1]!;
          if (length > unreadBytesMax) return void socket.terminate();
          if (state.unread.length < length + 2) break;
          if (++state.asked > pipelinedMax) return void socket.terminate();
          void answer(socket, state.unread.slice(2, length + 2));
          state.unread = state.unread.subarray(length + 2);
        }
        if (state.unread.length > unreadBytesMax * 2) socket.terminate();
      },
      drain: flush,
      end(socket) {
        socket.data.ended = true;
        endIfDone(socket);
      },
      timeout: (socket) => void socket.terminate(),
      close({ data: { address } }) {
        open--;
        const own = (openOf.get(address) ?? 1) - 1;
        if (own > 0) openOf.set(address, own);
        else openOf.delete(address);
      },
      error: (socket) => void socket.terminate(),
    },
  });
  scope.defer(() => server.stop(true));
}

function flush(socket: Bun.Socket<Connection>): void {
  const { unsent } = socket.data;
  while (unsent.length > 0) {
    const head = unsent[0]!;
    const taken = socket.write(head);
    if (taken < 0) return void socket.terminate();
    if (taken < head.length) {
      unsent[0] = head.subarray(taken);
      return;
    }
    unsent.shift();
  }
  socket.timeout(idleSeconds);
  endIfDone(socket);
}

function endIfDone(socket: Bun.Socket<Connection>): void {
  const { ended, asked, unsent } = socket.data;
  if (ended && asked === 0 && unsent.length === 0) socket.end();
}
