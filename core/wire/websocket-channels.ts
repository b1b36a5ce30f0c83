/**
 * The channels of exec and attach on a WebSocket: the first byte of a message names the channel. In the base64 variants
 * messages are text, the channel is a digit and the rest is base64. v5 adds a half-close: [255, channel].
 */
export const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;
const closeSignal = 255;

export interface ChannelProtocol {
  /** As negotiated; empty when the client offered none. */
  readonly name: string;
  readonly base64: boolean;
  readonly halfClose: boolean;
  /** v4 and v5 send a Status on the error channel; before that it is a plain sentence, and nothing for success. */
  readonly statusObjects: boolean;
}

/** In the order of preference. */
const protocols: readonly ChannelProtocol[] = [
  { name: 'v5.channel.k8s.io', base64: false, halfClose: true, statusObjects: true },
  { name: 'v4.channel.k8s.io', base64: false, halfClose: false, statusObjects: true },
  { name: 'v4.base64.channel.k8s.io', base64: true, halfClose: false, statusObjects: true },
  { name: 'base64.channel.k8s.io', base64: true, halfClose: false, statusObjects: false },
  { name: 'channel.k8s.io', base64: false, halfClose: false, statusObjects: false },
  { name: '', base64: false, halfClose: false, statusObjects: false },
];

export const offeredProtocols = (header: string | null): string[] =>
  (header ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** The first of the client's offers that is spoken here; undefined: none of them. */
export function negotiateChannels(header: string | null): ChannelProtocol | undefined {
  const offered = offeredProtocols(header);
  for (const name of offered.length > 0 ? offered : ['']) {
    const found = protocols.find((protocol) => protocol.name === name);
    if (found) return found;
  }
  return undefined;
}

export type ChannelMessage =
  | { readonly type: 'data'; readonly channel: number; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly channel: number };

/** Undefined: an empty or malformed message, to be ignored. */
export function decodeChannelMessage(
  protocol: ChannelProtocol,
  message: string | Uint8Array,
): ChannelMessage | undefined {
  if (protocol.base64) {
    const text = typeof message === 'string' ? message : Buffer.from(message).toString('latin1');
    const number = text.charCodeAt(0) - 0x30;
    if (!(number >= 0 && number <= 9)) return undefined;
    return { type: 'data', channel: number, bytes: Buffer.from(text.slice(1), 'base64') };
  }
  const bytes = typeof message === 'string' ? Buffer.from(message, 'utf8') : message;
  if (bytes.length === 0) return undefined;
  if (protocol.halfClose && bytes[0] === closeSignal)
    return bytes.length === 2 ? { type: 'close', channel: bytes[1]! } : undefined;
  return { type: 'data', channel: bytes[0]!, bytes: bytes.subarray(1) };
}

export function encodeChannelMessage(
  protocol: ChannelProtocol,
  number: number,
  bytes: Uint8Array,
): string | Uint8Array<ArrayBuffer> {
  if (protocol.base64) return `${number}${Buffer.from(bytes).toString('base64')}`;
  const message = new Uint8Array(bytes.length + 1);
  message[0] = number;
  message.set(bytes, 1);
  return message;
}

/** `{"Width":80,"Height":24}` of the resize channel; undefined when it is neither that nor sensible. */
export function parseResize(bytes: Uint8Array): { columns: number; rows: number } | undefined {
  let size: unknown;
  try {
    size = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof size !== 'object' || size === null || !('Width' in size) || !('Height' in size)) return undefined;
  const { Width: columns, Height: rows } = size;
  const sensible = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
  return sensible(columns) && sensible(rows) ? { columns, rows } : undefined;
}
