import { type Files, systemFiles } from '#base';
import type { ContainerRuntime, ContainerState } from '#sdk';
import { terminationFileOf } from './container-spec.ts';

const fileBytesMax = 4096;
const logBytesMax = 2048;
const logLinesMax = 80;

/** What an exited container said last: its termination file, or the end of its log when it failed and wants that. Never throws. */
export async function terminationMessage(
  state: ContainerState,
  policy: string | undefined,
  podFolder: string,
  runtime: ContainerRuntime,
  files: Files = systemFiles,
): Promise<string> {
  try {
    const file = await readStart(terminationFileOf(podFolder, state.name, state.attempt), files);
    if (file || policy !== 'FallbackToLogsOnError' || state.exitCode === 0) return file;
    const parts: Uint8Array[] = [];
    for await (const line of runtime.logs(state.id, { tailLines: logLinesMax }, AbortSignal.any([])))
      parts.push(line.bytes);
    return Buffer.concat(parts).subarray(-logBytesMax).toString('utf8');
  } catch {
    return '';
  }
}

async function readStart(path: string, files: Files): Promise<string> {
  const handle = await files.open(path, 'r').catch(() => undefined);
  if (!handle) return '';
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(fileBytesMax), 0, fileBytesMax, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
