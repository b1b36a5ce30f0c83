import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { errors, type Kind, StatusError } from '#api';
import { randomUuid, silentLog, systemClock, systemRandom } from '#base';
import type { Session } from '#sdk';
import type { StreamContext, StreamSession, StreamSocket } from '../core/apiserver/contract.ts';
import { parseRequestInfo } from '../core/apiserver/request-info.ts';
import { createStreamHandlers } from '../core/apiserver/streaming/handlers.ts';
import { createKubeletServer, type KubeletServer } from '../core/kubelet/server/server.ts';
import { createAuthority, issueServing, type KeyPair } from '../core/wire/pki.ts';
import { SpdyConnection } from '../core/wire/spdy.ts';
import { until } from './fixtures/eventually.ts';

/** Streams under load and under loss: client, relay of the apiserver, kubelet endpoint; the container is pretended. */
const sizes: [number, number][] = [];
const open = new Set<Session>();
let authority: KeyPair;
let serving: KeyPair;
let kubelet: KubeletServer;
let api: Bun.Server<StreamSession>;

/** What comes in goes out, at the pace of whoever reads it. */
function echo(): Session {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(
    {},
    new ByteLengthQueuingStrategy({ highWaterMark: 256 * 1024 }),
  );
  const writer = writable.getWriter();
  const done = Promise.withResolvers<{ code: number }>();
  const session: Session = {
    stdin: {
      write: async (bytes) => writer.write(new Uint8Array(bytes)),
      end: () =>
        void writer.close().then(
          () => done.resolve({ code: 0 }),
          () => {}, // closed before: the caller went away
        ),
    },
    stdout: readable,
    stderr: undefined,
    resize: async (columns, rows) => void sizes.push([columns, rows]),
    done: done.promise,
    close() {
      open.delete(session);
      writer.abort(new Error('closed')).catch(() => {});
      done.resolve({ code: 137 });
    },
  };
  open.add(session);
  return session;
}

async function startKubelet(port = 0): Promise<KubeletServer> {
  return createKubeletServer({
    access: {
      nodeName: 'n1',
      findContainer: () => ({
        type: 'found',
        podUid: 'u1',
        containerId: 'id',
        running: true,
        tty: true,
        stdin: true,
      }),
      findPod: () => ({ uid: 'u1', running: true }),
      pods: () => [],
    },
    runtime: {
      async *logs() {},
      exec: async () => echo(),
      attach: async () => echo(),
      dial: async () => echo(),
      stats: async () => [],
    },
    verify: async () => true,
    tls: { key: serving.key, cert: serving.cert },
    hostname: '127.0.0.1',
    port,
    clock: systemClock,
    log: silentLog,
  });
}

beforeAll(async () => {
  authority = await createAuthority('test', Date.now());
  const names = { commonName: 'n1', dnsNames: ['n1'], ipAddresses: ['127.0.0.1'], days: 1, nowMs: Date.now() };
  serving = await issueServing(authority, names);
  kubelet = await startKubelet();
  const handlers = createStreamHandlers({
    kubeletCa: authority.cert,
    allowedRanges: ['127.0.0.1/32'],
    kubeletRanges: ['127.0.0.1/32'],
    signKubeletToken: async () => 'token',
  });
  const objects: Record<string, unknown> = {
    nodes: {
      metadata: { name: 'n1' },
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
      },
    },
    pods: { metadata: { name: 'p' }, spec: { nodeName: 'n1', containers: [{ name: 'c' }] } },
  };
  const reader = {
    get: <T>(kind: Kind<T>) => objects[kind.plural] as T | undefined,
    list: <T>(): T[] => [],
    indexed: <T>(): T[] => [],
  };
  api = Bun.serve<StreamSession>({
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
      backpressureLimit: 64 * 1024 * 1024,
      open: (socket) => socket.data.open(socket as StreamSocket),
      message: (socket, data) => socket.data.message(socket as StreamSocket, data),
      drain: (socket) => socket.data.drain?.(socket as StreamSocket),
      close: (socket, code, reason) => socket.data.close(socket as StreamSocket, code, reason),
    },
  });
});
afterAll(async () => {
  await api.stop(true);
  await kubelet[Symbol.asyncDispose]();
});

async function connect(rest: string, protocol: string): Promise<WebSocket> {
  const url = `ws://127.0.0.1:${api.port}/api/v1/namespaces/default/pods/p/${rest}`;
  // By header: as a protocol Bun's client refuses the slash of the tunnel's name.
  const socket = new WebSocket(url, { headers: { 'sec-websocket-protocol': protocol } });
  socket.binaryType = 'nodebuffer';
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return socket;
}
const drained = async (socket: WebSocket): Promise<void> => {
  while (socket.bufferedAmount > 1024 * 1024) await systemClock.sleep(1);
};

