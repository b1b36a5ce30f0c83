// The server inside pintle/demo:local. It runs alone in a container: no import of ours.
const name = process.env['POD_NAME'] ?? process.env['HOSTNAME'] ?? 'unknown';
let ready = true;

const serve = (hostname: string) =>
  Bun.serve({
    hostname,
    port: Number(process.env['PORT'] ?? 8080),
    fetch(request) {
      switch (new URL(request.url).pathname) {
        case '/':
          return new Response(`${name}\n`);
        case '/healthz':
          return new Response(ready ? 'ok\n' : 'not ready\n', { status: ready ? 200 : 503 });
        case '/ready':
        case '/unready':
          if (request.method !== 'POST') return new Response('POST this path\n', { status: 405 });
          ready = new URL(request.url).pathname === '/ready';
          return new Response(ready ? 'ready\n' : 'not ready\n');
        case '/env':
          return new Response(
            Object.entries(process.env)
              .map(([key, value]) => `${key}=${value}\n`)
              .sort()
              .join(''),
          );
        default:
          return new Response('not found\n', { status: 404 });
      }
    },
  });
function listen(): ReturnType<typeof serve> {
  const own = process.env['POD_IP']; // without network namespaces every pod has an address of its own to bind
  if (own) return serve(own);
  try {
    return serve('::'); // both families
  } catch {
    return serve('0.0.0.0'); // a machine without IPv6
  }
}
const server = listen();
console.log(`${name} listens on ${server.hostname}:${server.port}`);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));

export {};
