/**
 * `serve`: counts what a connection sends and says when it has all, or echoes. `drive`, one line of input each:
 * `send ADDRESS BYTES` prints Mbit/s from the first byte to the receiver's word; `turn ADDRESS COUNT` prints round trips a
 * second of 64 bytes over one connection.
 */
import { connect, createServer, type Socket } from 'node:net';

const [sinkPort, echoPort] = [7100, 7101];
const chunk = Buffer.alloc(64 * 1024, 'x');
const [mode] = process.argv.slice(2);

if (mode === 'serve') {
  createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', () => {});
    socket.on('error', () => {});
    socket.on('end', () => socket.end('all'));
  }).listen(sinkPort, '::', () => {
    createServer((socket) => {
      socket.setNoDelay(true);
      socket.on('data', (bytes) => socket.write(bytes));
      socket.on('error', () => {});
    }).listen(echoPort, '::', () => console.log('ready'));
  });
} else
  for await (const line of console) {
    const [what, ip, number] = line.split(' ');
    console.log(what === 'send' ? await send(ip!, Number(number)) : await turn(ip!, Number(number)));
  }

function opened(socket: Socket): Promise<unknown> {
  return new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
}

async function send(ip: string, bytes: number): Promise<number> {
  const socket = connect(sinkPort, ip);
  await opened(socket);
  const beganMs = performance.now();
  for (let left = bytes; left > 0; left -= chunk.length)
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
  socket.end();
  await new Promise((resolve, reject) => socket.once('data', resolve).once('error', reject));
  return (bytes * 8) / 1000 / (performance.now() - beganMs);
}

async function turn(ip: string, count: number): Promise<number> {
  const socket = connect(echoPort, ip);
  await opened(socket);
  socket.setNoDelay(true);
  const text = Buffer.alloc(64, 'y');
  const beganMs = performance.now();
  let got = 0;
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.on('data', (bytes) => {
      got += bytes.length;
      if (got >= count * text.length) return resolve();
      if (got % text.length === 0) socket.write(text);
    });
    socket.write(text);
  });
  const seconds = (performance.now() - beganMs) / 1000;
  socket.destroy();
  return count / seconds;
}
