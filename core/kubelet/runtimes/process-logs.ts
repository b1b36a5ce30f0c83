import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { Clock } from '#base';
import type { LogLine, LogOptions } from '#sdk';
import { lineReader } from './docker-streams.ts';

const pollMs = 100;
const chunkBytes = 64 * 1024;

/** `TIME STREAM F|P TEXT`: F is a whole line, P a part that lacks its newline. */
export function parseLogLine(bytes: Uint8Array): LogLine | undefined {
  const first = bytes.indexOf(32);
  const second = bytes.indexOf(32, first + 1);
  const third = bytes.indexOf(32, second + 1);
  if (first < 0 || second < 0 || third < 0) return undefined;
  const head = new TextDecoder().decode(bytes.subarray(0, third)).split(' ');
  const timeMs = Date.parse(head[0]!);
  if (!Number.isFinite(timeMs)) return undefined;
  const full = head[2] === 'F';
  return {
    stream: head[1] === 'stderr' ? 'stderr' : 'stdout',
    time: head[0]!,
    timeMs,
    bytes: bytes.slice(third + 1, full ? bytes.length : bytes.length - 1),
  };
}

/** Reads a log that another process writes and turns over (`log` → `log.1`). */
export async function* readLog(
  path: string,
  options: LogOptions,
  world: { readonly clock: Clock; readonly signal: AbortSignal; ended(): boolean },
): AsyncGenerator<LogLine> {
  const wanted = (line: LogLine) => options.sinceMs === undefined || line.timeMs >= options.sinceMs;
  const former = [...readWhole(`${path}.1`)].filter(wanted);
  const reader = new GrowingFile(path);
  try {
    const start = [...former, ...[...reader.lines()].filter(wanted)];
    yield* options.tailLines === undefined ? start : options.tailLines === 0 ? [] : start.slice(-options.tailLines);
    while (options.follow && !world.signal.aborted) {
      const ended = world.ended(); // asked before the last look, so that nothing written before the end is missed
      for (const line of reader.lines()) {
        if (world.signal.aborted) return;
        if (wanted(line)) yield line;
      }
      if (ended) return;
      await world.clock.sleep(pollMs, world.signal);
    }
  } finally {
    reader.close();
  }
}

function* readWhole(path: string): Generator<LogLine> {
  const file = new GrowingFile(path);
  yield* file.lines();
  file.close();
}

class GrowingFile {
  #file: number | undefined;
  #inode = 0;
  #at = 0;
  #reader = lineReader();
  constructor(readonly path: string) {}

  /** What has been added since the last call. Follows the name when the file was turned over. */
  *lines(): Generator<LogLine> {
    if (this.#file !== undefined) yield* this.#rest();
    const now = statSync(this.path, { throwIfNoEntry: false });
    if (!now || (this.#file !== undefined && now.ino === this.#inode)) return;
    this.close();
    this.#file = openSync(this.path, 'r');
    this.#inode = fstatSync(this.#file).ino;
    this.#at = 0;
    this.#reader = lineReader();
    yield* this.#rest();
  }

  *#rest(): Generator<LogLine> {
    const buffer = new Uint8Array(chunkBytes);
    for (;;) {
      const count = readSync(this.#file!, buffer, 0, chunkBytes, this.#at);
      if (count === 0) return;
      this.#at += count;
      for (const bytes of this.#reader.feed(buffer.slice(0, count))) {
        const line = parseLogLine(bytes);
        if (line) yield line;
      }
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
