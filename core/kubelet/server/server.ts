import { type Clock, type Files, type Log, messageOf, metricsType, systemFiles } from '#base';
import { negotiateChannels, offeredProtocols } from '../../wire/websocket-channels.ts';
import type { KubeletAccess, KubeletServerRuntime, VerifyKubeletToken } from './access.ts';
import { ExecSocket, parseStreams } from './exec.ts';
import { refusal, serveLogs } from './logs.ts';
import { PortForwardSocket, portForwardTunnel, portForwardTunnelHop } from './port-forward.ts';
import { negotiatePortForward, PortForwardChannels, readPorts } from './port-forward-channels.ts';
import { resourceMetrics } from './resource-metrics.ts';
import { type KubeletRoute, parseKubeletPath } from './route.ts';
import type { SocketSession } from './socket.ts';
import { statsSummary } from './stats.ts';
import { lookAround, UsageSampler } from './usage.ts';

export * from './access.ts';

export interface KubeletServerOptions {
  readonly access: KubeletAccess;
  readonly runtime: KubeletServerRuntime;
  readonly verify: VerifyKubeletToken;
  readonly tls: { readonly key: string; readonly cert: string };
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  /** What it reads of /proc; default: this machine's. */
  readonly files?: Pick<Files, 'readFile'>;
  /** The page of the process's own metrics; absent: 404. */
  readonly metrics?: () => string;
  /** The page of the plugins on this node; absent: 404. */
  readonly pluginMetrics?: () => string;
}
interface Serving extends KubeletServerOptions {
  readonly usage: UsageSampler;
}
export interface KubeletServer extends AsyncDisposable {
  readonly port: number;
}

const messageBytesMax = 16 * 1024 * 1024; // of one WebSocket message; clients send 32 KiB
const idleSeconds = 30; // until a request is authenticated; streams have none
const socketIdleSeconds = 960; // pings keep a living client below it

/**
 * The node's HTTPS endpoint, for the apiserver alone: logs, exec, attach, port-forward and stats. Every request carries a
 * token made for this one operation on this one container; the verb of the request means nothing. Errors before a stream are
 * plain text, as upstream's kubelet answers; behind the upgrade they travel on the error channel.
 */
export async function createKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  try {
    return serve(options, options.port);
  } catch (error) {
    if ((error as { code?: string }).code !== 'EADDRINUSE' || options.port === 0) throw error;
    options.log.warn('the port of the node endpoint is taken, another one is used', { port: options.port });
    return serve(options, 0); // the node's status tells everybody which
  }
}

