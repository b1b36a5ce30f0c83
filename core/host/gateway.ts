import { chmod, rm } from 'node:fs/promises';
import type { Fetch } from '#client';

const requestsMax = 64;
const bodyBytesMax = 3 * 1024 * 1024;
/** What a plugin says of itself is not believed: who it is comes from the socket. */
const passedHeaders = ['accept', 'content-type'] as const;

export interface GatewayOptions {
  /** Of the unix socket; made by the gateway. */
  readonly path: string;
  readonly fetch: Fetch;
  readonly baseUrl: string;
  /** Of the plugin's own account. */
  readonly token: () => Promise<string>;
  readonly userAgent: string;
}
export interface Gateway extends AsyncDisposable {
  /** From now on every write is answered 409 StaleEpoch: a newer version acts. */
  fence(): void;
}

/** The Kubernetes API on a unix socket, as one account. Whoever reaches the socket is that plugin: no token leaves the host. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  await rm(options.path, { force: true });
  let running = 0;
  let fenced = false;
  const server = Bun.serve({
    unix: options.path,
    maxRequestBodySize: bodyBytesMax,
    async fetch(request, server) {
      server.timeout(request, 0); // a watch may be silent for long
      const reads = request.method === 'GET' || request.method === 'HEAD';
      if (fenced && !reads) return refusal(409, 'StaleEpoch', 'a newer version of this plugin has taken over');
      if (running >= requestsMax) return refusal(429, 'TooManyRequests', `more than ${requestsMax} requests at once`);
      running++;
      try {
        return await forward(request, options);
      } catch {
        return refusal(503, 'ServiceUnavailable', 'the API server does not answer');
      } finally {
        running--;
      }
    },
  });
  await chmod(options.path, 0o666); // its folder keeps others out
  return {
    fence: () => void (fenced = true),
    async [Symbol.asyncDispose]() {
      await server.stop(true);
      await rm(options.path, { force: true });
    },
  };
}

async function forward(request: Request, { fetch, baseUrl, token, userAgent }: GatewayOptions): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const headers = new Headers({ authorization: `Bearer ${await token()}`, 'user-agent': userAgent });
  for (const name of passedHeaders) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const answer = await fetch(
    new Request(baseUrl + pathname + search, {
      method: request.method,
      headers,
      body: request.body ? await request.arrayBuffer() : undefined,
      redirect: 'manual',
      signal: request.signal,
    }),
  );
  const passed = new Headers();
  for (const name of ['content-type', 'retry-after', 'warning'])
    for (const value of answer.headers.get(name) === null ? [] : [answer.headers.get(name)!]) passed.set(name, value);
  return new Response(answer.body, { status: answer.status, headers: passed });
}

const refusal = (code: number, reason: string, message: string): Response =>
  Response.json(
    { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code },
    { status: code },
  );
