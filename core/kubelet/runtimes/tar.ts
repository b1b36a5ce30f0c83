/** A tar stream (ustar), enough to import an image. Names have no leading slash. */
export type TarEntry =
  | { readonly type: 'folder'; readonly name: string; readonly mode?: number }
  | { readonly type: 'link'; readonly name: string; readonly target: string }
  | { readonly type: 'file'; readonly name: string; readonly mode?: number; readonly bytes: Uint8Array | Blob };

export async function* tar(entries: Iterable<TarEntry>): AsyncGenerator<Uint8Array> {
  for (const entry of entries) {
    const size = entry.type === 'file' ? (entry.bytes instanceof Blob ? entry.bytes.size : entry.bytes.length) : 0;
    yield header(entry, size);
    if (entry.type !== 'file') continue;
    if (entry.bytes instanceof Blob)
      for await (const chunk of entry.bytes.stream() as unknown as AsyncIterable<Uint8Array>) yield chunk;
    else yield entry.bytes;
    if (size % 512) yield new Uint8Array(512 - (size % 512));
  }
  yield new Uint8Array(1024);
}

function header(entry: TarEntry, size: number): Uint8Array {
  const name = entry.type === 'folder' ? `${entry.name}/` : entry.name;
  if (name.length > 100) throw new Error(`the name ${name} is longer than the 100 bytes that a tar header holds`);
  const out = new Uint8Array(512);
  const encoder = new TextEncoder();
  const text = (offset: number, value: string) => out.set(encoder.encode(value), offset);
  const octal = (offset: number, width: number, value: number) =>
    text(offset, `${value.toString(8).padStart(width - 1, '0')}\0`);
  const mode = entry.type === 'link' ? 0o777 : (entry.mode ?? (entry.type === 'folder' ? 0o755 : 0o644));
  text(0, name);
  octal(100, 8, mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, size);
  octal(136, 12, 0);
  text(148, ' '.repeat(8)); // the sum counts its own field as blanks
  text(156, entry.type === 'folder' ? '5' : entry.type === 'link' ? '2' : '0');
  if (entry.type === 'link') text(157, entry.target);
  text(257, 'ustar\u000000');
  octal(
    148,
    7,
    out.reduce((sum, byte) => sum + byte, 0),
  );
  return out;
}
