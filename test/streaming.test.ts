import { afterAll, beforeAll, expect, test } from 'bun:test';
import { errors, type Kind, StatusError } from '#api';
import { randomUuid, silentLog, systemClock, systemRandom } from '#base';
import type { ContainerRuntime, LogLine, Session } from '#sdk';
import type { StreamContext, StreamSession, StreamSocket } from '../core/apiserver/contract.ts';
import { parseRequestInfo } from '../core/apiserver/request-info.ts';
import { createStreamHandlers } from '../core/apiserver/streaming/handlers.ts';
import { createKubeletServer, type FoundContainer, type KubeletServer } from '../core/kubelet/server/server.ts';
import { createAuthority, issueServing } from '../core/wire/pki.ts';
import { SpdyConnection } from '../core/wire/spdy.ts';

/** The whole way of a stream: client, relay of the apiserver, kubelet endpoint, real child processes. */
const lines: LogLine[] = ['one', 'two', 'three'].map((text, index) => ({
  stream: index === 1 ? 'stderr' : 'stdout',
  timeMs: index,
  time: `2026-01-01T00:00:0${index}.000000000Z`,
  bytes: Buffer.from(`${text}\n`),
}));

function childSession(command: readonly string[]): Session {
  const child = Bun.spawn([...command], { stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' });
  return {
    stdin: {
      write: async (bytes) => {
        child.stdin.write(bytes);
        await child.stdin.flush();
      },
      end: () => void child.stdin.end(),
    },
    stdout: child.stdout,
    stderr: child.stderr,
    resize: async () => {},
    done: child.exited.then((code) => ({ code })),
    close: () => child.kill(),
  };
}
const runtime = {
  async *logs(_id, options) {
    yield* options.tailLines === undefined ? lines : lines.slice(-options.tailLines);
  },
  exec: async (_id, options) => childSession(options.command),
  attach: async () => childSession(['cat']),
  async dial(_uid, port) {
    if (port !== 80) throw new Error('connection refused');
    return childSession(['cat']);
  },
  stats: async () => [{ podUid: 'u1', container: 'c', timeMs: 0, cpuUsageNs: 5, memoryWorkingSetBytes: 7 }],
} satisfies Pick<ContainerRuntime, 'logs' | 'exec' | 'attach' | 'dial' | 'stats'>;

const containers: Record<string, FoundContainer> = {
  c: { type: 'found', podUid: 'u1', containerId: 'id', running: true, tty: false, stdin: true },
  slow: { type: 'waiting', reason: 'ContainerCreating' },
};
let kubelet: KubeletServer;
let api: ReturnType<typeof startApi>;
let objects: Record<string, unknown>;

beforeAll(async () => {
  const authority = await createAuthority('test', Date.now());
  const serving = await issueServing(authority, {
    commonName: 'n1',
    dnsNames: ['n1'],
    ipAddresses: ['127.0.0.1'],
    days: 1,
    nowMs: Date.now(),
  });
  kubelet = await createKubeletServer({
    pluginMetrics: () => 'x_total{plugin="p"} 1\n',
    access: {
      nodeName: 'n1',
      findContainer: (_namespace, pod, container, previous) =>
        pod !== 'p'
          ? { type: 'noPod' }
          : previous
            ? { type: 'noPrevious' }
            : (containers[container] ?? { type: 'noContainer' }),
      findPod: (_namespace, pod) => (pod === 'p' ? { uid: 'u1', running: true } : undefined),
      pods: () => [{ uid: 'u1', namespace: 'default', name: 'p', running: true }],
    },
    runtime,
    verify: async (token, claim) =>
      token === ['n1', claim.operation, claim.namespace, claim.pod, claim.container ?? ''].join('/'),
    tls: { key: serving.key, cert: serving.cert },
    hostname: '127.0.0.1',
    port: 0,
    clock: systemClock,
    log: silentLog,
  });
  objects = {
    'nodes//n1': {
      metadata: { name: 'n1' },
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
      },
    },
    'nodes//n2': {
      metadata: { name: 'n2' },
      status: {
        addresses: [{ type: 'InternalIP', address: '169.254.169.254' }],
        daemonEndpoints: { kubeletEndpoint: { Port: 80 } },
      },
    },
    'pods/default/p': {
      metadata: { name: 'p' },
      spec: { nodeName: 'n1', containers: [{ name: 'c' }, { name: 'slow' }] },
    },
    'pods/default/new': { metadata: { name: 'new' }, spec: { containers: [{ name: 'c' }] } },
    'pods/default/evil': {
      metadata: { name: 'evil' },
      spec: { nodeName: 'n2', containers: [{ name: 'c' }] },
      status: { podIP: '127.0.0.2' },
    },
  };
  api = startApi(authority.cert);
});
afterAll(async () => {
  await api.stop(true);
  await kubelet[Symbol.asyncDispose]();
});

function startApi(kubeletCa: string) {
  const handlers = createStreamHandlers({
    kubeletCa,
    allowedRanges: ['127.0.0.1/32'],
    kubeletRanges: ['127.0.0.1/32'],
    signKubeletToken: async (node, claim) =>
      [node, claim.op, claim.namespace, claim.pod, claim.container ?? ''].join('/'),
  });
  const reader = {
    get: <T>(kind: Kind<T>, namespace: string, name: string) =>
      objects[`${kind.plural}/${namespace}/${name}`] as T | undefined,
    list: <T>(): T[] => [],
    indexed: <T>(): T[] => [],
  };
  return Bun.serve<StreamSession>({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    async fetch(request, server) {
      const info = parseRequestInfo(request.method, new URL(request.url));
      const context: StreamContext = {
        user: { name: 'test', uid: randomUuid(systemRandom), groups: [], extra: {} },
        reader,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        upgrade: (data, headers) => server.upgrade(request, { data, headers }),
      };
      try {
        const handler = handlers[`${info.resource}/${info.subresource}`];
        if (!handler) throw errors.notFound(info.resource, info.name);
        return await handler(request, info, context);
      } catch (error) {
        const status = error instanceof StatusError ? error : errors.internal(String(error));
        return Response.json(status.toStatus(), { status: status.code });
      }
    },
    websocket: {
      open: (socket) => socket.data.open(socket as StreamSocket),
      message: (socket, data) => socket.data.message(socket as StreamSocket, data),
      drain: (socket) => socket.data.drain?.(socket as StreamSocket),
      close: (socket, code, reason) => socket.data.close(socket as StreamSocket, code, reason),
    },
  });
}

const path = (rest: string) => `http://127.0.0.1:${api.port}/api/v1/namespaces/default/pods/${rest}`;
const get = (rest: string, init?: RequestInit) => fetch(path(rest), { redirect: 'manual', ...init });
const said = async (rest: string, init?: RequestInit) => {
  const answer = await get(rest, init);
  const text = await answer.text();
  return `${answer.status} ${text.startsWith('{') ? JSON.parse(text).message : text}`;
};

test.each([
  ['p/log?container=c', '200 one\ntwo\nthree\n'],
  ['p/log?container=c&tailLines=1&timestamps=true', '200 2026-01-01T00:00:02.000000000Z three\n'],
  ['p/log?container=c&limitBytes=5', '200 one\nt'],
  ['p/log?container=c&stream=Stderr', '200 two\n'],
  ['p/log', '400 a container name must be specified for pod p, choose one of: [c slow]'],
  ['p/log?container=x', '400 container x is not valid for pod p'],
  ['p/log?container=slow', '400 container "slow" in pod "p" is waiting to start: ContainerCreating'],
  ['p/log?container=c&previous=true', '400 previous terminated container "c" in pod "p" not found'],
  [
    'p/log?container=c&tailLines=-1',
    '422 PodLogOptions "" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
  ],
  ['q/log', '404 pods "q" not found'],
  ['new/log', '204 '],
  ['new/exec?command=true', '400 Upgrade request required'],
  ['evil/log', '400 address not allowed'],
  ['evil/proxy/', '400 address not allowed'],
])('GET %s answers %p', async (rest, answer) => {
  expect(await said(rest)).toBe(answer);
});

test('a SPDY request learns what to use, or why there is no stream', async () => {
  const init = { method: 'POST', headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1' } };
  expect(await said('p/exec?container=c&command=true&stdout=1', init)).toContain('use kubectl 1.31 or newer');
  expect(await said('p/exec?container=slow&command=true&stdout=1', init)).toBe('500 container not found ("slow")');
});

test('the kubelet answers nobody without a token for this operation', async () => {
  const url = `https://127.0.0.1:${kubelet.port}/containerLogs/default/p/c`;
  for (const token of ['', 'n1/exec/default/p/c'])
    expect(
      (await fetch(url, { headers: { authorization: `Bearer ${token}` }, tls: { rejectUnauthorized: false } })).status,
    ).toBe(401);
});

test('nodes/proxy reaches the statistics of the kubelet and nothing stronger', async () => {
  const node = (rest: string) => fetch(`http://127.0.0.1:${api.port}/api/v1/nodes/n1/proxy${rest}`);
  const summary = (await (await node('/stats/summary')).json()) as {
    pods: { containers: { memory: { workingSetBytes: number } }[] }[];
  };
  expect(summary.pods[0]?.containers[0]?.memory.workingSetBytes).toBe(7);
  const metrics = await node('/metrics/plugins');
  expect([metrics.headers.get('content-type'), await metrics.text()]).toEqual([
    'text/plain; version=0.0.4; charset=utf-8; escaping=underscores',
    'x_total{plugin="p"} 1\n',
  ]);
  expect((await node('/exec/default/p/c?command=id&output=1')).status).toBe(403);
  expect(await (await node('/containerLogs/default/p/c?tailLines=1')).text()).toBe('three\n');
  for (const rest of ['/containerLogs/default/p/c/d', '/run/default/p/c'])
    expect((await node(rest)).status).toBeGreaterThanOrEqual(401);
  const url = `http://127.0.0.1:${api.port}/api/v1/nodes/n1/proxy/containerLogs/default/p/c`;
  expect((await fetch(url, { method: 'POST' })).status).toBe(403);
});

test('proxy: a WebSocket that the pod refuses gets the pod’s own answer', async () => {
  await using pod = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () => new Response('not for you', { status: 403, headers: { 'x-why': 'because' } }),
  });
  objects['pods/default/stern'] = {
    metadata: { name: 'stern' },
    spec: { containers: [{ name: 'c' }] },
    status: { podIP: '127.0.0.1', phase: 'Running' },
  };
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-protocol': 'chat' };
  const answer = await get(`stern:${pod.port}/proxy/`, { headers });
  expect([answer.status, answer.headers.get('x-why'), await answer.text()]).toEqual([403, 'because', 'not for you']);
  expect((await get('stern:1/proxy/', { headers })).status).toBe(503);
});

