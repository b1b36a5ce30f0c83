import { PintleError } from '#base';
import { StatusError } from '../api/status.ts';
import type { Row } from './sqlite-row.ts';

/**
 * What crosses the thread for reads: a small JSON head and one transferred buffer with every value behind the other.
 * Structured clone of many small objects costs more than the query itself. Writes go by sqlite-channel.ts.
 */
export type Question =
  | { readonly type: 'open'; readonly path: string }
  | { readonly type: 'get'; readonly key: string }
  | {
      readonly type: 'list';
      readonly prefix: string;
      readonly after?: string;
      readonly limit?: number;
      readonly at?: number;
    }
  | {
      readonly type: 'changes';
      readonly prefix: string;
      readonly since: number;
      readonly rowsMax: number;
      readonly bytesMax: number;
    }
  | { readonly type: 'compact'; readonly before: number }
  | { readonly type: 'epoch'; readonly above: number }
  | { readonly type: 'close' };
export interface Packed {
  readonly head: string;
  readonly bytes: ArrayBuffer;
}
export type Answer =
  | { readonly id: number; readonly version: number; readonly packed?: Packed }
  | { readonly id: number; readonly failure: Failure };
/** To the thread: the time of a write whose operations lie in the region, a new region, or a question. */
export type ToThread =
  | number
  | { readonly region: SharedArrayBuffer }
  | { readonly id: number; readonly question: Question };
/** From the thread: the version after a write whose results lie in the region; before it the region where that one is new. */
export type FromThread = number | { readonly region: SharedArrayBuffer } | Answer;
/** The id under which a failed write is answered. */
export const writeId = 0;
export interface Failure {
  readonly type: 'status' | 'pintle' | 'other';
  readonly code: string | number;
  readonly reason: string;
  readonly message: string;
}

/** `lengths` of the values in order, -1 for an absent one, and whatever else the reader needs. */
function pack(head: unknown[], values: readonly (Uint8Array | undefined)[]): Packed {
  const bytes = new Uint8Array(values.reduce((sum, value) => sum + (value?.byteLength ?? 0), 0));
  let offset = 0;
  for (const value of values) {
    if (!value) continue;
    bytes.set(value, offset);
    offset += value.byteLength;
  }
  return { head: JSON.stringify([values.map((value) => value?.byteLength ?? -1), ...head]), bytes: bytes.buffer };
}

/** Copies, so that keeping one value does not keep them all. */
function unpack(packed: Packed): { head: unknown[]; values: (Uint8Array | undefined)[] } {
  const [lengths, ...head] = JSON.parse(packed.head) as [number[], ...unknown[]];
  let offset = 0;
  const take = (length: number) => {
    const view = new Uint8Array(packed.bytes, offset, length);
    offset += length;
    return view.slice();
  };
  return { head, values: lengths.map((length) => (length < 0 ? undefined : take(length))) };
}

export const packRows = (rows: readonly Row[], through: number): Packed =>
  pack(
    [rows.map(({ version, key, previous }) => [version, key, previous]), through],
    rows.flatMap(({ value, previousValue }) => [value, previousValue]),
  );

export function unpackRows(packed: Packed): { rows: Row[]; through: number } {
  const { head, values } = unpack(packed);
  const rows = (head[0] as [number, string, number][]).map(([version, key, previous], index) => ({
    version,
    key,
    previous,
    value: values[2 * index],
    previousValue: values[2 * index + 1],
  }));
  return { rows, through: head[1] as number };
}

export function toFailure(error: unknown): Failure {
  if (error instanceof StatusError)
    return { type: 'status', code: error.code, reason: error.reason, message: error.message };
  if (error instanceof PintleError)
    return { type: 'pintle', code: error.code, reason: error.next, message: error.message };
  return { type: 'other', code: '', reason: '', message: error instanceof Error ? error.message : String(error) };
}

export function fromFailure({ type, code, reason, message }: Failure): Error {
  if (type === 'pintle') return new PintleError(String(code), message, reason);
  if (type === 'status') return new StatusError(Number(code), reason, message);
  return new StatusError(503, 'ServiceUnavailable', `the store failed: ${message}`);
}
