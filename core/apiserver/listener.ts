import { bodyBytesMax } from './body.ts';
import type { StreamSession, StreamSocket } from './contract.ts';
import type { Upgrade } from './handle.ts';

const messageBytesMax = 64 * 1024 * 1024;
const idleSocketSeconds = 960;

/** Sockets for the handler: TLS, no idle limit (a quiet watch is a healthy one), WebSocket sessions. */
export function listen(
  options: {
    readonly hostname: string;
    readonly port: number;
    readonly tls: { readonly key: string; readonly cert: string };
  },
  handle: (request: Request, upgrade: Upgrade) => Promise<Response | undefined>,
): { readonly port: number; stop(): Promise<void> } {
  const server = Bun.serve<StreamSession>({
    hostname: options.hostname,
    port: options.port,
    tls: { key: options.tls.key, cert: options.tls.cert },
    idleTimeout: 0,
    maxRequestBodySize: bodyBytesMax + 1024, // above it Bun answers 413 itself; just below it we do, as a Status
    fetch: (request, self) => handle(request, (session, headers) => self.upgrade(request, { data: session, headers })),
    websocket: {
      maxPayloadLength: messageBytesMax,
      idleTimeout: idleSocketSeconds,
      perMessageDeflate: false,
      open: (socket) => socket.data.open(asSocket(socket)),
      message: (socket, data) => socket.data.message(asSocket(socket), data),
      drain: (socket) => socket.data.drain?.(asSocket(socket)),
      close: (socket, code, reason) => socket.data.close(asSocket(socket), code, reason),
    },
  });
  return { port: server.port ?? options.port, stop: () => server.stop(true) };
}

const asSocket = (socket: Bun.ServerWebSocket<StreamSession>): StreamSocket => socket as unknown as StreamSocket;
