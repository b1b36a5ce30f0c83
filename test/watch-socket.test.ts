import { afterAll, beforeAll, expect, test } from 'bun:test';
import type { ApiServer } from '../core/apiserver/contract.ts';
import { listenLocally, openApiServer } from './fixtures/open-server.ts';

let server: ApiServer;
let url: string;
beforeAll(async () => {
  server = await openApiServer();
  const { port } = await listenLocally(server);
  url = `127.0.0.1:${port}/api/v1/namespaces/default/configmaps`;
});
afterAll(() => server[Symbol.asyncDispose]());

const create = (name: string): Promise<Response> =>
  fetch(`https://${url}`, {
    method: 'POST',
    body: JSON.stringify({ metadata: { name } }),
    headers: { 'content-type': 'application/json' },
    tls: { rejectUnauthorized: false },
  });
function open(
  query: string,
  accept: string,
): { messages: (string | Buffer)[]; count(wanted: number): Promise<void>; socket: WebSocket } {
  const messages: (string | Buffer)[] = [];
  const waiting: { wanted: number; resolve: () => void }[] = [];
  const socket = new WebSocket(`wss://${url}?watch=true&${query}`, {
    headers: { accept },
    tls: { rejectUnauthorized: false },
  } as never);
  socket.binaryType = 'nodebuffer';
  socket.onmessage = ({ data }) => {
    messages.push(data as string | Buffer);
    for (const { wanted, resolve } of waiting) if (messages.length >= wanted) resolve();
  };
  return {
    messages,
    socket,
    count: (wanted) =>
      messages.length >= wanted ? Promise.resolve() : new Promise((resolve) => waiting.push({ wanted, resolve })),
  };
}

test('each event is one message, and the socket ends with the watch', async () => {
  await create('a');
  const watch = open('timeoutSeconds=1', 'application/json');
  const closed = new Promise<number>((resolve) => {
    watch.socket.onclose = ({ code }) => resolve(code);
  });
  await watch.count(1);
  await create('b');
  await watch.count(2);
  const names = watch.messages.map(
    (text) => (JSON.parse(String(text)) as { object: { metadata: { name: string } } }).object.metadata.name,
  );
  expect(names).toEqual(['a', 'b']);
  expect(await closed).toBe(1000);
});

test('protobuf events are binary, without the length of the stream', async () => {
  const watch = open('fieldSelector=metadata.name%3Da', 'application/vnd.kubernetes.protobuf');
  await watch.count(1);
  const bytes = watch.messages[0] as Buffer;
  expect(bytes.subarray(0, 7).toString('latin1')).toBe('\n\x05ADDED');
  expect(bytes.includes('k8s\0')).toBe(true);
  watch.socket.close();
});

test('a protobuf watch that begins with nothing: its first event is whole', async () => {
  const watch = open('fieldSelector=metadata.name%3Dlate', 'application/vnd.kubernetes.protobuf');
  await new Promise((resolve) => {
    watch.socket.onopen = resolve;
  });
  await create('late');
  await watch.count(1);
  expect((watch.messages[0] as Buffer).subarray(0, 7).toString('latin1')).toBe('\n\x05ADDED');
  watch.socket.close();
});

test('in process there is no socket to upgrade', async () => {
  const answer = await server.fetch(
    new Request('http://localhost/api/v1/pods?watch=1', { headers: { upgrade: 'websocket' } }),
  );
  expect(answer.status).toBe(400);
});
