import type { Readable } from 'node:stream';
import type { LogLine, LogOptions } from '#sdk';
import { type DockerEngine, inspectContainer } from './docker-engine.ts';
import { frameReader, lineReader, stampedLine } from './docker-streams.ts';

interface Modem {
  dial(options: object, callback: (error: unknown, answer?: Readable) => void): void;
}

/** A container's log, always read as a stream: the client library would hold one that is not followed (30 MB) in memory. */
export async function* dockerLogs(
  engine: DockerEngine,
  containerId: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const tty = (await inspectContainer(engine, containerId)).Config.Tty;
  const query = {
    stdout: true,
    stderr: true,
    timestamps: true,
    follow: options.follow === true,
    tail: options.tailLines ?? 'all',
    ...(options.sinceMs === undefined ? {} : { since: (options.sinceMs / 1000).toFixed(3) }),
  };
  const { modem } = await engine.library();
  const stream = await new Promise<Readable>((resolve, reject) =>
    (modem as Modem).dial(
      {
        path: `/containers/${containerId}/logs?`,
        method: 'GET',
        isStream: true,
        abortSignal: signal,
        statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
        options: query,
      },
      (error, answer) => (error || !answer ? reject(error ?? new Error('no answer')) : resolve(answer)),
    ),
  );
  const stop = () => stream.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    yield* tty ? ttyLines(stream) : framedLines(stream);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    stream.destroy();
  }
}

async function* framedLines(stream: Readable): AsyncGenerator<LogLine> {
  const read = frameReader();
  for await (const chunk of stream)
    for (const frame of read(chunk as Uint8Array)) {
      const line = stampedLine(frame.stream, frame.bytes);
      if (line) yield line;
    }
}

async function* ttyLines(stream: Readable): AsyncGenerator<LogLine> {
  const lines = lineReader();
  for await (const chunk of stream)
    for (const bytes of lines.feed(chunk as Uint8Array)) {
      const line = stampedLine('stdout', bytes);
      if (line) yield line;
    }
  const last = stampedLine('stdout', lines.rest());
  if (last) yield last;
}
