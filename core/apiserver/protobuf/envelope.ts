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
