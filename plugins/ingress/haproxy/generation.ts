import { type Clock, type DuplexChild, type Log, messageOf } from '#sdk';
import { alertsIn, type Machine, outputOf, textOf } from './program.ts';
import { parseInfo, type RuntimeSocket, runtimeSocket } from './runtime-socket.ts';

/** One process of HAProxy: it took over the sockets of the one before, and the next one takes over its. */
export interface Generation {
  readonly number: number;
  readonly pid: number;
  readonly socket: RuntimeSocket;
  readonly exited: Promise<number>;
  readonly hasExited: boolean;
  /** New connections are not taken any more; those it has may finish, then it ends. Resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
  kill(): void;
}
export interface Doors {
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Log;
  readonly program: string;
  readonly folder: string;
  /** How the runtime sockets are reached; the folder's own path may be too long for one. */
  socketPath(name: string): string;
}
const readyWithinMs = 20_000;
const lookMs = 5;
const lookIdleMs = 50;
const linesLoggedMax = 200;

export const socketName = (number: number): string => `${number}.sock`;
export const configName = (number: number): string => `${number}.cfg`;

/** Why the configuration that was written would not be taken; undefined: it would. */
export async function checkConfig({ machine, program, folder }: Doors, number: number): Promise<string | undefined> {
  const { code, text } = await outputOf(machine, [program, '-c', '-f', configName(number)], folder);
  return code === 0 ? undefined : alertsIn(text) || `haproxy -c ended with ${code}`;
}

/**
 * Starts one with the files of the folder, and waits until it serves. `former` gives it its sockets, then stops listening and
 * finishes what it has. Throws, with nothing changed, when it does not come up.
 */
export async function startGeneration(
  doors: Doors,
  number: number,
  former?: { readonly number: number; readonly pid: number },
): Promise<Generation> {
  const { machine, clock, log, folder, program } = doors;
  const setsid = machine.findProgram('setsid'); // a signal for the terminal's programs is not for it
  const handOver = former ? ['-x', socketName(former.number), '-sf', String(former.pid)] : [];
  // The whole path says whose it is to whoever looks at the processes, `pintle down` among them.
  const argv = [...(setsid ? [setsid] : []), program, '-db', '-f', `${folder}/${configName(number)}`, ...handOver];
  const child = machine.spawn(argv, { cwd: folder });
  void child.stdin.end();
  let isOver = false;
  const exited = child.exited.then((code) => {
    isOver = true;
    return code;
  });
  let said = '';
  let lines = 0;
  const listen = (text: string): void => {
    if (said.length < 8_192) said += text;
    if (lines++ < linesLoggedMax) log.debug('haproxy', { text: text.slice(0, 512) });
  };
  const read = Promise.all([textOf(child.stdout, listen), textOf(child.stderr, listen)]).catch(() => {});
  const socket = runtimeSocket(doors.socketPath(socketName(number)), clock);
  const startedMs = clock.monotonicMs();
  for (;;) {
    const pid = await socket.ask('show info').then(
      (text) => Number(parseInfo(text).get('Pid')),
      () => undefined,
    );
    if (pid) {
      return {
        number,
        pid,
        socket,
        exited,
        get hasExited() {
          return isOver;
        },
        stop: (graceMs) => stop(child, exited, doors, number, graceMs),
        kill: () => child.kill('SIGKILL'),
      };
    }
    if (isOver) {
      await read;
      throw new Error(`haproxy did not start: ${alertsIn(said) || 'it said nothing'}`);
    }
    if (clock.monotonicMs() - startedMs > readyWithinMs) {
      child.kill('SIGKILL');
      throw new Error(`haproxy did not answer within ${readyWithinMs} ms: ${alertsIn(said)}`);
    }
    await clock.sleep(lookMs);
  }
}

/** SIGUSR1 lets it finish; what is idle would wait for another request, so that we look whether anything is under way. */
async function stop(
  child: DuplexChild,
  exited: Promise<number>,
  { clock, log, socketPath }: Doors,
  number: number,
  graceMs: number,
): Promise<void> {
  const over = new AbortController();
  void exited.then(() => over.abort());
  try {
    await using talk = await openTalk(socketPath(socketName(number)), clock);
    child.kill('SIGUSR1');
    const deadlineMs = clock.monotonicMs() + graceMs;
    while (!over.signal.aborted && clock.monotonicMs() < deadlineMs) {
      if (streamsIn(await talk.ask('show sess')) === 0) break;
      await clock.sleep(lookIdleMs, over.signal);
    }
  } catch (error) {
    log.debug('haproxy ended before it was asked what it does', { error: messageOf(error) });
  }
  if (!over.signal.aborted) child.kill('SIGTERM');
  void clock.sleep(2_000, over.signal).then(() => !over.signal.aborted && child.kill('SIGKILL'));
  await exited;
}

/** Streams of clients; the one that asks is none. */
const streamsIn = (text: string): number =>
  text.split('\n').filter((line) => line.startsWith('0x') && !line.includes('proto=unix_stream')).length;

const prompt = '\n> ';
/** A connection that stays: the socket of a program that stops takes no new ones. */
async function openTalk(
  path: string,
  clock: Clock,
): Promise<AsyncDisposable & { ask(command: string): Promise<string> }> {
  let text = '';
  let wake = (): void => {};
  const socket = await Bun.connect({
    unix: path,
    socket: {
      data(_socket, part) {
        text += part.toString('latin1');
        wake();
      },
      close: () => wake(),
      error: () => wake(),
    },
  });
  const ask = async (command: string): Promise<string> => {
    text = '';
    socket.write(`${command}\n`);
    const deadlineMs = clock.monotonicMs() + 2_000;
    while (!text.endsWith(prompt)) {
      if (clock.monotonicMs() > deadlineMs || socket.readyState < 1) throw new Error('no answer');
      const news = new AbortController();
      wake = () => news.abort();
      if (!text.endsWith(prompt)) await clock.sleep(100, news.signal);
    }
    return text.slice(0, -prompt.length);
  };
  await ask('prompt');
  return { ask, [Symbol.asyncDispose]: async () => void socket.end() };
}
