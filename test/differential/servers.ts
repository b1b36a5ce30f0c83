import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Scope, silentLog, systemClock, systemRandom } from '#base';
import { createAuthenticator } from '../../core/apiserver/auth/authenticator.ts';
import { createAuthorizer } from '../../core/apiserver/auth/authorizer.ts';
import { createNodeUses } from '../../core/apiserver/auth/node-authorizer.ts';
import { createSchemaEngine } from '../../core/apiserver/schema/schema.ts';
import { createApiServer } from '../../core/apiserver/server.ts';
import { createClient } from '../../core/client/http.ts';
import { createMemoryStore } from '../../core/store/memory.ts';
import { createAuthority, issueServing } from '../../core/wire/pki.ts';
import customResources from '../../plugins/crd/api.ts';

/** A server that the requests go to; both are reached over TLS with an administrator's token. */
export interface Server extends AsyncDisposable {
  readonly name: 'upstream' | 'ours';
  readonly url: string;
  readonly token: string;
}
const token = 'upstream';
const serviceRange = '10.96.0.0/16,fd00:10:96::/112';

/** The tool that builds and starts upstream: UPSTREAM_TOOL, else `shared/tools/upstream` beside a parent folder, else PATH. */
export function upstreamTool(): string | undefined {
  const named = process.env['UPSTREAM_TOOL'];
  if (named) return named;
  for (let folder = import.meta.dir; folder !== dirname(folder); folder = dirname(folder)) {
    const path = join(folder, 'shared/tools/upstream');
    if (existsSync(path)) return path;
  }
  return Bun.which('upstream') ?? undefined;
}

/** UPSTREAM_URL uses one that runs already (token `upstream`); otherwise one is started and stopped. */
export async function startUpstream(): Promise<Server> {
  const running = process.env['UPSTREAM_URL'];
  if (running) return { name: 'upstream', url: running, token, [Symbol.asyncDispose]: async () => {} };
  const tool = upstreamTool();
  if (!tool) throw new Error('no upstream tool here; set UPSTREAM_TOOL or UPSTREAM_URL');
  const folder = await mkdtemp(join(tmpdir(), 'pintle-upstream-'));
  const port = process.env['UPSTREAM_PORT'] ?? '17590';
  const up = Bun.spawn([tool, 'up', folder, port], {
    stdout: 'ignore',
    stderr: 'pipe',
    env: { ...process.env, UPSTREAM_ARGS: `--service-cluster-ip-range=${serviceRange}` },
  });
  if ((await up.exited) !== 0) {
    await rm(folder, { recursive: true, force: true });
    throw new Error(`upstream did not start: ${await new Response(up.stderr).text()}`);
  }
  return {
    name: 'upstream',
    url: `https://127.0.0.1:${port}`,
    token,
    async [Symbol.asyncDispose]() {
      await Bun.spawn([tool, 'down', folder], { stdout: 'ignore', stderr: 'ignore' }).exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Named in discovery; nothing streams here, for want of a node. */
const streamNames = [
  'pods/log',
  'pods/exec',
  'pods/attach',
  'pods/portforward',
  'pods/proxy',
  'services/proxy',
  'nodes/proxy',
];
const noStream = async () => new Response('no node', { status: 503 });

/** Ours in this process, on a memory store, with the listener, the schemas and the strategies that ship. */
export async function startOurs(): Promise<Server> {
  const server = await createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    authenticator: createAuthenticator({
      tokenFile: {
        userOf: async (given) =>
          given === token
            ? { name: 'admin', uid: 'admin', groups: ['system:masters', 'system:authenticated'] }
            : undefined,
      },
    }),
    authorizer: createAuthorizer({ nodeUses: createNodeUses(() => []) }),
    serviceRange,
    streams: Object.fromEntries(streamNames.map((name) => [name, noStream])),
    advertise: { ip: '127.0.0.1', port: 6443 },
  });
  const parts = new Scope();
  await startCustomResources(server, parts);
  const authority = await createAuthority('differential', systemClock.now());
  const tls = await issueServing(authority, {
    commonName: 'differential',
    ipAddresses: ['127.0.0.1'],
    dnsNames: ['localhost'],
    days: 1,
    nowMs: systemClock.now(),
  });
  const { port } = await server.listen({ hostname: '127.0.0.1', port: 0, tls });
  return {
    name: 'ours',
    url: `https://127.0.0.1:${port}`,
    token,
    async [Symbol.asyncDispose]() {
      await parts[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function startCustomResources(server: Awaited<ReturnType<typeof createApiServer>>, scope: Scope): Promise<void> {
  const client = createClient({
    fetch: (request) => server.fetch(request),
    baseUrl: 'http://localhost',
    token,
  });
  const { kinds, reader } = server;
  const common = { clock: systemClock, random: systemRandom, log: silentLog, client, kinds, reader };
  const rest = { objects: undefined as never, kit: undefined as never, checkMetadata: () => [] };
  await customResources.start({
    ...common,
    ...rest,
    schema: createSchemaEngine(),
    signal: scope.signal,
    scope,
    admit() {},
    serve() {},
  });
}
