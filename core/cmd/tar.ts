import { PintleError } from '#base';

export interface TarFile {
  /** Relative, of plain parts. */
  readonly path: string;
  readonly content: Uint8Array;
}
const blockBytes = 512;
const filesMax = 1_000;
const bytesMax = 64 * 1024 * 1024;
const refused = (message: string): PintleError =>
  new PintleError('BUNDLE_INVALID', `the archive ${message}`, 'do not install it; ask who made it');

/** gzip or plain. Throws BUNDLE_INVALID for more than 64 MiB of content. */
export async function unzipped(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const parts: Uint8Array[] = [];
  let total = 0;
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'));
  for await (const part of stream as unknown as AsyncIterable<Uint8Array>) {
    total += part.length;
    if (total > bytesMax) throw refused(`holds more than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/**
 * The plain files of a tar archive (ustar, pax and GNU names). Throws BUNDLE_INVALID on a link, a device, a name that is
 * absolute or leads out, the same name twice: nothing of an archive with one of these is unpacked. Pure.
 */
export function tarFiles(archive: Uint8Array): TarFile[] {
  if (archive.length > bytesMax) throw refused(`holds more than ${bytesMax} bytes`);
  const found = new Map<string, TarFile>();
  let longName: string | undefined;
  for (let at = 0; at + blockBytes <= archive.length; ) {
    const header = archive.subarray(at, at + blockBytes);
    if (header.every((byte) => byte === 0)) break;
    const size = numberOf(header.subarray(124, 136));
    const content = archive.subarray(at + blockBytes, at + blockBytes + size);
    if (content.length < size) throw refused('is cut short');
    at += blockBytes + Math.ceil(size / blockBytes) * blockBytes;
    const type = String.fromCharCode(header[156] || 48);
    if (type === 'x' || type === 'L') {
      longName = type === 'L' ? textOf(content) : (paxPath(content) ?? longName);
      continue;
    }
    if (type === 'g') continue;
    const prefix = textOf(header.subarray(257, 262)) === 'ustar' ? textOf(header.subarray(345, 500)) : '';
    const short = textOf(header.subarray(0, 100));
    const path = plainPath(longName ?? (prefix ? `${prefix}/${short}` : short));
    longName = undefined;
    if (type === '5') continue;
    if (type !== '0' && type !== '7') throw refused(`holds ${JSON.stringify(path)}, which is no plain file`);
    if (path === '' || found.has(path)) throw refused(`holds ${JSON.stringify(path)} twice, or without a name`);
    found.set(path, { path, content });
    if (found.size > filesMax) throw refused(`holds more than ${filesMax} files`);
  }
  return [...found.values()];
}

const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
};
function numberOf(field: Uint8Array): number {
  const text = textOf(field).trim();
  if (!/^[0-7]*$/.test(text)) throw refused('has a size that is no number');
  return text === '' ? 0 : Number.parseInt(text, 8);
}
/** `27 path=package/plugin.json\n` */
const paxPath = (content: Uint8Array): string | undefined =>
  /^\d+ path=(.*)$/m.exec(new TextDecoder().decode(content))?.[1];

function plainPath(name: string): string {
  if (name.startsWith('/') || name.includes('\\') || name.includes('\0'))
    throw refused(`holds the name ${JSON.stringify(name)}`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refused(`holds the name ${JSON.stringify(name)}, which leads out of it`);
  return parts.join('/');
}
