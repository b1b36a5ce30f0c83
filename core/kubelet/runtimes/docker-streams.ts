import type { LogLine } from '#sdk';

/** The engine's frames: stream (1 byte: 1 stdout, 2 stderr), 3 zero bytes, length (4 bytes), payload. */
export type Frame = { readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array };
const frameBytesMax = 16 * 1024 * 1024;

/** Feed chunks as they come; frames come out whole. Throws when the bytes are no frames. */
export function frameReader(): (chunk: Uint8Array) => Frame[] {
  let rest: Uint8Array = new Uint8Array(0);
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const frames: Frame[] = [];
    let at = 0;
    while (bytes.length - at >= 8) {
      const length = ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0;
      if (bytes[at]! > 3 || length > frameBytesMax) throw new Error('the engine sent bytes that are no frames');
      if (bytes.length - at - 8 < length) break;
      frames.push({
        stream: bytes[at] === 2 ? 'stderr' : 'stdout',
        bytes: bytes.slice(at + 8, at + 8 + length),
      });
      at += 8 + length;
    }
    rest = bytes.slice(at);
    return frames;
  };
}

/** Feed chunks of a TTY's log; whole lines come out, with their newline. `rest()` is what lacks one. */
export function lineReader(): { feed(chunk: Uint8Array): Uint8Array[]; rest(): Uint8Array } {
  let rest: Uint8Array = new Uint8Array(0);
  return {
    feed(chunk) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const lines: Uint8Array[] = [];
      let at = 0;
      for (let end = bytes.indexOf(10, at); end >= 0; end = bytes.indexOf(10, at)) {
        lines.push(bytes.slice(at, end + 1));
        at = end + 1;
      }
      rest = bytes.slice(at);
      return lines;
    },
    rest: () => rest,
  };
}

/** `2026-01-02T03:04:05.123456789Z text` to a line; undefined when there is no time in front. */
export function stampedLine(stream: 'stdout' | 'stderr', bytes: Uint8Array): LogLine | undefined {
  const blank = bytes.indexOf(32);
  if (blank < 20 || blank > 40) return undefined;
  const time = new TextDecoder().decode(bytes.subarray(0, blank));
  const timeMs = Date.parse(time);
  if (!Number.isFinite(timeMs)) return undefined;
  return { stream, time, timeMs, bytes: bytes.slice(blank + 1) };
}
