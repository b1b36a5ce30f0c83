/**
 * Inside of a host's network. `serve ADDRESS PORT`: answers with one byte. `probe ADDRESS PORT`: connects again and again, and
 * prints `up` or `down` with the time (milliseconds since the epoch) of each first connection that ended otherwise than the one before.
 */
import { parseArgs } from 'node:util';

const [mode, hostname, port] = parseArgs({ allowPositionals: true }).positionals as [string, string, string];
const pauseMs = 3;
const patienceMs = 200;

if (mode === 'serve') {
  Bun.listen({ hostname, port: Number(port), socket: { open: (socket) => void socket.end('!'), data() {} } });
  console.log('ready');
} else {
  let last = '';
  for (;;) {
    const now = (await answers()) ? 'up' : 'down';
    if (now !== last) console.log(`${now} ${performance.timeOrigin + performance.now()}`);
    last = now;
    await Bun.sleep(pauseMs);
  }
}

async function answers(): Promise<boolean> {
  const ended = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => ended.resolve(false), patienceMs);
  try {
    const socket = await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        data: () => ended.resolve(true),
        error: () => ended.resolve(false),
        close: () => ended.resolve(false),
      },
    });
    const result = await ended.promise;
    socket.terminate();
    return result;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