test('proxy: TLS of a pod with a certificate that nobody signed', async () => {
  await using pod = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: await issueServing(await createAuthority('nobody', Date.now()), {
      commonName: 'web',
      dnsNames: ['web'],
      ipAddresses: [],
      days: 1,
      nowMs: Date.now(),
    }),
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response('over TLS')),
    websocket: { message: (socket, data) => void socket.send(data) },
  });
  objects['pods/default/tls'] = {
    metadata: { name: 'tls' },
    spec: { containers: [{ name: 'c', ports: [{ name: 'secure', containerPort: pod.port }] }] },
    status: { podIP: '127.0.0.1', phase: 'Running' },
  };
  expect(await said(`https:tls:${pod.port}/proxy/`)).toBe('200 over TLS');
  expect(await said('https:tls:/proxy/')).toBe('200 over TLS');
  const socket = new WebSocket(path(`https:tls:${pod.port}/proxy/`).replace('http', 'ws'));
  const echo = await new Promise((resolve) => {
    socket.onopen = () => socket.send('hello');
    socket.onmessage = ({ data }) => resolve(data);
    socket.onclose = ({ code }) => resolve(code);
  });
  socket.close();
  expect(echo).toBe('hello');
});

test.each([
  ['binary.k8s.io', ['', 'one\ntwo\nthree\n']],
  ['base64.binary.k8s.io', ['', 'one\ntwo\nthree\n']],
] as const)('logs over a WebSocket that speaks %s: an empty message, the lines, a close', async (protocol, wanted) => {
  const socket = new WebSocket(path('p/log?container=c').replace('http', 'ws'), { protocols: [protocol] });
  const messages: string[] = [];
  socket.binaryType = 'nodebuffer';
  socket.onmessage = ({ data }) =>
    messages.push(protocol === 'binary.k8s.io' ? String(data) : Buffer.from(String(data), 'base64').toString());
  const code = await new Promise<number>((resolve) => {
    socket.onclose = (event) => resolve(event.code);
  });
  expect([messages[0], messages.slice(1).join('')]).toEqual([...wanted]);
  expect([socket.protocol, code]).toEqual([protocol, 1000]);
});

