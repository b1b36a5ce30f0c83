/** `value` is absent for a deletion; `previous` is 0 when the key did not exist before. */
export interface Row {
  readonly version: number;
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly previous: number;
  readonly previousValue?: Uint8Array;
}

/** As it lies in the table `log`. */
export interface StoredRow {
  readonly version: number;
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly previous: number;
  readonly checksum: number;
}

/** SQLite gives back a flipped bit without a word, so each row carries a CRC over everything it says. */
export const checksumOf = (row: {
  readonly version: number;
  readonly key: string;
  readonly previous: number;
  readonly value: Uint8Array | null | undefined;
}): number => {
  const head = Bun.hash.crc32(`${row.version} ${row.previous} ${row.value ? 'put' : 'delete'} ${row.key}`);
  return row.value ? Bun.hash.crc32(row.value, head) : head;
};
