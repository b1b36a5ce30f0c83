/** What `wg show DEVICE dump` says. The private key of its first line is dropped here. */
export interface WireguardDump {
  /** Absent while none is set. */
  readonly publicKey?: string;
  readonly listenPort: number;
  readonly peers: readonly DumpPeer[];
}
export interface DumpPeer {
  readonly publicKey: string;
  readonly hasPresharedKey: boolean;
  /** `192.0.2.1:51820` or `[2001:db8::1]:51820`; absent while nothing came and nothing was set. */
  readonly endpoint?: string;
  /** Sorted. */
  readonly allowedIps: readonly string[];
  /** Seconds since 1970; 0 before the first. */
  readonly lastHandshakeS: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** 0: off. */
  readonly keepaliveS: number;
}

const present = (field: string): string | undefined => (field === '(none)' || field === '' ? undefined : field);
const number = (field: string | undefined): number => (field && /^\d+$/.test(field) ? Number(field) : 0);

/** Throws for text that is no dump; unknown fields at the end of a line are left alone. */
export function parseDump(text: string): WireguardDump {
  const [first, ...rest] = text.split('\n').filter((line) => line !== '');
  const device = first?.split('\t') ?? [];
  if (device.length < 4) throw new Error('this is no dump of a WireGuard device');
  const publicKey = present(device[1]!);
  return { ...(publicKey ? { publicKey } : {}), listenPort: number(device[2]), peers: rest.map(parsePeer) };
}

function parsePeer(line: string): DumpPeer {
  const fields = line.split('\t');
  if (fields.length < 8) throw new Error(`a peer in a dump of WireGuard has ${fields.length} fields in place of 8`);
  const endpoint = present(fields[2]!);
  return {
    publicKey: fields[0]!,
    hasPresharedKey: present(fields[1]!) !== undefined,
    ...(endpoint ? { endpoint } : {}),
    allowedIps: present(fields[3]!)?.split(',').sort() ?? [],
    lastHandshakeS: number(fields[4]),
    receivedBytes: number(fields[5]),
    sentBytes: number(fields[6]),
    keepaliveS: number(fields[7]),
  };
}
