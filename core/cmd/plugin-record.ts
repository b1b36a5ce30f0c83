import { chmod, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type DuplexChild, messageOf, ownProgram, PintleError, spawnDuplex, systemClock, systemFiles } from '#base';
import type { Bundle } from '../host/bundle.ts';
import { type Launched, launchPlugin } from '../host/launch.ts';
import type { PluginManifest } from '../host/manifest.ts';
import { tailOf } from '../host/protocol.ts';

const recordMsMax = 12_000;
const answerBytesMax = 8 * 1024 * 1024;
const buildMemoryMiB = 512;
export type Recorded = Pick<
  PluginManifest,
  | 'name'
  | 'version'
  | 'sdk'
  | 'needs'
  | 'config'
  | 'resources'
  | 'provides'
  | 'protocol'
  | 'apis'
  | 'commands'
  | 'panels'
  | 'metrics'
  | 'networks'
> &
  Partial<Pick<PluginManifest, 'requires' | 'conflicts' | 'replaces' | 'placement'>>;
export interface RecordOptions {
  /** How the program is started; default: in the sandbox that plugins run in. */
  readonly launch?: typeof launchPlugin;
  readonly note?: (line: string) => void;
  readonly limitMs?: number;
}
interface Said {
  readonly isLocked: boolean;
  readonly last: Record<string, unknown> | undefined;
  readonly why: string;
}

/**
 * Runs a built program's setup() once and resolves to what it registered. In the plugins' sandbox, with process numbers
 * of its own: whatever it started ends with it. Where this machine has no sandbox it runs in a session of its own and
 * that is said. Throws PLUGIN_BUILD.
 */
export async function recordPlugin(program: string, options: RecordOptions = {}): Promise<Recorded> {
  const place = await mkdtemp(join(tmpdir(), 'pintle-record-'));
  const { note = (line: string) => void process.stderr.write(`${line}\n`) } = options;
  try {
    const bundle = join(place, 'plugin');
    await mkdir(bundle);
    await copyFile(program, join(bundle, 'plugin.js'));
    await chmod(bundle, 0o755); // for the user that it runs as
    const locked = await locking(bundle, place, options).catch((error: unknown) => refused(messageOf(error)));
    if (locked.isLocked) return answerOf(locked);
    note(`note: setup() runs without a sandbox while it is built, as this machine gives none: ${locked.why}`);
    return answerOf(await plainly(bundle, options.limitMs));
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}
const refused = (why: string): Said => ({ isLocked: false, last: undefined, why });

async function locking(
  folder: string,
  place: string,
  { launch = launchPlugin, limitMs }: RecordOptions,
): Promise<Said> {
  // What the launcher looks at; the rest is what is being found out.
  const manifest = {
    name: basename(place)
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '-'),
    entry: 'plugin.js',
    provides: { controllers: [], validates: [], mutates: [], schedules: [] },
    limits: { memoryMiB: buildMemoryMiB },
  } as unknown as PluginManifest;
  const places = { state: join(place, 's'), api: join(place, 'a'), root: join(place, 'r') };
  const launched = await launch({ folder, manifest, digest: '' } as Bundle, 'sandbox', places, {
    clock: systemClock,
    spawn: spawnDuplex,
    files: systemFiles,
    clusterId: 'build',
    slot: 0,
    recording: true,
  });
  try {
    return await hear(launched.child, limitMs);
  } finally {
    await end(launched);
  }
}
async function end({ child, clear }: Launched): Promise<void> {
  child.kill('SIGKILL');
  await child.exited;
  await clear();
}

async function plainly(folder: string, limitMs?: number): Promise<Said> {
  const child = spawnDuplex([ownProgram(), join(folder, 'plugin.js'), '--record'], {
    cwd: folder,
    onlyThisEnv: true,
    ownSession: true,
  });
  try {
    return await hear(child, limitMs);
  } finally {
    try {
      process.kill(-child.pid, 'SIGKILL'); // all that stayed in its session
    } catch {} // nothing did
    await child.exited;
  }
}

/** To the end of its output or the limit, at which it is killed. */
async function hear(child: DuplexChild, limitMs = recordMsMax): Promise<Said> {
  const over = new AbortController();
  let late: string | undefined;
  const stop = (why: string): void => {
    late ??= why;
    child.kill('SIGKILL');
  };
  void systemClock.sleep(limitMs, over.signal).then(() => {
    if (!over.signal.aborted) stop(`its setup() did not end within ${limitMs / 1_000} s`);
  });
  child.stdin.end();
  const errors = tailOf(child.stderr);
  const ended = child.exited.then((code) => ({ code }));
  // What outlives it may hold the pipe open: its own end counts.
  const text = await Promise.race([textOf(child, stop), ended.then(() => systemClock.sleep(lastWordsMs))]);
  const { code } = await ended;
  over.abort();
  const said = (await Promise.race([errors, systemClock.sleep(lastWordsMs)])) ?? '';
  const lines = (text ?? '').trim().split('\n').map(parse);
  const last = code === 0 && late === undefined ? lines.at(-1) : lines.find((line) => line?.['type'] === 'failed');
  return {
    isLocked: lines[0]?.['type'] === 'sandbox',
    last,
    why: late ?? (said.trim().split('\n').at(-1) || `its setup() ended with code ${code}`),
  };
}
const lastWordsMs = 2_000;
async function textOf(child: DuplexChild, stop: (why: string) => void): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of child.stdout) {
    bytes += part.byteLength;
    if (bytes > answerBytesMax) {
      stop(`it wrote more than ${answerBytesMax} bytes`);
      break;
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
function parse(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function answerOf({ last, why }: Said): Recorded {
  if (last && !('type' in last)) return last as unknown as Recorded;
  const reason = last && 'message' in last ? String(last['message']) : why;
  throw new PintleError(
    'PLUGIN_BUILD',
    `the plugin cannot be built: ${reason}`,
    'register everything in setup() without waiting for the API; run it again',
  );
}