async function forward() {
  const socket = await connect('portforward', 'SPDY/3.1+portforward.k8s.io');
  const spdy = new SpdyConnection({
    role: 'client',
    write: async (bytes) => {
      socket.send(bytes as Uint8Array<ArrayBuffer>);
      await drained(socket);
    },
  });
  socket.onmessage = ({ data }) => spdy.feed(data as unknown as Buffer);
  let next = 0;
  return {
    socket,
    spdy,
    dial() {
      const requestid = [String(next++)];
      const error = spdy.open({ streamtype: ['error'], port: ['80'], requestid });
      void error.end();
      return { error, data: spdy.open({ streamtype: ['data'], port: ['80'], requestid }) };
    },
  };
}

test('port-forward: 100 MB over eight connections of one tunnel come back whole', async () => {
  const { socket, dial } = await forward();
  const connections = 8;
  const chunk = new Uint8Array(64 * 1024);
  const chunks = Math.ceil((100 * 1024 * 1024) / connections / chunk.length);
  const carry = async (seed: number): Promise<void> => {
    const { data, error } = dial();
    const [sent, received] = [createHash('md5'), createHash('md5')];
    const write = async () => {
      for (let index = 0; index < chunks; index++) {
        const bytes = new Uint8Array(chunk.length).fill((seed * 31 + index) & 255);
        sent.update(bytes);
        await data.write(bytes);
      }
      await data.end();
    };
    let bytes = 0;
    const read = async () => {
      for await (const part of data.incoming) {
        bytes += part.length;
        received.update(part);
      }
    };
    await Promise.all([write(), read()]);
    expect(bytes).toBe(chunks * chunk.length);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    expect(await error.incoming.next()).toBeUndefined();
  };
  await Promise.all(Array.from({ length: connections }, (_, seed) => carry(seed)));
  socket.close();
  await until(() => open.size === 0);
});

test('port-forward: a hundred short connections, one after the other and at once', async () => {
  const { socket, dial } = await forward();
  await Promise.all(
    Array.from({ length: 10 }, async (_, lane) => {
      for (let round = 0; round < 10; round++) {
        const { data } = dial();
        await data.write(Buffer.from(`${lane} ${round}`));
        await data.end();
        expect(Buffer.from((await data.incoming.next())!).toString()).toBe(`${lane} ${round}`);
      }
    }),
  );
  socket.close();
  await until(() => open.size === 0);
});

test('exec: sixty at once, each with its own words', async () => {
  const answers = await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      const socket = await connect('exec?stdin=1&stdout=1&command=cat', 'v5.channel.k8s.io');
      const words: Buffer[] = [];
      socket.onmessage = ({ data }) => {
        const message = data as unknown as Buffer;
        if (message[0] === 1) words.push(Buffer.from(message.subarray(1)));
      };
      const ended = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
      socket.send(Buffer.from(`\0words of ${index}`));
      socket.send(Uint8Array.from([255, 0]));
      return [await ended, Buffer.concat(words).toString()];
    }),
  );
  expect(answers).toEqual(Array.from({ length: 60 }, (_, index) => [1000, `words of ${index}`]));
  expect(open.size).toBe(0);
});

test.each(['v4.channel.k8s.io', 'v5.channel.k8s.io'])('%s: sizes of the terminal arrive in order', async (protocol) => {
  sizes.length = 0;
  const socket = await connect('attach?stdin=1&stdout=1&tty=1', protocol);
  for (const [width, height] of [
    [80, 24],
    [120, 40],
    [0, 0],
    [200, 50],
  ])
    socket.send(Buffer.from(`\x04${JSON.stringify({ Width: width, Height: height })}`));
  socket.send(Buffer.from('\x04not a size'));
  await until(() => sizes.some(([columns]) => columns === 200));
  expect(sizes.at(-1)).toEqual([200, 50]);
  expect(sizes).not.toContainEqual([0, 0]);
  socket.close();
  await until(() => open.size === 0); // a client that goes leaves nothing running
});

test('a kubelet that dies in the middle ends every stream, and its successor serves new ones', async () => {
  const exec = await connect('exec?stdin=1&stdout=1&command=cat', 'v5.channel.k8s.io');
  const tunnel = await forward();
  const { data } = tunnel.dial();
  await data.write(Buffer.from('before'));
  expect(Buffer.from((await data.incoming.next())!).toString()).toBe('before');
  const codes = Promise.all(
    [exec, tunnel.socket].map((socket) => new Promise<number>((resolve) => (socket.onclose = (e) => resolve(e.code)))),
  );
  const { port } = kubelet;
  await kubelet[Symbol.asyncDispose]();
  for (const code of await codes) expect([1001, 1006, 1011]).toContain(code);
  await until(() => open.size === 0);
  const refused = await fetch(`http://127.0.0.1:${api.port}/api/v1/namespaces/default/pods/p/log`);
  expect(refused.status).toBe(503);
  kubelet = await startKubelet(port);
  const after = await connect('exec?stdin=1&stdout=1&command=cat', 'v5.channel.k8s.io');
  const closed = new Promise<number>((resolve) => (after.onclose = ({ code }) => resolve(code)));
  after.send(Uint8Array.from([255, 0]));
  expect(await closed).toBe(1000);
});
