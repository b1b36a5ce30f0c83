import { PintleError } from '#base';
import { askEngine } from '../engine.ts';
import { waitUntil } from '../processes.ts';

const engineLimitMs = 60_000;

/** A private engine starts beside the node: waits until it answers. */
export async function waitForEngine(socket: string, signal: AbortSignal): Promise<void> {
  const answered = await waitUntil(
    async () => signal.aborted || (await askEngine(socket)) !== undefined,
    engineLimitMs,
    50,
  );
  if (!answered)
    throw new PintleError(
      'ENGINE_SILENT',
      `the container engine at ${socket} does not answer`,
      'start it, or see ./pintle logs engine',
    );
}
