import { join } from 'node:path';

export interface Target {
  /** `https://HOST:PORT` */
  readonly url: string;
  readonly token: string;
}
/** `{w}` and `{i}` in path and body stand for the connection's number and a serial number. */
export interface LoadRequest {
  readonly method: string;
  readonly path: string;
  readonly type?: string;
  readonly body?: string;
}
export interface RequestJob extends Target {
  readonly type: 'requests';
  readonly request: LoadRequest;
  readonly connections: number;
  /** Ends after so long, or after so many requests. */
  readonly seconds?: number;
  readonly total?: number;
}
export interface WatchJob extends Target {
  readonly type: 'watch';
  readonly path: string;
  readonly watchers: number;
  readonly events: number;
  /** Sent `events` times; each must bring every watcher one event. Absent: the watches are held until stdin ends. */
  readonly trigger?: LoadRequest;
}
export type LoadJob = RequestJob | WatchJob;
export interface LoadResult {
  readonly count: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly errors: number;
  readonly firstError?: string;
}

/** Runs a job in a process of its own. Throws with what the server said when a request failed. */
export async function load(job: LoadJob): Promise<LoadResult> {
  const child = start(job);
  const [text, code] = await Promise.all([child.stdout.text(), child.exited]);
  if (code !== 0) throw new Error(`the load generator ended with code ${code}`);
  const result = JSON.parse(text.trim().split('\n').at(-1)!) as LoadResult;
  if (result.errors > 0) throw new Error(`${result.errors} requests failed, the first with ${result.firstError}`);
  return result;
}

/** Watches that are only held. Disposal ends them. */
export async function holdWatches(target: Target, path: string, watchers: number): Promise<AsyncDisposable> {
  const child = start({ ...target, type: 'watch', path, watchers, events: 1 });
  let isReady = false;
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!isReady) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the watches could not be opened');
    isReady = value.includes('ready');
  }
  reader.releaseLock();
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.end();
      await child.exited;
    },
  };
}

const start = (job: LoadJob) =>
  Bun.spawn([process.execPath, join(import.meta.dir, 'load-process.ts'), JSON.stringify(job)], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  });

export const perSecond = ({ count, seconds }: LoadResult): number => count / seconds;
