import { errors, type FieldError, fieldErrors, invalidObject, StatusError } from '#api';
import type { StreamHandler } from '../contract.ts';
import { fetchDirect } from './fetch-direct.ts';
import { chooseContainer, findPod, kubeletTarget, type StreamingOptions } from './pod-target.ts';
import { chooseReaderProtocol, ReaderSession } from './reader-session.ts';
import { isWebSocket, upgraded } from './upgrade.ts';

const errorBytesMax = 50_000; // of what a kubelet says when it refuses

/** GET pods/log: the kubelet's answer, streamed. */
export const logHandler =
  (options: StreamingOptions): StreamHandler =>
  async (request, info, context) => {
    const { reader } = context;
    if (request.method !== 'GET')
      throw errors.methodNotAllowed('the server does not allow this method on the requested resource');
    const query = kubeletLogQuery(info.query);
    const protocol = isWebSocket(request)
      ? chooseReaderProtocol(request.headers.get('sec-websocket-protocol'))
      : undefined;
    const pod = findPod(reader, info);
    const container = chooseContainer(pod, info.query.get('container'));
    const node = pod.spec?.nodeName;
    if (!node) return new Response(null, { status: 204 }); // nothing has run yet, so there is nothing to say
    const claim = { op: 'logs', namespace: info.namespace, pod: info.name, container } as const;
    const target = await kubeletTarget(reader, node, claim, options);
    const stop = new AbortController();
    request.signal.addEventListener('abort', () => stop.abort(), { once: true });
    if (request.signal.aborted) stop.abort();
    const answer = await fetchDirect(
      `https://${target.host}/containerLogs/${info.namespace}/${info.name}/${container}?${query}`,
      {
        headers: { authorization: `Bearer ${target.token}` },
        signal: stop.signal,
        ca: options.kubeletCa,
        serverName: target.node,
        who: `node "${node}"`,
      },
    );
    if (answer.status !== 200) throw await refusedBy(answer, info.name, errorBytesMax);
    if (isWebSocket(request)) {
      const session = new ReaderSession(answer.body, protocol, () => stop.abort());
      return upgraded(context, session, protocol ? { 'sec-websocket-protocol': protocol } : {});
    }
    return new Response(answer.body, { headers: { 'content-type': 'text/plain' } });
  };

/** The kubelet's plain sentence as a Status. */
export async function refusedBy(answer: Response, pod: string, bytesMax: number): Promise<StatusError> {
  const said = (await answer.text()).slice(0, bytesMax);
  switch (answer.status) {
    case 400:
      return errors.badRequest(said);
    case 404:
      return new StatusError(404, 'NotFound', said, { name: pod, kind: 'pods' });
    case 401:
    case 403:
      return errors.internal('the kubelet did not accept the credentials of the apiserver');
    default:
      return errors.internal(said);
  }
}

/** PodLogOptions, checked as upstream does, as the kubelet wants them. Throws 422. */
export function kubeletLogQuery(query: URLSearchParams): URLSearchParams {
  const mistakes: FieldError[] = [];
  const wanted = new URLSearchParams();
  for (const name of ['follow', 'previous', 'timestamps']) {
    const text = query.get(name);
    if (text !== null && !['false', '0', 'f', 'F'].includes(text)) wanted.set(name, 'true');
  }
  for (const [name, least, why] of [
    ['tailLines', 0, 'must be greater than or equal to 0'],
    ['limitBytes', 1, 'must be greater than 0'],
    ['sinceSeconds', 1, 'must be greater than 0'],
  ] as const) {
    const text = query.get(name);
    if (text === null || text === '') continue;
    const value = Number(text);
    if (!Number.isSafeInteger(value))
      throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    if (value < least) mistakes.push(fieldErrors.invalid(name, value, why));
    wanted.set(name, String(value));
  }
  const sinceTime = query.get('sinceTime');
  if (sinceTime) {
    if (Number.isNaN(Date.parse(sinceTime)))
      throw errors.badRequest(`sinceTime ${JSON.stringify(sinceTime)} is no RFC 3339 time`);
    if (wanted.has('sinceSeconds'))
      mistakes.push(fieldErrors.forbidden('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
    wanted.set('sinceTime', sinceTime);
  }
  const stream = query.get('stream') || 'All';
  const streams = ['All', 'Stdout', 'Stderr'];
  if (!streams.includes(stream)) mistakes.push(fieldErrors.notSupported('stream', stream, streams));
  else if (stream !== 'All' && wanted.has('tailLines'))
    mistakes.push(fieldErrors.forbidden('', '`tailLines` and specific `stream` are mutually exclusive for now'));
  if (mistakes.length > 0) throw invalidObject('PodLogOptions', '', '', mistakes);
  wanted.set('stream', stream);
  return wanted;
}