function serve(given: KubeletServerOptions, port: number): KubeletServer {
  const { runtime, clock, files = systemFiles } = given;
  const options = {
    ...given,
    usage: new UsageSampler(
      lookAround(() => runtime.stats(), files, clock),
      clock,
    ),
  };
  const server = Bun.serve<SocketSession>({
    hostname: options.hostname,
    port,
    tls: { key: options.tls.key, cert: options.tls.cert },
    idleTimeout: idleSeconds,
    maxRequestBodySize: 0,
    async fetch(request, bun) {
      try {
        const route = parseKubeletPath(new URL(request.url).pathname);
        if (!route) return text(404, '404 page not found');
        const token = /^Bearer ([^\s]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
        if (!token || !(await options.verify(token, route.claim))) return text(401, 'Unauthorized');
        bun.timeout(request, 0);
        const answer = await respond(options, route, request);
        if (answer instanceof Response) return answer;
        if (bun.upgrade(request, { data: answer.session, headers: answer.headers })) return undefined;
        return text(426, 'this endpoint is a WebSocket: the request lacks the upgrade');
      } catch (error) {
        options.log.error('request failed', { error: messageOf(error) });
        return text(500, messageOf(error));
      }
    },
    websocket: {
      idleTimeout: socketIdleSeconds,
      maxPayloadLength: messageBytesMax,
      backpressureLimit: messageBytesMax * 2, // never reached: writers wait far below it
      perMessageDeflate: false,
      open: (socket) => socket.data.open(socket),
      message: (socket, data) => socket.data.message(data),
      drain: (socket) => socket.data.drain(),
      close: (socket) => socket.data.close(),
    },
  });
  return {
    port: server.port ?? options.port,
    async [Symbol.asyncDispose]() {
      await server.stop(true);
    },
  };
}

type Upgrade = { readonly session: SocketSession; readonly headers: Record<string, string> };

async function respond(options: Serving, route: KubeletRoute, request: Request): Promise<Response | Upgrade> {
  const { access, runtime, clock, log } = options;
  const { namespace, pod, operation } = route.claim;
  const query = new URL(request.url).searchParams;
  switch (operation) {
    case 'stats':
      return figures(options, route.path);
    case 'logs': {
      const container = route.claim.container ?? '';
      return serveLogs({ namespace, pod, container, query, signal: request.signal }, access, runtime, clock, log);
    }
    case 'portForward': {
      const found = access.findPod(namespace, pod);
      if (!found) return text(404, `pod "${pod}" does not exist`);
      if (!found.running) return text(400, `pod "${pod}" is not running`);
      const offered = offeredProtocols(request.headers.get('sec-websocket-protocol'));
      const tunnel = [portForwardTunnel, portForwardTunnelHop].find((protocol) => offered.includes(protocol));
      const dial = (port: number, signal: AbortSignal) => runtime.dial(found.uid, port, signal);
      const forward = { pod: `${pod}_${namespace}`, podUid: found.uid, dial };
      if (tunnel) return upgradeTo(new PortForwardSocket(forward, clock, log), tunnel);
      const protocol = negotiatePortForward(request.headers.get('sec-websocket-protocol'));
      if (!protocol)
        return text(426, `port-forward speaks the WebSocket subprotocols ${portForwardTunnel} and v4.channel.k8s.io`);
      const ports = readPorts(query);
      if (typeof ports === 'string') return text(400, ports);
      return upgradeTo(new PortForwardChannels(forward, protocol, ports, log), protocol.name);
    }
    case 'exec':
    case 'attach':
      return respondExec(options, route, operation, request, query);
  }
}

async function figures({ access, usage, metrics, pluginMetrics, clock }: Serving, path: string): Promise<Response> {
  const page = (body: string) => new Response(body, { headers: { 'content-type': metricsType } });
  if (path === '/healthz') return text(200, 'ok');
  const own = { '/metrics': metrics, '/metrics/plugins': pluginMetrics };
  if (path in own) {
    const body = own[path as keyof typeof own];
    return body ? page(body()) : text(404, '404 page not found');
  }
  const used = await usage.read();
  if (path === '/metrics/resource') return page(resourceMetrics(access, used, clock.now()));
  return Response.json(statsSummary(access, used, clock.now()));
}

function respondExec(
  { access, runtime, clock, log }: KubeletServerOptions,
  route: KubeletRoute,
  kind: 'exec' | 'attach',
  request: Request,
  query: URLSearchParams,
): Response | Upgrade {
  const { namespace, pod } = route.claim;
  const container = route.claim.container ?? '';
  const found = access.findContainer(namespace, pod, container);
  if (found.type === 'noPod') return text(404, refusal(found, { pod, container }));
  if (found.type !== 'found' || !found.running) return text(500, `container not found ("${container}")`);
  const streams = parseStreams(query);
  if (typeof streams === 'string') return text(400, streams);
  const command = query.getAll('command');
  if (kind === 'exec' && command.length === 0)
    return text(400, 'you must specify at least one command for the container');
  const protocol = negotiateChannels(request.headers.get('sec-websocket-protocol'));
  if (!protocol) return text(403, 'none of the requested WebSocket subprotocols is spoken here');
  const id = found.containerId;
  const stdin = streams.stdin && (kind === 'exec' || found.stdin);
  const session = new ExecSocket(
    {
      kind,
      protocol,
      streams: { ...streams, stdin },
      start: (signal) =>
        kind === 'exec'
          ? runtime.exec(id, { command, tty: streams.tty, stdin, signal })
          : runtime.attach(id, { tty: found.tty, stdin, signal }),
    },
    clock,
    log,
  );
  return upgradeTo(session, protocol.name);
}

const upgradeTo = (session: SocketSession, protocol: string): Upgrade => ({
  session,
  headers: protocol ? { 'sec-websocket-protocol': protocol } : {},
});

const text = (status: number, body: string): Response =>
  new Response(body, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } });
