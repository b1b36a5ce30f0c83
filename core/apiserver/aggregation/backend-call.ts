import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { errors } from '#api';
import { messageOf } from '#base';
import type { UserInfo } from '#sdk';
import { responseHeaders } from '../streaming/proxy-headers.ts';

/** Proves to an aggregated server that it is this server who names the user. PEM. */
export interface FrontProxy {
  readonly cert: string;
  readonly key: string;
}
export interface BackendTarget {
  /** `https://10.0.0.1:443`, checked. */
  readonly origin: string;
  /** What the certificate names: `service.namespace.svc`. */
  readonly serverName: string;
  /** PEM. Absent: the machine's own authorities, unless anything will do. */
  readonly ca?: string;
  readonly insecure: boolean;
}
export interface BackendRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Headers;
  readonly body?: Uint8Array;
  readonly user: UserInfo;
  readonly signal: AbortSignal;
}

/**
 * Asks an aggregated server in the name of a user. node:https, because fetch joins headers of the same name into one, and
 * the groups of a user are one header each.
 */
export function callBackend(
  target: BackendTarget,
  request: BackendRequest,
  proxy: FrontProxy | undefined,
): Promise<Response> {
  const { hostname, port } = new URL(target.origin);
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      {
        host: hostname.replace(/^\[|\]$/g, ''),
        port: port || 443,
        servername: target.serverName,
        method: request.method,
        path: request.path,
        headers: { ...headersOf(request), host: target.serverName },
        ...(target.ca !== undefined && { ca: target.ca }),
        ...(proxy && { cert: proxy.cert, key: proxy.key }),
        rejectUnauthorized: !target.insecure,
        agent: false,
        signal: request.signal,
      },
      (incoming) => {
        const status = incoming.statusCode ?? 502;
        const headers = new Headers();
        for (const [name, value] of Object.entries(incoming.headers))
          for (const one of Array.isArray(value) ? value : [value ?? '']) headers.append(name, one);
        const isEmpty = status === 204 || status === 304 || request.method === 'HEAD';
        if (isEmpty) incoming.resume();
        const body = isEmpty ? null : (Readable.toWeb(incoming) as unknown as ReadableStream);
        resolve(new Response(body, { status, headers: responseHeaders(headers) }));
      },
    );
    outgoing.on('error', (error) => reject(errors.unavailable(`error trying to reach service: ${messageOf(error)}`)));
    outgoing.end(request.body);
  });
}

function headersOf({ headers, user, body }: BackendRequest): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = Object.fromEntries(headers);
  delete all['content-length'];
  if (body) all['content-length'] = String(body.length);
  all['x-remote-user'] = user.name;
  if (user.uid) all['x-remote-uid'] = user.uid;
  if (user.groups.length > 0) all['x-remote-group'] = [...user.groups];
  for (const [key, values] of Object.entries(user.extra ?? {}))
    all[`x-remote-extra-${encodeURIComponent(key).toLowerCase()}`] = [...values];
  return all;
}