test('logs over a WebSocket that speaks something else are refused', async () => {
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-protocol': 'mqtt' };
  expect(await said('p/log?container=c', { headers })).toStartWith('400 unrecognized WebSocket protocol mqtt');
});

interface Conversation {
  readonly output: Record<number, string>;
  readonly code: number;
}
/** Speaks channels until the server closes. */
function converse(
  rest: string,
  protocol: string,
  input: readonly (readonly [number, string | Uint8Array])[] = [],
): Promise<Conversation> {
  return new Promise((resolve) => {
    const socket = new WebSocket(path(rest).replace('http', 'ws'), { protocols: [protocol] });
    socket.binaryType = 'nodebuffer';
    const parts: Record<number, Buffer[]> = {};
    socket.onopen = () => {
      for (const [channel, bytes] of input)
        socket.send(Buffer.concat([Buffer.from([channel]), Buffer.from(bytes as string)]));
    };
    socket.onmessage = ({ data }) => {
      const message = data as unknown as Buffer;
      (parts[message[0]!] ??= []).push(Buffer.from(message.subarray(1)));
    };
    socket.onclose = ({ code }) =>
      resolve({
        code,
        output: Object.fromEntries(
          Object.entries(parts).map(([number, all]) => [number, Buffer.concat(all).toString()]),
        ),
      });
  });
}

