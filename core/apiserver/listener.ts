import { Elysia } from 'elysia';
import { systemClock } from '#base';
import { answerBytes } from './answer.ts';
import { Arrivals } from './arrivals.ts';
import { arrivals, bodyBytesMax } from './body.ts';
import type { StreamSession, StreamSocket } from './contract.ts';
import type { Upgrade } from './handle.ts';

const messageBytesMax = 64 * 1024 * 1024;
const idleSocketSeconds = 960;
/** Heads and bodies that dribble in more slowly are cut by Bun, within two seconds of this. */
const receiveSeconds = 10;
/** How long a connection may rest after an answer; longer than clients keep theirs idle, so that theirs is the decision. */
const restSeconds = 120;
/** Above it Bun answers 413 itself; below it we do, as a Status, and read the rest without keeping it. */
const receivedBytesMax = 5 * bodyBytesMax;

/**
 * Sockets for the handler: TLS, HTTP/1.1 and HTTP/2, WebSocket sessions. A request has to arrive in seconds; from then on
 * there is no limit (a quiet watch is a healthy one, a webhook takes its time), until its answer is on its way.
 * One Elysia route takes every path: the handler parses the path itself, once, because Elysia decodes path parameters and
 * collapses repeated query keys. A session is the socket's data and gets Bun's own socket, whose back-pressure it needs.
 */
export function listen(
  options: {
    readonly hostname: string;
    readonly port: number;
    readonly tls: { readonly key: string; readonly cert: string };
  },
  handle: (request: Request, upgrade: Upgrade) => Promise<Response | undefined>,
): { readonly port: number; stop(): Promise<void> } {
  const serve = {
    idleTimeout: receiveSeconds,
    reusePort: false, // Elysia's default would let two servers share the port without a word
    development: false,
    http2: true,
    maxRequestBodySize: receivedBytesMax,
  };
  const app = new Elysia({
    serve,
    websocket: { maxPayloadLength: messageBytesMax, idleTimeout: idleSocketSeconds, perMessageDeflate: false },
    nativeStaticResponse: false,
  });
  // Over HTTP/2 Bun itself does not cut a body that dribbles. A network keeps real time, whatever clock the server has.
  const expected = new Arrivals(systemClock, receiveSeconds * 1000);
  const answer = async ({ request }: { request: Request }): Promise<Response | undefined> => {
    const server = app.server!;
    const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
    const arrival = hasBody ? expected.add(() => server.timeout(request, 0)) : undefined;
    if (arrival) arrivals.set(request, arrival);
    else server.timeout(request, 0);
    const response = await handle(request, (session, headers) =>
      server.upgrade(request, { data: session, headers } as never),
    );
    arrival?.end();
    // Who was refused gets no long rest: a stranger would dribble his next request through it.
    if (response && answerBytes(response) !== undefined)
      server.timeout(request, response.status < 400 ? restSeconds : response.status === 408 ? 1 : receiveSeconds);
    return response;
  };
  app.all('/*', answer, { parse: 'none' });
  app.all('/', answer, { parse: 'none' });
  app.listen({
    hostname: options.hostname,
    port: options.port,
    tls: { key: options.tls.key, cert: options.tls.cert },
    websocket: {
      open: (socket) => sessionOf(socket).open(asSocket(socket)),
      message: (socket, data) => sessionOf(socket).message(asSocket(socket), data),
      drain: (socket) => sessionOf(socket).drain?.(asSocket(socket)),
      close: (socket, code, reason) => sessionOf(socket).close(asSocket(socket), code, reason),
    },
  });
  const server = app.server!;
  return {
    port: server.port ?? options.port,
    stop() {
      expected.stop();
      return server.stop(true);
    },
  };
}

const sessionOf = (socket: { readonly data: unknown }): StreamSession => socket.data as StreamSession;
const asSocket = (socket: unknown): StreamSocket => socket as StreamSocket;
