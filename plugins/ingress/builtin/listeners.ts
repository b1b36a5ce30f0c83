import tls from 'node:tls';
import { type Log, messageOf } from '#sdk';
import type { Listener, Routing } from '../model.ts';
import type { Certificates } from './certificates.ts';
import { plainAddress, SocketWire, StreamWire, type Wire } from './wire.ts';

/** What is done with a connection that has come. */
export interface Reception {
  /** May close it at once. */
  http1(wire: Wire): void;
  http2(stream: tls.TLSSocket, carrier: { peer: string; port: number; isSecure: boolean }): void;
  readonly isFull: boolean;
}
interface Opened {
  readonly wanted: Listener;
  readonly listener: Listener;
  stop(): void;
  /** For handshakes that name no host. */
  useDefault(certificate: Routing['defaultCertificate']): void;
}
const handshakeMs = 10_000;

/** The sockets on which clients come. */
export class Listeners {
  #opened: Opened[] = [];

  constructor(
    private readonly reception: Reception,
    private readonly certificates: Certificates,
    private readonly log: Log,
  ) {}

  get listening(): readonly Listener[] {
    return this.#opened.map(({ listener }) => listener);
  }

  /** New ones first, then the old ones end; a connection keeps what it came by. */
  async use(routing: Routing): Promise<{ rejected: { id: string; reason: string }[]; changed: boolean }> {
    const { listeners, defaultCertificate } = routing;
    const rejected: { id: string; reason: string }[] = [];
    const next: Opened[] = [];
    for (const wanted of listeners) {
      const former = this.#opened.find((one) => Bun.deepEquals(one.wanted, wanted));
      try {
        const opened =
          former ?? (await (wanted.protocol === 'http' ? this.#http(wanted) : this.#https(wanted, routing)));
        opened.useDefault(defaultCertificate);
        next.push(opened);
      } catch (error) {
        rejected.push({ id: wanted.name, reason: messageOf(error) });
      }
    }
    const changed = next.length !== this.#opened.length || next.some((one, index) => one !== this.#opened[index]);
    for (const one of this.#opened) if (!next.includes(one)) one.stop();
    this.#opened = next;
    return { rejected, changed };
  }

  #http(wanted: Listener): Opened {
    const { reception } = this;
    const server = Bun.listen<SocketWire>({
      hostname: wanted.ip,
      port: wanted.port,
      allowHalfOpen: true,
      socket: {
        ...SocketWire.handlers,
        open(socket) {
          if (reception.isFull) {
            socket.terminate();
            return;
          }
          const wire = new SocketWire();
          socket.data = wire;
          wire.opened(socket);
          reception.http1(wire);
        },
      },
    });
    return {
      wanted,
      listener: { ...wanted, port: server.port },
      stop: () => server.stop(false),
      useDefault() {},
    };
  }

  #https(wanted: Listener, { defaultCertificate }: Routing): Promise<Opened> {
    const { reception, certificates, log } = this;
    const { cert, key } = defaultCertificate;
    const server = tls.createServer(
      {
        cert,
        key,
        ALPNProtocols: ['h2', 'http/1.1'],
        minVersion: 'TLSv1.2',
        handshakeTimeout: handshakeMs,
        SNICallback: (name, answer) => answer(null, certificates.find(name)),
      },
      (socket) => {
        const carrier = {
          peer: plainAddress(socket.remoteAddress ?? ''),
          port: socket.localPort ?? wanted.port,
          isSecure: true,
        };
        socket.on('error', () => socket.destroy());
        if (reception.isFull) socket.destroy();
        else if (socket.alpnProtocol === 'h2') reception.http2(socket, carrier);
        else reception.http1(new StreamWire(socket, carrier.peer, carrier.port, true));
      },
    );
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    let version = defaultCertificate.version;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: wanted.ip, port: wanted.port }, () => {
        server.off('error', reject);
        server.on('error', (error) => log.warn('the listener for TLS', { error: messageOf(error) }));
        resolve({
          wanted,
          listener: { ...wanted, port: (server.address() as { port: number }).port },
          stop: () => void server.close(),
          useDefault(next) {
            if (next.version === version) return;
            version = next.version;
            server.setSecureContext({ cert: next.cert, key: next.key });
          },
        });
      });
    });
  }

  stop(): void {
    for (const one of this.#opened.splice(0)) one.stop();
  }
}
