/** How Kubernetes wraps protobuf messages: `k8s\0`, then runtime.Unknown with the type and the message. */
export function varintBytes(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80);
  out.push(rest);
  return out;
}

/** What stands before a message of so many bytes, and what stands after it. */
export function envelopeHead(apiVersion: string, kind: string, messageBytes: number): Uint8Array {
  const [version, name] = [Buffer.from(apiVersion), Buffer.from(kind)];
  const type = [0x0a, ...varintBytes(version.length), ...version, 0x12, ...varintBytes(name.length), ...name];
  return Uint8Array.from([
    ...[0x6b, 0x38, 0x73, 0x00, 0x0a],
    ...varintBytes(type.length),
    ...type,
    0x12,
    ...varintBytes(messageBytes),
  ]);
}
export const envelopeTail = Uint8Array.from([0x1a, 0x00, 0x22, 0x00]); // content encoding and type: empty

export const envelope = (apiVersion: string, kind: string, message: Uint8Array): Buffer =>
  Buffer.concat([envelopeHead(apiVersion, kind, message.length), message, envelopeTail]);

/** A varint below 2^53, and where what follows it begins. */
export function readVarint(bytes: Uint8Array, from: number): [value: number, next: number] {
  let value = 0;
  let unit = 1;
  let at = from;
  for (; bytes[at]! >= 128; at++) {
    value += (bytes[at]! & 0x7f) * unit;
    unit *= 128;
  }
  return [value + bytes[at]! * unit, at + 1];
}

/** The inverse of `envelope`. */
export function messageOf(enveloped: Uint8Array): Uint8Array {
  const [typeBytes, typeAt] = readVarint(enveloped, 5);
  const [length, start] = readVarint(enveloped, typeAt + typeBytes + 1);
  return enveloped.subarray(start, start + length);
}
