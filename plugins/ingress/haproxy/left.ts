import type { Listener } from '../model.ts';
import { type Doors, socketName } from './generation.ts';
import { parseInfo, runtimeSocket } from './runtime-socket.ts';

/** The process that serves, as it is written down for whoever comes after a crash of ours. */
export interface Left {
  readonly number: number;
  readonly pid: number;
  readonly listeners: readonly Listener[];
}
const recordName = 'serving.json';
const endsWithinMs = 5_000;
const lookMs = 20;

export async function recordServing({ machine, folder }: Doors, left: Left): Promise<void> {
  await machine.files.writeFile(`${folder}/${recordName}`, JSON.stringify(left), { mode: 0o600 });
}

/** The one that still serves, or undefined; then the folder is emptied. */
export async function findLeft(doors: Doors): Promise<Left | undefined> {
  const { files } = doors.machine;
  const left = await files.readFile(`${doors.folder}/${recordName}`, 'utf8').then(read, () => undefined);
  if (left && (await isLeft(doors, left))) return left;
  for (const name of await files.readdir(doors.folder))
    await files.rm(`${doors.folder}/${name}`, { recursive: true, force: true });
  return undefined;
}
function read(text: string): Left | undefined {
  try {
    const { number, pid, listeners } = JSON.parse(text) as Left;
    return number > 0 && pid > 1 && Array.isArray(listeners) ? { number, pid, listeners } : undefined;
  } catch {
    return undefined; // cut short by the crash
  }
}

/** It answers at its own socket with its own number: nobody else's process is taken for it. */
export async function isLeft({ clock, socketPath }: Doors, { number, pid }: Left): Promise<boolean> {
  const answer = await runtimeSocket(socketPath(socketName(number)), clock)
    .ask('show info')
    .catch(() => '');
  return parseInfo(answer).get('Pid') === String(pid);
}

/** It is no child of ours: ended by its number, if that is still it. */
export async function endLeft({ machine, clock, folder }: Doors, { pid }: Left): Promise<void> {
  const { files } = machine;
  const isIt = async (): Promise<boolean> => {
    const argv = await files.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return argv.split('\0').some((word) => word.startsWith(`${folder}/`));
  };
  const untilMs = clock.monotonicMs() + endsWithinMs;
  for (let signal: NodeJS.Signals = 'SIGTERM'; await isIt(); await clock.sleep(lookMs)) {
    process.kill(pid, signal);
    if (clock.monotonicMs() > untilMs) signal = 'SIGKILL';
  }
}
