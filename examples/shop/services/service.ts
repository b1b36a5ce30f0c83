// What every service of the shop has: a server with health and metrics, and calls to other services that are counted.
type Handler = (request: Request, parts: Readonly<Record<string, string>>) => Response | Promise<Response>;
/** `GET /api/cart/:id` → what answers it. */
export type Routes = Readonly<Record<string, Handler>>;

const callTimeoutMs = 2_000;
const bodyBytesMax = 16_384;
const counters = new Map<string, number>();
const help = new Map<string, string>();

/** Adds to a counter. `labels` as they stand in the text format. */
export function count(name: string, about: string, labels: string, by = 1): void {
  help.set(name, about);
  const key = `${name}{${labels}}`;
  counters.set(key, (counters.get(key) ?? 0) + by);
}
function metricsText(): string {
  const lines = [...help].flatMap(([name, about]) => [
    `# HELP ${name} ${about}`,
    `# TYPE ${name} counter`,
    ...[...counters].filter(([key]) => key.startsWith(`${name}{`)).map(([key, value]) => `${key} ${value}`),
  ]);
  return `${lines.join('\n')}\n`;
}

/** Something that the client is told, with its status. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Asks another service by its name in the cluster. Throws a Refusal: 502 when it does not answer, else what it said. */
export async function call<T>(from: string, to: string, path: string, init: RequestInit = {}): Promise<T> {
  const counted = (result: string) =>
    count(
      'shop_calls_total',
      'Calls between services by how they ended.',
      `service="${from}",to="${to}",result="${result}"`,
    );
  let answer: Response;
  try {
    answer = await fetch(`http://${to}${path}`, { ...init, signal: AbortSignal.timeout(callTimeoutMs) });
  } catch (error) {
    counted('error');
    throw new Refusal(502, `${to} does not answer: ${error instanceof Error ? error.message : error}`);
  }
  counted(answer.status < 500 ? 'ok' : 'error');
  if (!answer.ok) throw new Refusal(answer.status < 500 ? answer.status : 502, await answer.text());
  return (await answer.json()) as T;
}

function match(pattern: string, request: Request): Record<string, string> | undefined {
  const [method, wanted = ''] = pattern.split(' ');
  const [names, given] = [wanted.split('/'), new URL(request.url).pathname.split('/')];
  if (method !== request.method || names.length !== given.length) return undefined;
  const parts: Record<string, string> = {};
  for (const [index, name] of names.entries())
    if (name.startsWith(':')) parts[name.slice(1)] = given[index]!;
    else if (name !== given[index]) return undefined;
  return parts;
}

/** Runs the service until it is told to end. */
export function serve(service: string, routes: Routes): void {
  const answer = async (request: Request): Promise<Response> => {
    for (const [pattern, handler] of Object.entries(routes)) {
      const parts = match(pattern, request);
      if (!parts) continue;
      try {
        return await handler(request, parts);
      } catch (error) {
        if (error instanceof Refusal) return new Response(`${error.message}\n`, { status: error.status });
        console.error(error);
        return new Response('something went wrong here\n', { status: 500 });
      }
    }
    return new Response('not found\n', { status: 404 });
  };
  const server = Bun.serve({
    hostname: process.env['POD_IP'] || '0.0.0.0', // without network namespaces every pod has an address of its own to bind
    port: Number(process.env['PORT'] ?? 8080),
    maxRequestBodySize: bodyBytesMax,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === '/healthz') return new Response('ok\n');
      if (pathname === '/metrics')
        return new Response(metricsText(), { headers: { 'content-type': 'text/plain; version=0.0.4' } });
      const response = await answer(request);
      count('shop_requests_total', 'Requests by their status.', `service="${service}",code="${response.status}"`);
      return response;
    },
  });
  console.log(`${service} listens on ${server.hostname}:${server.port}`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => void server.stop().then(() => process.exit(0)));
}
