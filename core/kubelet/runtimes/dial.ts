import { ownProgram, spawnDuplex } from '#base';
import type { Session } from '#sdk';

/** Connects, says `ok` on stderr, then carries bytes both ways until the server ends; the client's end is a half-close. Runs as a child inside the pod's namespace. */
const relay = `
const { connect } = require('node:net');
const [host, port] = process.argv.slice(-2);
let refusal = '';
const open = (hosts) => {
  const socket = connect({ host: hosts[0], port: Number(port), allowHalfOpen: true });
  socket.once('error', (error) => {
    refusal ||= error.code || error.message;
    if (hosts.length > 1 && !socket.connectedOnce) return open(hosts.slice(1));
    process.stderr.write(refusal);
    process.exit(1);
  });
  socket.once('connect', () => {
    socket.connectedOnce = true;
    process.stderr.write('ok');
    process.stdin.pipe(socket);
    socket.pipe(process.stdout, { end: false });
    socket.once('end', () => process.stdout.write('', () => process.exit(0)));
    socket.once('close', () => process.exit(0));
  });
};
open(host.split(','));
`;

/** A TCP connection from inside `netns` (or from here without one). Rejects when nobody listens. */
export async function dialThroughChild(
  options: { readonly netns?: string; readonly hosts: readonly string[]; readonly port: number },
  signal?: AbortSignal,
): Promise<Session> {
  signal?.throwIfAborted();
  const child = spawnDuplex(
    [ownProgram(), '--smol', '-e', relay, '--', options.hosts.join(','), String(options.port)],
    { ...(options.netns ? { netns: options.netns } : {}), env: { BUN_BE_BUN: '1' } },
  );
  const close = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', close, { once: true });
  const reader = child.stderr.getReader();
  let said = '';
  while (!said.startsWith('ok')) {
    const { done, value } = await reader.read();
    if (done) {
      const code = said === 'ECONNREFUSED' ? 'connection refused' : said || 'the relay ended';
      throw new Error(`failed to connect to localhost:${options.port} inside the pod: ${code}`);
    }
    said += new TextDecoder().decode(value);
  }
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    resize: async () => {},
    done: child.exited.then(() => {
      signal?.removeEventListener('abort', close);
      return { code: 0 };
    }),
    close,
  };
}
