import type { Container, HTTPGetAction, LifecycleHandler, Probe } from '#api';
import { type Clock, messageOf } from '#base';
import type { ContainerRuntime } from '#sdk';
import { grpcHandler } from './probes/grpc.ts';

export type HandlerResult =
  | { readonly ok: true; readonly warning?: string }
  | { readonly ok: false; readonly output: string };
export interface HandlerContext {
  readonly containerId: string;
  readonly container: Container;
  readonly podIp: string;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Sent as User-Agent of HTTP requests, such as `kube-probe/1.37`. */
  readonly agent: string;
}
const outputBytesMax = 10 * 1024;
const redirectsMax = 10;

/** Runs the handler of a probe or a lifecycle hook. Never throws; a time-out is a failure. */
export async function runHandler(handler: Probe | LifecycleHandler, context: HandlerContext): Promise<HandlerResult> {
  const cancel = new AbortController();
  const stop = () => cancel.abort();
  context.signal.addEventListener('abort', stop, { once: true });
  const sleeps = 'sleep' in handler && handler.sleep ? handler.sleep.seconds * 1000 : undefined;
  try {
    if (sleeps !== undefined) {
      await context.clock.sleep(Math.min(sleeps, context.timeoutMs), context.signal);
      return { ok: true };
    }
    const work = perform(handler, { ...context, signal: cancel.signal }).catch(
      (error): HandlerResult => ({ ok: false, output: messageOf(error) }),
    );
    const late = context.clock
      .sleep(context.timeoutMs, cancel.signal)
      .then((): HandlerResult => ({ ok: false, output: timeoutText(handler, context) }));
    return await Promise.race([work, late]);
  } finally {
    context.signal.removeEventListener('abort', stop);
    cancel.abort();
  }
}

function timeoutText(handler: Probe | LifecycleHandler, context: HandlerContext): string {
  const seconds = `${context.timeoutMs / 1000}s`;
  if (handler.exec)
    return `command timed out: ${JSON.stringify(handler.exec.command?.join(' '))} timed out after ${seconds}`;
  if (handler.httpGet)
    return `Get ${JSON.stringify(urlOf(handler.httpGet, context))}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)`;
  if ('grpc' in handler && handler.grpc) return `timeout: health rpc did not complete within ${seconds}`;
  return `dial tcp: i/o timeout`;
}

function perform(handler: Probe | LifecycleHandler, context: HandlerContext): Promise<HandlerResult> {
  if (handler.exec) return execHandler(handler.exec.command ?? [], context);
  if (context.runtime.answers)
    return Promise.resolve(
      context.runtime.answers(context.containerId) ? { ok: true } : { ok: false, output: 'connection refused' },
    );
  if (handler.httpGet) return httpHandler(handler.httpGet, context);
  if (handler.tcpSocket)
    return tcpHandler(handler.tcpSocket.host || context.podIp, portOf(handler.tcpSocket.port, context.container));
  if ('grpc' in handler && handler.grpc) return grpcHandler(handler.grpc, context);
  return Promise.resolve({ ok: false, output: 'the handler has no action' });
}

async function execHandler(command: readonly string[], context: HandlerContext): Promise<HandlerResult> {
  const session = await context.runtime.exec(context.containerId, {
    command,
    tty: false,
    stdin: false,
    signal: context.signal,
  });
  const [stdout, stderr, end] = await Promise.all([
    readSome(session.stdout),
    session.stderr ? readSome(session.stderr) : '',
    session.done,
  ]);
  return end.code === 0 ? { ok: true } : { ok: false, output: stdout + stderr };
}

async function readSome(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) if (text.length < outputBytesMax) text += decoder.decode(chunk, { stream: true });
  return text.slice(0, outputBytesMax);
}

/** A number, or the name of one of the container's ports. */
export function portOf(port: number | string, container: Container): number {
  if (typeof port === 'number' || /^\d+$/.test(port)) return Number(port);
  const named = container.ports?.find(({ name }) => name === port);
  if (!named) throw new Error(`port ${JSON.stringify(port)} not found`);
  return named.containerPort;
}

function urlOf(action: HTTPGetAction, { container, podIp }: Pick<HandlerContext, 'container' | 'podIp'>): string {
  const host = action.host || podIp;
  const path = action.path ?? '/';
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const authority = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${authority}:${portOf(action.port as number | string, container)}${path.startsWith('/') ? '' : '/'}${path}`;
}

async function httpHandler(action: HTTPGetAction, context: HandlerContext): Promise<HandlerResult> {
  const headers = new Headers({ 'user-agent': context.agent, accept: '*/*', connection: 'close' });
  for (const { name, value } of action.httpHeaders ?? []) headers.set(name, value);
  let url = urlOf(action, context);
  const { hostname } = new URL(url);
  for (let hop = 0; hop <= redirectsMax; hop++) {
    const response = await ask(url, {
      headers,
      redirect: 'manual',
      signal: context.signal,
      keepalive: false,
      tls: { rejectUnauthorized: false }, // the pod's own certificate: nobody vouches for it
    });
    await response.body?.cancel();
    if (response.status < 200 || response.status >= 400)
      return { ok: false, output: `HTTP probe failed with statuscode: ${response.status}` };
    const location = response.headers.get('location');
    if (response.status < 300 || !location) return { ok: true };
    const next = new URL(location, url);
    if (next.hostname !== hostname) return { ok: true, warning: 'Probe terminated redirects, Response body: ' };
    url = next.href;
  }
  return { ok: false, output: `Get "${url}": stopped after 10 redirects` };
}

/** As fetch; a connection that does not come about fails in the words that people search for. */
async function ask(url: string, options: BunFetchRequestInit): Promise<Response> {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    const { host } = new URL(url);
    throw new Error(`Get "${url}": ${isRefused(error) ? `dial tcp ${host}: ` : ''}${dialText(error)}`);
  }
}

async function tcpHandler(hostname: string, port: number): Promise<HandlerResult> {
  try {
    const socket = await Bun.connect({ hostname, port, socket: { data() {}, error() {} } });
    socket.end();
    return { ok: true };
  } catch (error) {
    return { ok: false, output: `dial tcp ${hostname}:${port}: ${dialText(error)}` };
  }
}
const codeOf = (error: unknown): string => (error as { code?: string }).code ?? '';
const isRefused = (error: unknown): boolean => /^(ECONNREFUSED|ConnectionRefused)$/.test(codeOf(error));
const dialText = (error: unknown): string =>
  isRefused(error)
    ? 'connect: connection refused'
    : codeOf(error) === 'ECONNRESET'
      ? 'read: connection reset by peer'
      : messageOf(error);