test('exec: both outputs, the exit code, the close', async () => {
  const query = new URLSearchParams({ container: 'c', stdout: 'true', stderr: 'true' });
  for (const word of ['sh', '-c', 'echo out; echo err >&2; exit 3']) query.append('command', word);
  const { output, code } = await converse(`p/exec?${query}`, 'v5.channel.k8s.io');
  expect(output[1]).toBe('out\n');
  expect(output[2]).toBe('err\n');
  expect(JSON.parse(output[3]!)).toMatchObject({
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '3' }] },
  });
  expect(code).toBe(1000);
});

test('exec: stdin with its half-close, 8 MiB of it', async () => {
  const input: [number, string | Uint8Array][] = Array.from({ length: 256 }, () => [0, new Uint8Array(32 * 1024)]);
  const { output } = await converse('p/exec?container=c&stdin=1&stdout=1&command=wc&command=-c', 'v5.channel.k8s.io', [
    ...input,
    [255, Uint8Array.from([0])],
  ]);
  expect(output[1]?.trim()).toBe(String(8 * 1024 * 1024));
  expect(JSON.parse(output[3]!)).toMatchObject({ status: 'Success' });
});

test('attach: what is typed comes back', async () => {
  const { output } = await converse('p/attach?container=c&stdin=1&stdout=1', 'v5.channel.k8s.io', [
    [0, 'hello'],
    [255, Uint8Array.from([0])],
  ]);
  expect(output[1]).toBe('hello');
});

