import type { Refusal } from './refusal.ts';
import type { WriteOperation, WriteResult } from './sqlite-database.ts';

/**
 * Memory that both threads see, for the one write batch in flight: the operations on the way there, the results on the way back.
 * The message beside it is a bare number, which Bun passes without a structured clone; a transferred buffer and an object for
 * each batch cost 190 us, as much as the commit itself.
 *
 * Operations: count u32, then for each verb u8, key bytes u32, value bytes i32 (-1: none), expected f64 (-1: any), key, value.
 * Results: for each the version f64 (below 0: a refusal), the previous version f64, previous value bytes i32 (-1: none), value.
 */
const bytesKept = 1024 * 1024;
const operationHeadBytes = 17; // 1 + 4 + 4 + 8
const resultHeadBytes = 20; // 8 + 8 + 4
const verbs = ['create', 'update', 'delete'] as const;
const refusalNames = ['AlreadyExists', 'NotFound', 'Conflict', 'Full'] as const satisfies readonly (Refusal | 'Full')[];

export class Region {
  constructor(
    readonly shared: SharedArrayBuffer,
    readonly bytes: Buffer = Buffer.from(shared as unknown as ArrayBuffer),
  ) {}
  static of(bytes: number): Region {
    return new Region(new SharedArrayBuffer(bytes));
  }
  /** This one, or a new one where it is too small, or far larger than is needed. */
  fit(bytes: number): Region {
    const size = this.bytes.length;
    if (bytes <= size && (size <= bytesKept || bytes > bytesKept)) return this;
    return Region.of(Math.max(bytesKept, bytes));
  }
}

export const operationsBytes = (operations: readonly WriteOperation[]): number =>
  operations.reduce((sum, { key, value }) => sum + operationHeadBytes + key.length * 3 + (value?.byteLength ?? 0), 4);

/** The region must hold `operationsBytes`. */
export function putOperations({ bytes }: Region, operations: readonly WriteOperation[]): void {
  let at = bytes.writeUInt32LE(operations.length, 0);
  for (const { verb, key, value, expected } of operations) {
    const keyBytes = bytes.write(key, at + operationHeadBytes);
    bytes[at] = verbs.indexOf(verb);
    bytes.writeUInt32LE(keyBytes, at + 1);
    bytes.writeInt32LE(value ? value.byteLength : -1, at + 5);
    bytes.writeDoubleLE(expected ?? -1, at + 9);
    at += operationHeadBytes + keyBytes;
    if (!value) continue;
    bytes.set(value, at);
    at += value.byteLength;
  }
}

/** The values are views: they hold until results are put into the region. */
export function takeOperations({ bytes }: Region): WriteOperation[] {
  const operations: WriteOperation[] = new Array(bytes.readUInt32LE(0));
  let at = 4;
  for (let index = 0; index < operations.length; index++) {
    const keyBytes = bytes.readUInt32LE(at + 1);
    const valueBytes = bytes.readInt32LE(at + 5);
    const expected = bytes.readDoubleLE(at + 9);
    const keyAt = at + operationHeadBytes;
    const valueAt = keyAt + keyBytes;
    operations[index] = {
      verb: verbs[bytes[at]!]!,
      key: bytes.toString('utf8', keyAt, valueAt),
      value: valueBytes < 0 ? undefined : bytes.subarray(valueAt, valueAt + valueBytes),
      expected: expected < 0 ? undefined : expected,
    };
    at = valueAt + Math.max(0, valueBytes);
  }
  return operations;
}

export const resultsBytes = (results: readonly WriteResult[]): number =>
  results.reduce(
    (sum, result) => sum + resultHeadBytes + ('row' in result ? (result.row.previousValue?.byteLength ?? 0) : 0),
    0,
  );

/** The region must hold `resultsBytes`. The new values stay out: whoever asked for the write has them. */
export function putResults({ bytes }: Region, results: readonly WriteResult[]): void {
  let at = 0;
  for (const result of results) {
    const row = 'row' in result ? result.row : undefined;
    const previous = row?.previousValue;
    const version = 'row' in result ? result.row.version : -1 - refusalNames.indexOf(result.refusal);
    bytes.writeDoubleLE(version, at);
    bytes.writeDoubleLE(row?.previous ?? 0, at + 8);
    bytes.writeInt32LE(previous ? previous.byteLength : -1, at + 16);
    at += resultHeadBytes;
    if (!previous) continue;
    bytes.set(previous, at);
    at += previous.byteLength;
  }
}

export function takeResults({ bytes }: Region, operations: readonly WriteOperation[]): WriteResult[] {
  let at = 0;
  return operations.map(({ key, value }): WriteResult => {
    const version = bytes.readDoubleLE(at);
    const previous = bytes.readDoubleLE(at + 8);
    const previousBytes = bytes.readInt32LE(at + 16);
    at += resultHeadBytes;
    if (version < 0) return { refusal: refusalNames[-1 - version]! };
    const previousValue = previousBytes < 0 ? undefined : copyOf(bytes, at, previousBytes);
    at += Math.max(0, previousBytes);
    return { row: { version, key, value, previous, previousValue } };
  });
}

/** A plain array of its own: a view would change with the next batch. */
function copyOf(bytes: Buffer, at: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(at, at + length));
  return copy;
}
