import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { PintleError } from '#base';
import { openHome } from './home.ts';

const names = ['supervisor', 'engine', 'apiserver', 'controllers', 'node'];
const tailBytesMax = 4 * 2 ** 20;

/** `logs [component]`: the last lines of each, then what comes, with -f. */
export async function logs(
  component: string | undefined,
  options: { home?: string; follow?: boolean; json?: boolean; tail: number },
): Promise<void> {
  const home = openHome(options.home);
  home.read();
  if (component && !names.includes(component))
    throw new PintleError('UNKNOWN_COMPONENT', `there is no component ${component}`, `name one of ${names.join(', ')}`);
  const print = (name: string, lines: readonly string[]): void => {
    const prefix = files.length > 1 ? name.padEnd(12) : '';
    for (const line of lines) process.stdout.write(`${prefix}${options.json ? line : readable(line)}\n`);
  };
  const files = (component ? [component] : names)
    .map((name) => ({ name, path: home.path('logs', `${name}.log`), at: 0 }))
    .filter((file) => existsSync(file.path));
  for (const file of files) {
    const size = statSync(file.path).size;
    const text = readFrom(file.path, Math.max(0, size - tailBytesMax), size);
    const lines = text.split('\n').filter((line) => line !== '');
    print(file.name, options.tail === 0 ? [] : lines.slice(-options.tail));
    file.at = size;
  }
  while (options.follow) {
    await Bun.sleep(200);
    for (const file of files) {
      const size = statSync(file.path, { throwIfNoEntry: false })?.size ?? 0;
      if (size < file.at) file.at = 0; // turned over
      if (size === file.at) continue;
      const text = readFrom(file.path, file.at, Math.min(size, file.at + tailBytesMax));
      const whole = text.lastIndexOf('\n') + 1;
      print(
        file.name,
        text
          .slice(0, whole)
          .split('\n')
          .filter((line) => line !== ''),
      );
      file.at += Buffer.byteLength(text.slice(0, whole));
    }
  }
}

function readFrom(path: string, from: number, to: number): string {
  const bytes = Buffer.alloc(to - from);
  const file = openSync(path, 'r');
  try {
    const length = readSync(file, bytes, 0, bytes.length, from);
    return bytes.subarray(0, length).toString('utf8');
  } finally {
    closeSync(file);
  }
}

const ownFields = new Set(['time', 'level', 'message', 'component']);

/** One of our lines as people read it; whatever else stands in a log stays as it is. Pure. */
export function readable(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    const fields = JSON.parse(line) as Record<string, unknown>;
    const time = /T(\d\d:\d\d:\d\d\.\d)/.exec(String(fields['time']))?.[1] ?? '';
    const rest = Object.entries(fields).filter(([name]) => !ownFields.has(name));
    const shown = rest.map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
    return `${time} ${String(fields['level']).padEnd(5)} ${fields['message']}${shown.join('')}`;
  } catch {
    return line;
  }
}
