import { connect, type Socket } from 'node:net';
import type { Clock } from '#sdk';

/** HAProxy's runtime socket said no, or nothing. */
export class RuntimeSocketError extends Error {
  constructor(
    /** Without its payload, which may be a private key. */
    readonly command: string,
    readonly reply: string,
  ) {
    super(`haproxy refuses "${command}": ${reply}`);
    this.name = 'RuntimeSocketError';
  }
}
const replyBytesMax = 64 * 1024 * 1024;
const replyTimeoutMs = 20_000;
/** A command and its payload have to fit into one of its buffers (32 KiB, some of them kept free). */
export const payloadBytesMax = 12_000;
const commandsBytesMax = 8_000;

/** Commands to the running program. One connection for each: its end is the end of the answer. */
export interface RuntimeSocket {
  /** What it prints. Rejects with RuntimeSocketError when that is a refusal. */
  ask(command: string, payload?: string): Promise<string>;
  /** Several that print nothing but refusals, few connections. */
  tell(commands: readonly string[]): Promise<void>;
}

export function runtimeSocket(path: string, clock: Clock): RuntimeSocket {
  const ask = async (command: string, payload?: string): Promise<string> => {
    const text = payload === undefined ? command : `${command} <<\n${payload.trimEnd()}\n`; // an empty line ends it
    const reply = (await exchange(path, `set severity-output number;${text}\n`, clock)).trim();
    const refusal = refusalIn(reply);
    if (refusal !== undefined) throw new RuntimeSocketError(command.slice(0, 300), refusal);
    return reply.replaceAll(/^\[\d\]: /gm, '');
  };
  return {
    ask,
    async tell(commands) {
      let batch: string[] = [];
      let bytes = 0;
      const flush = async (): Promise<void> => {
        if (batch.length > 0) await ask(batch.join(';'));
        [batch, bytes] = [[], 0];
      };
      for (const command of commands) {
        if (bytes + command.length > commandsBytesMax) await flush();
        batch.push(command);
        bytes += command.length + 1;
      }
      await flush();
    },
  };
}

/** Severities up to 4 (warning) are refusals; 5 and above say what was done, but for commands that are none. */
function refusalIn(reply: string): string | undefined {
  const line = reply
    .split('\n')
    .find((one) => /^\[[0-4]\]: |^(?:\[\d\]: )?(?:Unknown|Permission denied|Can't|Unable to) ?/.test(one));
  return line?.replace(/^\[\d\]: /, '');
}

function exchange(path: string, text: string, clock: Clock): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const over = new AbortController();
  const parts: Buffer[] = [];
  let bytes = 0;
  const socket: Socket = connect(path);
  const fail = (why: string): void => {
    reject(new RuntimeSocketError(text.split('\n', 1)[0]!.slice(0, 300), why));
    socket.destroy();
  };
  socket.once('connect', () => socket.write(text));
  socket.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > replyBytesMax) fail(`an answer of more than ${replyBytesMax} bytes`);
    else parts.push(part);
  });
  socket.once('error', (error) => fail(error.message));
  socket.once('close', () => resolve(Buffer.concat(parts).toString('latin1')));
  void clock
    .sleep(replyTimeoutMs, over.signal)
    .then(() => !over.signal.aborted && fail(`no answer within ${replyTimeoutMs} ms`));
  return promise.finally(() => over.abort());
}

/** `show map`: `ADDRESS KEY VALUE`. A key that is there twice is told by `twice`. */
export function parseMap(text: string): { entries: Map<string, string>; twice: boolean } {
  const entries = new Map<string, string>();
  let twice = false;
  for (const line of text.split('\n')) {
    const found = /^0x[0-9a-f]+ (\S+) (.*)$/.exec(line);
    if (!found) continue;
    twice ||= entries.has(found[1]!);
    entries.set(found[1]!, found[2]!);
  }
  return { entries, twice };
}

/** `show servers state`: place → server → whether it takes requests. */
export function parseServers(text: string): Map<string, Map<string, { ready: boolean; address: string }>> {
  const places = new Map<string, Map<string, { ready: boolean; address: string }>>();
  let columns: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('# ')) columns = line.slice(2).split(' ');
    const values = line.split(' ');
    if (line.startsWith('#') || values.length < 5) continue;
    const of = (name: string): string => values[columns.indexOf(name)] ?? '';
    const servers = places.get(of('be_name')) ?? new Map();
    servers.set(of('srv_name'), {
      ready: of('srv_admin_state') === '0' && of('srv_op_state') === '2',
      address: `${of('srv_addr')}-${of('srv_port')}`,
    });
    places.set(of('be_name'), servers);
  }
  return places;
}

/** `show info`: `NAME: VALUE`. */
export const parseInfo = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/^([^:\n]+): (.*)$/gm)].map((match) => [match[1]!, match[2]!]));

/** `show ssl crt-list -n LIST`: `FILE:LINE [options] NAMES` → file and names. */
export function parseCertificateList(text: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const line of text.split('\n')) {
    const found = /^([^\s#][^\s:]*):\d+\s*(?:\[[^\]]*\])?\s*(.*)$/.exec(line);
    if (found) files.set(found[1]!, found[2]!.trim());
  }
  return files;
}
