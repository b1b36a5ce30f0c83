import { errors, type Pod } from '#api';
import type { StreamContext, StreamHandler } from '../contract.ts';
import { fetchDirect } from './fetch-direct.ts';
import {
  chooseContainer,
  findPod,
  type KubeletTarget,
  type KubeletTokenClaim,
  kubeletTarget,
  type StreamingOptions,
} from './pod-target.ts';
import { connectBackend, Relay } from './relay.ts';
import { isSpdy, isWebSocket, spdyRefused, upgraded, upgradeRequired } from './upgrade.ts';

/** pods/exec and pods/attach. */
export const execHandler =
  (op: 'exec' | 'attach', options: StreamingOptions): StreamHandler =>
  async (request, info, context) => {
    const pod = findPod(context.reader, info);
    const container = chooseContainer(pod, info.query.get('container'));
    const query = kubeletExecQuery(op, info.query);
    const claim = { op, namespace: info.namespace, pod: info.name, container };
    const path = `/${op}/${info.namespace}/${info.name}/${container}?${query}`;
    return relayTo(request, context, pod, claim, path, options);
  };

/** pods/portforward. */
export const portForwardHandler =
  (options: StreamingOptions): StreamHandler =>
  (request, info, context) => {
    const pod = findPod(context.reader, info);
    const claim = { op: 'portForward', namespace: info.namespace, pod: info.name } as const;
    const ports = new URLSearchParams(info.query.getAll('ports').map((port): [string, string] => ['port', port]));
    return relayTo(request, context, pod, claim, `/portForward/${info.namespace}/${info.name}?${ports}`, options);
  };

/** PodExecOptions and PodAttachOptions as the kubelet's endpoint names them. Throws 400. */
export function kubeletExecQuery(op: 'exec' | 'attach', query: URLSearchParams): URLSearchParams {
  const wanted = new URLSearchParams();
  for (const [from, to] of [
    ['stdin', 'input'],
    ['stdout', 'output'],
    ['stderr', 'error'],
    ['tty', 'tty'],
  ] as const) {
    const text = query.get(from);
    if (text !== null && !['false', '0', 'f', 'F'].includes(text)) wanted.set(to, '1');
  }
  if (op === 'attach') return wanted;
  const command = query.getAll('command');
  if (command.length === 0) throw errors.badRequest('you must specify at least one command for the container');
  for (const word of command) wanted.append('command', word);
  return wanted;
}

async function relayTo(
  request: Request,
  context: StreamContext,
  pod: Readonly<Pod>,
  claim: KubeletTokenClaim,
  path: string,
  options: StreamingOptions,
): Promise<Response | undefined> {
  if (!isWebSocket(request) && !isSpdy(request)) throw upgradeRequired();
  const node = pod.spec?.nodeName;
  if (!node) throw errors.badRequest(`pod ${claim.pod} does not have a host assigned`);
  const target = await kubeletTarget(context.reader, node, claim, options);
  const offered = (request.headers.get('sec-websocket-protocol') ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  if (isWebSocket(request)) {
    const backend = await connectBackend(`wss://${target.host}${path}`, {
      protocols: offered,
      headers: { authorization: `Bearer ${target.token}` },
      ca: options.kubeletCa,
      serverName: target.node,
      clock: context.clock,
      signal: request.signal,
    });
    if (backend) {
      const headers: Record<string, string> = backend.protocol ? { 'sec-websocket-protocol': backend.protocol } : {};
      try {
        return upgraded(context, new Relay(backend, context.clock, context.log), headers);
      } catch (error) {
        backend.socket.terminate();
        throw error;
      }
    }
  }
  return explain(request, target, path, offered, options);
}

/** Why there is no stream: a WebSocket client does not see what was answered instead of the upgrade, so it is asked again without. */
async function explain(
  request: Request,
  target: KubeletTarget,
  path: string,
  offered: readonly string[],
  options: StreamingOptions,
): Promise<Response> {
  const answer = await fetchDirect(`https://${target.host}${path}`, {
    headers: {
      authorization: `Bearer ${target.token}`,
      ...(offered.length > 0 ? { 'sec-websocket-protocol': offered.join(', ') } : {}),
    },
    signal: request.signal,
    ca: options.kubeletCa,
    serverName: target.node,
    who: `node "${target.node}"`,
  });
  const said = (await answer.text()).slice(0, 4096);
  if (answer.status === 426) throw isSpdy(request) ? spdyRefused() : errors.badRequest(said);
  if (answer.status === 401) throw errors.internal('the kubelet did not accept the credentials of the apiserver');
  // Plain text with the kubelet's code, as upstream hands it on: clients put "unable to upgrade connection: " before it.
  return new Response(said, { status: answer.status, headers: { 'content-type': 'text/plain; charset=utf-8' } });
}
