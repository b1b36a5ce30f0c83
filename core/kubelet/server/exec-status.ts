import type { ChannelProtocol } from '../../wire/websocket-channels.ts';

/** What ends an exec on its error channel: metav1.Status, with only the fields that upstream sends there. */
export interface StreamStatus {
  readonly metadata: Record<string, never>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes: readonly { readonly reason: string; readonly message: string }[] };
  readonly code?: number;
}

export const successStatus: StreamStatus = { metadata: {}, status: 'Success' };

export const exitStatus = (code: number): StreamStatus => ({
  metadata: {},
  status: 'Failure',
  message: `command terminated with non-zero exit code: command terminated with exit code ${code}`,
  reason: 'NonZeroExitCode',
  details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
});

export const internalStatus = (why: string): StreamStatus => ({
  metadata: {},
  status: 'Failure',
  message: `Internal error occurred: ${why}`,
  reason: 'InternalError',
  code: 500,
});

/** Old protocols know no Status: a sentence for a failure, nothing for success. */
export function errorPayload(protocol: ChannelProtocol, status: StreamStatus): Uint8Array | undefined {
  if (protocol.statusObjects) return Buffer.from(JSON.stringify(status));
  return status.status === 'Success' ? undefined : Buffer.from(status.message ?? '');
}
