import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { hijack, parseAnswer } from './docker-hijack.ts';

/** An engine that reads a request's head and a body of the told length, then does as told. */
async function withEngine(answer: (socket: Socket, request: string) => void, work: (path: string) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-hijack-'));
  const path = join(folder, 'engine.sock');
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let request = '';
    const onData = (chunk: Buffer) => {
      request += chunk.toString();
      const end = request.indexOf('\r\n\r\n');
      if (end < 0 || request.length < end + 4 + Number(/content-length: (\d+)/i.exec(request)?.[1])) return;
      socket.off('data', onData);
      answer(socket, request);
    };
    socket.on('data', onData);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await work(path);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  }
}
const upgraded = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';

test('nothing but the head goes before the program’s input, and what came with the answer is not lost', async () => {
  await withEngine(
    (socket, request) => {
      expect(request.endsWith('Content-Length: 0\r\n\r\n')).toBe(true);
      socket.write(`${upgraded}early `);
      socket.on('data', (chunk) => socket.end(`got ${chunk}`));
    },
    async (path) => {
      const duplex = await hijack(path, '/containers/x/attach?stdin=1');
      duplex.write('ping');
      let said = '';
      for await (const chunk of duplex) said += String(chunk);
      expect(said).toBe('early got ping');
    },
  );
});

test('a refusal is the engine’s own error; silence, a broken head and a caller that leaves are errors', async () => {
  const text = JSON.stringify({ message: 'No such container: x' });
  const answers: [string, object][] = [
    [
      `HTTP/1.1 404 Not Found\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      { statusCode: 404, message: 'No such container: x' },
    ],
    ['HTTP/1.1 500 Oh\r\n\r\n', { statusCode: 500 }],
    ['', { message: 'the container engine closed the connection without an answer' }],
    ['x'.repeat(70_000), { message: 'the container engine answered with a head without end' }],
  ];
  for (const [answer, wanted] of answers)
    await withEngine(
      (socket) => socket.end(answer),
      async (path) => {
        expect(await rejection(hijack(path, '/exec/x/start', { Tty: false }))).toMatchObject(wanted);
      },
    );
  await withEngine(
    () => {},
    async (path) => {
      const leave = new AbortController();
      const asked = hijack(path, '/exec/x/start', {}, leave.signal);
      leave.abort();
      expect(await rejection(asked)).toMatchObject({ message: 'aborted' });
    },
  );
  expect(await rejection(hijack('/nowhere/engine.sock', '/exec/x/start'))).toMatchObject({ code: 'ENOENT' });
});

test('an answer is read from any pieces', () => {
  const whole = Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}');
  for (let at = 0; at < whole.length; at++) expect(parseAnswer(whole.subarray(0, at))).toBe('more');
  expect(parseAnswer(whole)).toMatchObject({ status: 404, text: '{}' });
  expect(parseAnswer(Buffer.from('no http\r\n\r\n'))).toMatchObject({ status: 0 });
});
