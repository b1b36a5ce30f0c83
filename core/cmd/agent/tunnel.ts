import { createConnection } from 'node:net';
import { type Clock, type Log, messageOf } from '#base';
import { dialledHeader, enrollmentPaths } from '../../apiserver/enrollment/paths.ts';
import { Mux, pipe } from '../../wire/mux.ts';
import { serverName } from './way.ts';

const streamsMax = 128;
const pingEveryMs = 5_000;
const silentMsMax = 15_000;
const openMsMax = 10_000;
const unsentBytesMax = 48 * 1024 * 1024;
const retryMs = { first: 500, most: 5_000 };
const ping = Uint8Array.of(0);

interface TunnelOptions {
  /** Such as https://10.0.0.1:6443. */
  readonly server: string;
  readonly token: () => Promise<string>;
  /** Aborts when this host is no longer where it is now: the tunnel is dialled anew at once. */
  readonly place?: () => AbortSignal;
  /** Nothing came from this server for too long: other connections to it are dead as well. */
  readonly onSilent?: (server: string) => void;
  /** PEM. */
  readonly ca: string;
  /** Where the node's endpoint listens on 127.0.0.1. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const lookEveryMs = 1_000;
/**
 * A tunnel to each API server, since a request about this node may come to any of them. `servers`: the list as it is now, which
 * is followed. Until the signal aborts.
 */
export async function keepTunnels({
  servers,
  ...options
}: Omit<TunnelOptions, 'server'> & { readonly servers: () => readonly string[] }): Promise<void> {
  const { clock, signal } = options;
  const kept = new Map<string, AbortController>();
  while (!signal.aborted) {
    const wanted = new Set(servers());
    for (const [server, stop] of kept)
      if (!wanted.has(server)) {
        stop.abort();
        kept.delete(server);
      }
    for (const server of wanted)
      if (!kept.has(server)) {
        const stop = new AbortController();
        kept.set(server, stop);
        void keepTunnel({ ...options, server, signal: AbortSignal.any([signal, stop.signal]) });
      }
    await clock.sleep(lookEveryMs, signal);
  }
}

/**
 * Keeps a connection to an API server through which it reaches this node's endpoint when it cannot by our address: we dial,
 * so that NAT and firewalls in front of us do not matter. Until the signal aborts.
 */
export async function keepTunnel(options: TunnelOptions): Promise<void> {
  const { clock, log, signal } = options;
  let waitMs = retryMs.first;
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs();
    try {
      await oneTunnel(options);
    } catch (error) {
      if (!signal.aborted) log.debug('no tunnel', { error: messageOf(error) });
    }
    if (clock.monotonicMs() - startedMs > silentMsMax) waitMs = retryMs.first;
    await clock.sleep(waitMs, signal);
    waitMs = Math.min(waitMs * 2, retryMs.most);
  }
}

async function oneTunnel(options: TunnelOptions): Promise<void> {
  const { server, ca, port, clock, signal } = options;
  const place = options.place?.();
  const socket = new WebSocket(server.replace(/^https/, 'wss') + enrollmentPaths.tunnel, {
    headers: { authorization: `Bearer ${await options.token()}`, [dialledHeader]: server },
    tls: { ca, serverName } as object,
    perMessageDeflate: false,
  });
  socket.binaryType = 'nodebuffer';
  const over = Promise.withResolvers<void>();
  const stop = new AbortController();
  const end = (): void => {
    stop.abort();
    over.resolve();
  };
  let heardMs = clock.monotonicMs();
  const mux = new Mux({
    streamsMax,
    send: (message) => {
      if (socket.bufferedAmount > unsentBytesMax) return socket.close(1013);
      socket.send(message);
    },
    onOpen: (stream) => {
      const target = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true });
      pipe(stream, target);
    },
  });
  socket.onmessage = ({ data }) => {
    heardMs = clock.monotonicMs();
    const bytes = data as unknown as Buffer;
    if (bytes.length === ping.length) return;
    try {
      mux.receive(bytes);
    } catch {
      socket.close(1002);
    }
  };
  socket.onclose = end;
  socket.onerror = end;
  const opened = new Promise<void>((resolve) => {
    socket.onopen = () => resolve();
  });
  const limit = clock.sleep(openMsMax, AbortSignal.any([signal, stop.signal]));
  signal.addEventListener('abort', end, { once: true });
  place?.addEventListener('abort', end, { once: true });
  if (place?.aborted) end();
  try {
    await Promise.race([opened, over.promise, limit]);
    while (
      !stop.signal.aborted &&
      socket.readyState === WebSocket.OPEN &&
      clock.monotonicMs() - heardMs < silentMsMax
    ) {
      socket.send(ping);
      await Promise.race([clock.sleep(pingEveryMs, stop.signal), over.promise]);
    }
    if (!stop.signal.aborted && clock.monotonicMs() - heardMs >= silentMsMax) options.onSilent?.(server);
  } finally {
    signal.removeEventListener('abort', end);
    place?.removeEventListener('abort', end);
    stop.abort();
    socket.terminate();
    mux.close();
  }
}
