import { channel } from '../../wire/websocket-channels.ts';
import { type AnyObject, type Api, pathOf, type Resource, ServerError } from './api.ts';
import { type Arguments, flagOf, isSet } from './arguments.ts';
import { namespaceOf } from './read.ts';

const podResource: Resource = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
  names: ['pods'],
};

/** `NAME`, `pod/NAME`, or `rc/NAME` and `svc/NAME`: the first pod that its selector matches. */
async function podOf(api: Api, args: Arguments): Promise<string> {
  const word = args.words[0];
  if (word === undefined) throw new ServerError(400, 'error: expected POD or TYPE/NAME');
  const [type, name] = word.includes('/') ? word.split('/') : ['pods', word];
  const resource = await api.resource(type!);
  if (resource.plural === 'pods') return name!;
  const namespace = namespaceOf(args);
  const owner = await api.json<AnyObject & { spec?: { selector?: Record<string, unknown> } }>(
    'GET',
    pathOf(resource, namespace, name),
  );
  const labels = (owner.spec?.selector?.['matchLabels'] ?? owner.spec?.selector ?? {}) as Record<string, string>;
  const selector = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  if (selector === '') throw new ServerError(400, `error: ${word} selects no pods`);
  const list = await api.json<{ items: AnyObject[] }>(
    'GET',
    `${pathOf(podResource, namespace)}?labelSelector=${encodeURIComponent(selector)}`,
  );
  const first = list.items[0]?.metadata.name;
  if (!first) throw new ServerError(404, `error: ${word} has no pods`);
  return first;
}

export async function logs(api: Api, args: Arguments): Promise<string> {
  const query = new URLSearchParams();
  for (const [flag, parameter] of [
    ['container', 'container'],
    ['follow', 'follow'],
    ['previous', 'previous'],
    ['timestamps', 'timestamps'],
    ['tail', 'tailLines'],
  ] as const) {
    const value = flagOf(args, flag) ?? (flag === 'container' ? args.words[1] : undefined);
    if (value !== undefined && value !== 'false' && value !== '-1') query.set(parameter, value);
  }
  const path = `${pathOf(podResource, namespaceOf(args), await podOf(api, args), 'log')}?${query}`;
  const answer = await api.request('GET', path, { accept: '*/*' });
  for await (const chunk of answer.body ?? []) process.stdout.write(chunk);
  return '';
}

/** Resolves to the command's exit code. */
export async function exec(api: Api, args: Arguments): Promise<number> {
  const command = args.command.length > 0 ? args.command : args.words.slice(1);
  if (command.length === 0)
    throw new ServerError(400, 'error: you must specify at least one command for the container');
  const stdin = isSet(args, 'stdin');
  const tty = isSet(args, 'tty') && stdin && process.stdin.isTTY === true;
  if (isSet(args, 'tty') && !tty)
    process.stderr.write('Unable to use a TTY - input is not a terminal or the right kind of file\n');
  const query = new URLSearchParams({ stdout: 'true', stderr: String(!tty), stdin: String(stdin), tty: String(tty) });
  const container = flagOf(args, 'container');
  if (container !== undefined) query.set('container', container);
  for (const word of command) query.append('command', word);
  const path = `${pathOf(podResource, namespaceOf(args), await podOf(api, args), 'exec')}?${query}`;
  return converse(api, path, { stdin, tty });
}

async function converse(api: Api, path: string, options: { stdin: boolean; tty: boolean }): Promise<number> {
  const socket = new WebSocket(api.origin.replace('https', 'wss') + path, {
    protocols: ['v5.channel.k8s.io'],
    headers: { authorization: `Bearer ${api.token}` },
    tls: { ca: api.ca },
  } as unknown as string[]); // Bun's own options
  socket.binaryType = 'arraybuffer';
  const end = Promise.withResolvers<number>();
  let opened = false;
  socket.onopen = () => {
    opened = true;
    if (options.tty) followSize(socket);
    if (options.stdin) void sendInput(socket, options.tty);
  };
  socket.onmessage = ({ data }) => {
    const bytes = new Uint8Array(data as ArrayBuffer);
    const rest = bytes.subarray(1);
    if (bytes[0] === channel.stdout) process.stdout.write(rest);
    else if (bytes[0] === channel.stderr) process.stderr.write(rest);
    else if (bytes[0] === channel.error) end.resolve(exitCodeOf(new TextDecoder().decode(rest)));
  };
  socket.onclose = () => (opened ? end.resolve(1) : end.reject(new ServerError(400, 'refused')));
  try {
    return await end.promise;
  } catch (error) {
    if (!opened) await api.request('GET', path); // a plain request is answered with the reason
    throw error;
  } finally {
    if (options.tty) process.stdin.setRawMode(false);
    socket.close();
  }
}

const framed = (to: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
  const frame = new Uint8Array(bytes.length + 1);
  frame[0] = to;
  frame.set(bytes, 1);
  return frame;
};
async function sendInput(socket: WebSocket, tty: boolean): Promise<void> {
  if (tty) process.stdin.setRawMode(true);
  for await (const chunk of process.stdin) socket.send(framed(channel.stdin, chunk as Uint8Array));
  socket.send(new Uint8Array([255, channel.stdin])); // v5's half-close
}
function followSize(socket: WebSocket): void {
  const send = () => {
    const size = JSON.stringify({ Width: process.stdout.columns ?? 80, Height: process.stdout.rows ?? 24 });
    socket.send(framed(channel.resize, new TextEncoder().encode(size)));
  };
  process.stdout.on('resize', send);
  send();
}

/** Of the Status that ends an exec. Pure, but for telling what else went wrong. */
export function exitCodeOf(text: string): number {
  const status = JSON.parse(text) as {
    status?: string;
    message?: string;
    details?: { causes?: { reason?: string; message?: string }[] };
  };
  if (status.status === 'Success') return 0;
  const code = Number(status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message);
  if (Number.isInteger(code)) {
    process.stderr.write(`command terminated with exit code ${code}\n`);
    return code;
  }
  process.stderr.write(`error: ${status.message ?? text}\n`);
  return 1;
}