test('port-forward: two connections at once, an error on its stream', async () => {
  // By header: as a protocol Bun's client refuses the slash.
  const socket = new WebSocket(path('p/portforward').replace('http', 'ws'), {
    headers: { 'sec-websocket-protocol': 'SPDY/3.1+portforward.k8s.io' },
  });
  socket.binaryType = 'nodebuffer';
  await new Promise((resolve) => (socket.onopen = resolve));
  const spdy = new SpdyConnection({ role: 'client', write: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>) });
  socket.onmessage = ({ data }) => spdy.feed(data as unknown as Buffer);
  const open = (port: string, requestid: string) => {
    const error = spdy.open({ streamtype: ['error'], port: [port], requestid: [requestid] });
    void error.end();
    return { error, data: spdy.open({ streamtype: ['data'], port: [port], requestid: [requestid] }) };
  };
  const [first, second, refused] = [open('80', '0'), open('80', '1'), open('81', '2')];
  for (const [stream, text] of [
    [first, 'a'],
    [second, 'b'],
  ] as const) {
    await stream.data.write(Buffer.from(text));
    await stream.data.end();
    expect(Buffer.from((await stream.data.incoming.next())!).toString()).toBe(text);
    expect(await stream.data.incoming.next()).toBeUndefined();
    expect(await stream.error.incoming.next()).toBeUndefined();
  }
  const why = Buffer.from((await refused.error.incoming.next())!).toString();
  expect(why).toContain('error forwarding port 81 to pod p_default, uid u1: connection refused');
  socket.close();
});

test('port-forward by channels, as the Python and JavaScript clients do: data, an error, the close', async () => {
  const socket = new WebSocket(path('p/portforward?ports=80,81').replace('http', 'ws'), {
    protocols: ['v5.channel.k8s.io', 'v4.channel.k8s.io'],
  });
  socket.binaryType = 'nodebuffer';
  const heard: Record<number, string> = {};
  const echoed = new Promise<void>((resolve) => {
    socket.onmessage = ({ data }) => {
      const message = data as unknown as Buffer;
      heard[message[0]!] = (heard[message[0]!] ?? '') + message.subarray(1).toString('latin1');
      if (heard[0] === 'P\0a' && (heard[3]?.length ?? 0) > 2) resolve();
    };
  });
  await new Promise((resolve) => (socket.onopen = resolve));
  expect(socket.protocol).toBe('v4.channel.k8s.io');
  socket.send(Buffer.from('\0a'));
  await echoed;
  expect(heard).toEqual({
    0: 'P\0a',
    1: 'P\0',
    2: 'Q\0',
    3: 'Q\0error forwarding port 81 to pod p_default, uid u1: connection refused',
  });
  socket.close();
  const { output, code } = await converse('p/portforward?ports=81', 'v4.channel.k8s.io');
  expect([Object.keys(output), code]).toEqual([['0', '1'], 1000]);
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-protocol': 'v4.channel.k8s.io' };
  expect(await said('p/portforward', { headers })).toBe('400 query parameter "port" is required');
});

test('proxy: bodies, headers, redirects and links', async () => {
  await using pod = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === '/away') return new Response(null, { status: 302, headers: { location: '/there?x=1' } });
      if (pathname === '/page')
        return new Response('<a href="/next">n</a>', { headers: { 'content-type': 'text/html' } });
      const headers = ['authorization', 'x-remote-user', 'x-kept', 'x-named'].map((name) => request.headers.get(name));
      return Response.json({ method: request.method, pathname, body: await request.text(), headers });
    },
  });
  objects['pods/default/web'] = {
    metadata: { name: 'web' },
    spec: { containers: [{ name: 'c' }] },
    status: { podIP: '127.0.0.1', phase: 'Running' },
  };
  const web = `web:${pod.port}/proxy`;
  const prefix = `/api/v1/namespaces/default/pods/${web}`;
  const headers = {
    authorization: 'Bearer t',
    'x-remote-user': 'root',
    'x-kept': 'k',
    'x-named': 'n',
    connection: 'x-named',
  };
  const echo = await get(`${web}/a/b%20c?q=1`, { method: 'PUT', body: 'text', headers });
  expect(await echo.json()).toEqual({
    method: 'PUT',
    pathname: '/a/b%20c',
    body: 'text',
    headers: [null, null, 'k', null],
  });
  const escaped = await get(`${web}/a%2Fb/100%25/c`);
  expect(await escaped.json()).toMatchObject({ pathname: '/a%2Fb/100%25/c' });
  const away = await get(`${web}/away`);
  expect([away.status, away.headers.get('location')]).toEqual([302, `${prefix}/there?x=1`]);
  expect(await (await get(`${web}/page`)).text()).toBe(`<a href="${prefix}/next">n</a>`);
  const bare = await get(web);
  expect([bare.status, bare.headers.get('location')]).toEqual([301, `${prefix}/`]);
});
