import { type Clock, type Log, messageOf } from '#base';
import type { LogLine } from '#sdk';
import type { FoundContainer, KubeletAccess, KubeletServerRuntime } from './access.ts';
import { type LogQuery, parseLogQuery } from './log-options.ts';

const batchBytes = 32 * 1024; // lines that are there at once travel together
const encoder = new TextEncoder();

export interface LogRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

/** GET /containerLogs/NAMESPACE/POD/CONTAINER. The client's pace is the engine's: a line is read when the last one was taken. */
export function serveLogs(
  request: LogRequest,
  access: KubeletAccess,
  runtime: KubeletServerRuntime,
  clock: Clock,
  log: Log,
): Response {
  const query = parseLogQuery(request.query, clock.now());
  if (typeof query === 'string') return new Response(query, { status: 422 });
  const found = access.findContainer(request.namespace, request.pod, request.container, query.previous);
  if (found.type !== 'found') return new Response(refusal(found, request), { status: refusalCode(found) });
  const stop = new AbortController();
  const end = () => stop.abort();
  request.signal.addEventListener('abort', end, { once: true });
  if (request.signal.aborted) end();
  const lines = runtime.logs(found.containerId, query, stop.signal);
  const chunks = logChunks(lines, query, () => clock.soon());
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await chunks.next();
          if (!next.done) return controller.enqueue(next.value);
        } catch (error) {
          if (!stop.signal.aborted) log.warn('log stream failed', { pod: request.pod, error: messageOf(error) });
        }
        end();
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { 'content-type': 'text/plain' } });
}

/** The bytes of the wanted lines, joined up to 32 KiB while more are at hand, cut at limitBytes. `soon` ends the waiting for more. */
export async function* logChunks(
  lines: AsyncIterable<LogLine>,
  query: LogQuery,
  soon: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const iterator = lines[Symbol.asyncIterator]();
  let left = query.limitBytes ?? Number.POSITIVE_INFINITY;
  try {
    let pending = iterator.next();
    while (left > 0) {
      const batch: Uint8Array[] = [];
      let bytes = 0;
      let next: IteratorResult<LogLine> | undefined = await pending;
      while (next && !next.done) {
        const part = lineBytes(next.value, query).subarray(0, left);
        left -= part.length;
        bytes += part.length;
        batch.push(part);
        pending = iterator.next();
        pending.catch(() => {}); // met when it is awaited above
        next = left > 0 && bytes < batchBytes ? await Promise.race([pending, soon().then(() => undefined)]) : undefined;
      }
      if (bytes > 0) yield batch.length === 1 ? batch[0]! : Buffer.concat(batch);
      if (next?.done) return;
    }
  } finally {
    void iterator.return?.().catch(() => {});
  }
}

const empty = new Uint8Array(0);
function lineBytes(line: LogLine, query: LogQuery): Uint8Array {
  if (query.stream !== 'All' && query.stream.toLowerCase() !== line.stream) return empty;
  return query.timestamps ? Buffer.concat([encoder.encode(`${line.time} `), line.bytes]) : line.bytes;
}

const refusalCode = (found: FoundContainer): number =>
  found.type === 'noPod' || found.type === 'noContainer' ? 404 : 400;

/** The sentences that clients of a kubelet know. */
export function refusal(found: FoundContainer, { pod, container }: { pod: string; container: string }): string {
  switch (found.type) {
    case 'noPod':
      return `pod "${pod}" does not exist`;
    case 'noContainer':
      return `container "${container}" not found in pod "${pod}"`;
    case 'noPrevious':
      return `previous terminated container "${container}" in pod "${pod}" not found`;
    case 'waiting': {
      const start = `container "${container}" in pod "${pod}" is waiting to start`;
      if (found.reason === 'ErrImagePull') return `${start}: image can't be pulled`;
      if (found.reason === 'ImagePullBackOff') return `${start}: trying and failing to pull image`;
      return found.reason ? `${start}: ${found.reason}` : `${start} - no logs yet`;
    }
    case 'found':
      return '';
  }
}
