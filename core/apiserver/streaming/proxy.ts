import { errors, nodeKind } from '#api';
import type { RequestInfo, StreamContext, StreamHandler } from '../contract.ts';
import { checkedAddress, hostPort } from './address.ts';
import { fetchDirect } from './fetch-direct.ts';
import { type KubeletTokenClaim, kubeletTarget, type StreamingOptions } from './pod-target.ts';
import { requestHeaders, responseHeaders, rewriteLinks, throughProxy } from './proxy-headers.ts';
import { podOrigin, portNumber, serviceOrigin, splitProxyName } from './proxy-target.ts';
import { connectBackend, Relay } from './relay.ts';
import { isSpdy, isWebSocket, spdyRefused, upgraded } from './upgrade.ts';

interface ProxyTarget {
  readonly origin: string;
  readonly who: string;
  /** Of a kubelet: its credentials are ours, so what is asked there is listed, not free. */
  readonly token?: string;
  readonly ca?: string;
  readonly serverName?: string;
}
const kubeletFigures: ReadonlySet<string> = new Set([
  '/healthz',
  '/stats/summary',
  '/metrics',
  '/metrics/resource',
  '/metrics/plugins',
]);
/** Of the kubelet's endpoint; the others would make reading nodes/proxy as strong as exec. Undefined: not to be had. */
function kubeletClaim(path: string, method: string): KubeletTokenClaim | undefined {
  if (method !== 'GET' && method !== 'HEAD') return undefined;
  if (kubeletFigures.has(path)) return { op: 'stats', namespace: '', pod: '' };
  const [, namespace, pod, container] = /^\/containerLogs\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  return namespace && pod && container ? { op: 'logs', namespace, pod, container } : undefined;
}

/** pods/proxy, services/proxy and nodes/proxy: any method, bodies streamed both ways, redirects handed on and never followed. */
export const proxyHandler =
  (resource: 'pods' | 'services' | 'nodes', options: StreamingOptions): StreamHandler =>
  async (request, info, context) => {
    const url = new URL(request.url);
    const plainRead = request.method === 'GET' || request.method === 'HEAD';
    if (info.rest === '' && plainRead && !isWebSocket(request))
      // relative links need the slash
      return new Response(null, { status: 301, headers: { location: `${url.pathname}/${url.search}` } });
    if (isSpdy(request)) throw spdyRefused();
    const target = await proxyTarget(resource, info, context, options, request.method);
    const path = info.rest === '' ? '/' : info.rest;
    const prefix = url.pathname.slice(0, url.pathname.length - info.rest.length);
    if (isWebSocket(request)) {
      const relayed = await proxySocket(request, target, `${path}${url.search}`, context);
      if (relayed) return undefined;
      // Refused. A WebSocket client does not see what was answered instead: it is asked again without, and handed on.
    }
    const headers = requestHeaders(request);
    if (target.token) headers.set('authorization', `Bearer ${target.token}`);
    const answer = await fetchDirect(`${target.origin}${path}${url.search}`, {
      method: request.method,
      headers,
      body: request.body,
      signal: request.signal,
      ca: target.ca,
      serverName: target.serverName,
      who: target.who,
    });
    return proxied(answer, target.origin, prefix);
  };

function proxied(answer: Response, origin: string, prefix: string): Response {
  const headers = responseHeaders(answer.headers);
  const location = headers.get('location');
  if (location) headers.set('location', throughProxy(location, origin, prefix));
  const page = new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
  const rewritable = headers.get('content-type')?.startsWith('text/html') && !headers.has('content-encoding');
  if (!rewritable || !answer.body) return page;
  headers.delete('content-length');
  page.headers.delete('content-length');
  return rewriteLinks(page, origin, prefix);
}

async function proxyTarget(
  resource: 'pods' | 'services' | 'nodes',
  info: RequestInfo,
  context: StreamContext,
  options: StreamingOptions,
  method: string,
): Promise<ProxyTarget> {
  const { reader, random } = context;
  const ranges = options.allowedRanges ?? [];
  const who = resource === 'nodes' ? `node "${info.name}"` : 'service'; // of pods too, as upstream says it
  if (resource === 'pods') return { origin: podOrigin(reader, info.namespace, info.name, ranges), who };
  if (resource === 'services') return { origin: serviceOrigin(reader, info.namespace, info.name, ranges, random), who };
  const { scheme, name, port } = splitProxyName(info.name, 'node');
  const node = reader.get(nodeKind, '', name);
  if (!node) throw errors.notFound('nodes', name);
  const kubeletPort = node.status?.daemonEndpoints?.kubeletEndpoint?.Port;
  if (port !== '' && portNumber(port) !== kubeletPort) {
    const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
    return { origin: `${scheme}://${hostPort(checkedAddress(address, ranges), portNumber(port))}`, who };
  }
  const claim = kubeletClaim(info.rest, method);
  if (!claim)
    throw errors.forbidden(
      'nodes',
      name,
      'through nodes/proxy the kubelet answers GET of /healthz, /metrics, /metrics/resource, /metrics/plugins, /stats/summary and /containerLogs/NAMESPACE/POD/CONTAINER only',
    );
  const target = await kubeletTarget(reader, name, claim, options);
  return { origin: `https://${target.host}`, who, token: target.token, ca: options.kubeletCa, serverName: name };
}

/** False: the backend did not accept it. */
async function proxySocket(
  request: Request,
  target: ProxyTarget,
  path: string,
  context: StreamContext,
): Promise<boolean> {
  if (target.token) throw errors.badRequest('the kubelet is not reached by WebSocket through nodes/proxy');
  const headers = requestHeaders(request);
  const protocols = (request.headers.get('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());
  const backend = await connectBackend(`${target.origin.replace(/^http/, 'ws')}${path}`, {
    protocols: protocols.filter(Boolean),
    headers: Object.fromEntries(headers),
    clock: context.clock,
    signal: request.signal,
  });
  if (!backend) return false;
  const answer: Record<string, string> = backend.protocol ? { 'sec-websocket-protocol': backend.protocol } : {};
  try {
    upgraded(context, new Relay(backend, context.clock, context.log), answer);
    return true;
  } catch (error) {
    backend.socket.terminate();
    throw error;
  }
}
