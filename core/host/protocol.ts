import { type LateReconciles, restWatchesMax } from '#sdk';
import type { Provides } from './manifest.ts';
import type { MetricValues } from './plugin-metrics.ts';

/** Host and plugin speak in lines of JSON over the plugin's standard input and output. */
export type ToPlugin =
  | {
      readonly type: 'start';
      readonly protocol: number;
      /** Unix socket that answers the Kubernetes API as this plugin's account. */
      readonly apiSocket: string;
      readonly config: Readonly<Record<string, unknown>>;
      /** The node whose instance this is, of a plugin that runs on nodes. */
      readonly nodeName?: string;
      /** Version of the host's calls; absent: the host makes none. */
      readonly hooks?: number;
      /** Unix socket where the host waits for the plugin to take its calls; absent: they come over descriptor 3. */
      readonly hooksSocket?: string;
      /** Runs this and ends; nothing else is started. */
      readonly command?: CommandWords;
      /** Another version acts: set up and fill caches, but reconcile nothing before `activate`. */
      readonly standby: boolean;
    }
  | { readonly type: 'activate' }
  | { readonly type: 'stop' };
export interface CommandWords {
  readonly name: string;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly words: readonly string[];
}
export type FromPlugin =
  /** Of a command: for the person who typed it, and its end. */
  | { readonly type: 'print'; readonly line: string }
  | { readonly type: 'done' }
  | { readonly type: 'hello'; readonly protocol: number; readonly name: string; readonly version: string }
  /** setup() has returned; in standby caches are filled as well. */
  | { readonly type: 'ready'; readonly provides: Provides }
  | { readonly type: 'failed'; readonly message: string }
  /** Once a second. */
  | { readonly type: 'beat'; readonly metrics: MetricValues; readonly late?: LateReconciles }
  | {
      readonly type: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields?: Readonly<Record<string, unknown>>;
    };

/** Of the calls over the socket pair; `hello` is the first and names it. */
export const hooksProtocol = 1;
/**
 * Calls over the socket pair at the same time: what a container runtime has to say waits in one for each stream. Watches have
 * places of their own, so that they cannot take the hooks'.
 */
export const callsOnChannelMax = 256 + restWatchesMax;
export const beatEveryMs = 1_000;
export const lineBytesMax = 1024 * 1024;

/** Lines of a stream as they come. Throws when one is longer than lineBytesMax: nobody may fill this process's memory. */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop()!;
    if (rest.length > lineBytesMax || parts.some((line) => line.length > lineBytesMax))
      throw new Error(`a line is longer than ${lineBytesMax} bytes`);
    yield* parts;
  }
}

const errorBytesMax = 4_096;
/** The last bytes of a stream, read to its end so that its writer never waits. */
export async function tailOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  let tail = Buffer.alloc(0);
  for await (const chunk of stream) tail = Buffer.concat([tail, chunk]).subarray(-errorBytesMax);
  return tail.toString('utf8');
}

const lateMax = 5;
/** What a plugin says of itself is not believed beyond its shape. Pure. */
export function lateOf(said: unknown): LateReconciles {
  const { total, objects } = (said ?? {}) as { total?: unknown; objects?: unknown };
  return {
    total: Number.isSafeInteger(total) && (total as number) > 0 ? (total as number) : 0,
    objects: Array.isArray(objects) ? objects.slice(0, lateMax).map((one) => String(one).slice(0, 512)) : [],
  };
}
