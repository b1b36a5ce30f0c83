import { createServer, type Server } from 'node:net';
import { errors, nodeKind, StatusError } from '#api';
import { type Clock, type Log, messageOf } from '#base';
import { Mux, pipe } from '../../wire/mux.ts';
import { nodeNameOf } from '../auth/attributes.ts';
import type { ExtraPath, Reader, StreamSession, StreamSocket } from '../contract.ts';
import { dialledHeader } from '../enrollment/paths.ts';
import { tlsOf } from './fetch-direct.ts';
import { kubeletAddress } from './pod-target.ts';
import { isWebSocket } from './upgrade.ts';

export type KubeletWay = 'direct' | 'tunnel';
const streamsMax = 128;
const perNodeMax = 4; // one server has few addresses
/** Unsent to one node: one that stops reading is cut. Below the 16 MiB at which Bun drops messages without a word. */
const unsentBytesMax = 12 * 1024 * 1024;
const probeMsMax = 2_000;
const probeEveryMs = 15_000;
const registerEveryMs = 500;
const silentMsMax = 20_000;
const ping = Uint8Array.of(0);

export interface TunnelsOptions {
  readonly reader: () => Reader;
  /** PEM: what kubelets' certificates are checked against. */
  readonly kubeletCa: string;
  readonly kubeletRanges?: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** Which way is in force, each time it changes. */
  onWay?(nodeName: string, way: KubeletWay): Promise<unknown> | undefined;
}

const dialledMax = 256;
const dialledBy = ({ headers }: Request): string => (headers.get(dialledHeader) ?? '').slice(0, dialledMax);

interface Tunnel {
  readonly mux: Mux;
  /** On 127.0.0.1: what is connected there comes out at the node's own endpoint, which asks for its token as always. */
  readonly server: Server;
  readonly stop: AbortController;
  /** As what the node dialled this server. */
  readonly dialled: string;
  way: KubeletWay;
  heardMs: number;
}

/**
 * Connections that nodes keep to this API server. A kubelet that cannot be reached by its address, because its host is
 * behind NAT or a firewall, is reached through them; whether it can is looked at again and again.
 */
export class Tunnels implements AsyncDisposable {
  /** Those of a node, the newest last: one for each address under which it knows this server. */
  readonly #tunnels = new Map<string, readonly Tunnel[]>();
  constructor(private readonly options: TunnelsOptions) {}

  /** `127.0.0.1:PORT` where a node is reached through its tunnel. Undefined: by its own address. */
  hostOf(nodeName: string): string | undefined {
    const tunnel = this.#tunnels.get(nodeName)?.findLast(({ way }) => way === 'tunnel');
    const address = tunnel?.server.address();
    return typeof address === 'object' && address ? `127.0.0.1:${address.port}` : undefined;
  }

  /** GET, upgraded to a WebSocket, by a node for itself. A new one takes the place of the old that was dialled alike. */
  readonly path: ExtraPath = async (request, { user, upgrade }) => {
    const nodeName = nodeNameOf(user);
    if (!nodeName) throw errors.badRequest('only a node keeps a tunnel');
    if (!isWebSocket(request)) throw new StatusError(426, 'BadRequest', 'the tunnel is a WebSocket');
    if (!upgrade(await this.#session(nodeName, dialledBy(request))))
      throw errors.badRequest('this request cannot be upgraded');
    return undefined;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [name, tunnels] of this.#tunnels) for (const tunnel of tunnels) this.#close(name, tunnel);
  }

  async #session(nodeName: string, dialled: string): Promise<StreamSession> {
    const { clock, log } = this.options;
    let socket: StreamSocket | undefined;
    const mux = new Mux({
      streamsMax,
      send: (message) => {
        if (socket && socket.getBufferedAmount() > unsentBytesMax) return socket.close(1013, 'the tunnel is not read');
        socket?.send(message);
      },
    });
    const server = createServer({ allowHalfOpen: true }, (client) => {
      const stream = mux.open();
      if (!stream) return void client.destroy();
      pipe(stream, client);
    });
    server.on('error', (error) => log.warn('tunnel', { node: nodeName, error: messageOf(error) }));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const stop = new AbortController();
    const tunnel: Tunnel = { mux, server, stop, dialled, way: 'tunnel', heardMs: clock.monotonicMs() };
    return {
      open: (opened) => {
        socket = opened;
        const known = this.#tunnels.get(nodeName) ?? [];
        const old = known.find((one) => one.dialled === dialled) ?? (known.length >= perNodeMax ? known[0] : undefined);
        if (old) this.#close(nodeName, old);
        this.#tunnels.set(nodeName, [...(this.#tunnels.get(nodeName) ?? []), tunnel]);
        void this.#watch(nodeName, tunnel, () => opened.close(1001, 'nothing was heard'));
      },
      message: (opened, data) => {
        tunnel.heardMs = clock.monotonicMs();
        const bytes = typeof data === 'string' ? Buffer.from(data) : data;
        if (bytes.length === ping.length) return void opened.send(ping);
        try {
          mux.receive(bytes);
        } catch (error) {
          log.warn('a node sent nonsense through its tunnel', { node: nodeName, error: messageOf(error) });
          opened.close(1002, 'protocol error');
        }
      },
      close: () => {
        socket = undefined;
        this.#close(nodeName, tunnel);
      },
    };
  }

  /** Until the tunnel is closed. */
  async #watch(nodeName: string, tunnel: Tunnel, cut: () => void): Promise<void> {
    const { clock, onWay, reader, log } = this.options;
    const { signal } = tunnel.stop;
    for (let told: KubeletWay | undefined; !signal.aborted; ) {
      if (!reader().get(nodeKind, '', nodeName)) {
        await clock.sleep(registerEveryMs, signal); // it dials before it is registered
        continue;
      }
      const way = (await this.#isReached(nodeName)) ? 'direct' : 'tunnel';
      if (signal.aborted) return;
      tunnel.way = way;
      if (told !== way)
        await onWay?.(nodeName, way)?.then(
          () => (told = way),
          (error: unknown) => log.warn('the way to a node was not noted', { node: nodeName, error: messageOf(error) }),
        );
      const endMs = clock.monotonicMs() + probeEveryMs;
      while (!signal.aborted && clock.monotonicMs() < endMs) {
        await clock.sleep(probeEveryMs / 6, signal);
        if (clock.monotonicMs() - tunnel.heardMs > silentMsMax) return cut();
      }
    }
  }

  /** Whether the node itself, by its certificate, answers at its address. What it answers does not matter. */
  async #isReached(nodeName: string): Promise<boolean> {
    const { reader, kubeletCa, kubeletRanges = [] } = this.options;
    try {
      await fetch(`https://${kubeletAddress(reader(), nodeName, kubeletRanges)}/healthz`, {
        signal: AbortSignal.timeout(probeMsMax),
        redirect: 'manual',
        keepalive: false,
        tls: tlsOf({ ca: kubeletCa, serverName: nodeName }),
        proxy: false as unknown as string, // the only value that overrides HTTP_PROXY; the types do not know it
      } as RequestInit);
      return true;
    } catch {
      return false;
    }
  }

  #close(nodeName: string, tunnel: Tunnel): void {
    const left = (this.#tunnels.get(nodeName) ?? []).filter((one) => one !== tunnel);
    if (left.length > 0) this.#tunnels.set(nodeName, left);
    else this.#tunnels.delete(nodeName);
    tunnel.stop.abort();
    tunnel.server.close();
    tunnel.mux.close();
  }
}
