import { join } from 'node:path';
import { type DuplexChild, ownProgram, PintleError, spawnDuplex } from '#base';
import { type Bundle, sha256Of } from '../../host/bundle.ts';
import type { Launched, Places } from '../../host/launch.ts';
import { socketName } from '../../host/launch.ts';
import type { PluginManifest } from '../../host/manifest.ts';
import { lineBytesMax } from '../../host/protocol.ts';
import type { VersionSource } from '../../host/version.ts';

const program = join(import.meta.dir, 'child.ts');
const loadMsMax = 15_000;
const bundlesMax = 50;
const errorBytesMax = 4_096;

interface Loaded {
  readonly child: DuplexChild;
  /** What comes after the first line. */
  readonly stdout: ReadableStream<Uint8Array>;
  readonly facts: Partial<PluginManifest> & Pick<PluginManifest, 'name' | 'version' | 'needs'>;
}
export interface WarmOptions {
  /** plugin.ts. */
  readonly file: string;
  /** Where a debugger attaches to the next process: HOST:PORT. */
  readonly inspect?: () => string;
  readonly onInspect?: (address: string) => void;
}

/**
 * Processes of a plugin's source, each used for one load: a module cannot be imported anew without leaking the old one.
 * The next process is started ahead, so that a reload pays neither for Bun nor for the SDK.
 */
export class WarmSource implements VersionSource, Disposable {
  readonly #bundles = new Map<string, Bundle>();
  readonly #ready = new Map<string, Loaded>();
  readonly #children = new Set<DuplexChild>();
  #next: DuplexChild | undefined;
  #count = 0;
  constructor(private readonly options: WarmOptions) {
    if (!options.inspect) this.#next = this.#start();
  }

  /** Loads the source as it is now. Throws PLUGIN_BUILD with what stands in the way. */
  async load(): Promise<Bundle> {
    const loaded = await this.#load();
    const manifest: PluginManifest = {
      formatVersion: 1,
      entry: 'plugin.ts',
      placement: 'cluster',
      isolation: 'process',
      requires: [],
      limits: { memoryMiB: 128 },
      files: {},
      ...(loaded.facts as Omit<
        PluginManifest,
        'formatVersion' | 'entry' | 'placement' | 'isolation' | 'requires' | 'limits' | 'files'
      >),
    };
    const digest = `sha256:${sha256Of(`${++this.#count} ${JSON.stringify(manifest)}`)}`;
    const bundle = { folder: '', manifest, digest };
    this.#bundles.set(digest, bundle);
    if (this.#bundles.size > bundlesMax) this.#bundles.delete(this.#bundles.keys().next().value!);
    this.#ready.set(digest, loaded);
    return bundle;
  }
  async bundle(_name: string, digest: string): Promise<Bundle> {
    const found = this.#bundles.get(digest);
    if (found) return found;
    throw new PintleError('BUNDLE_INVALID', `version ${digest} is of an earlier run`, 'save the file again');
  }
  /** The process that was loaded for it; after its end another one, of the source as it is then. */
  async launch({ digest }: Bundle, places: Places): Promise<Launched> {
    const loaded = this.#ready.get(digest) ?? (await this.#load());
    this.#ready.delete(digest);
    const child: DuplexChild = Object.create(loaded.child, { stdout: { value: loaded.stdout } }) as DuplexChild;
    return {
      child,
      apiSocket: join(places.api, socketName),
      facts: ['own process', 'from source'],
      memoryBytes: async () => undefined,
      clear: async () => void this.#children.delete(loaded.child),
    };
  }
  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #start(): DuplexChild {
    const { inspect, onInspect } = this.options;
    const address = inspect?.();
    if (address) onInspect?.(address);
    const argv = [ownProgram(), ...(address ? [`--inspect=${address}`] : []), program];
    const child = spawnDuplex(argv, { channel: true, ownSession: true }); // Ctrl-C is this process's to answer
    this.#children.add(child);
    void child.exited.then(() => this.#children.delete(child));
    return child;
  }
  async #load(): Promise<Loaded> {
    const child = this.#next ?? this.#start();
    this.#next = undefined;
    await child.stdin.write(Buffer.from(`${JSON.stringify({ file: this.options.file })}\n`));
    const limit = AbortSignal.timeout(loadMsMax);
    const kill = () => child.kill('SIGKILL');
    limit.addEventListener('abort', kill, { once: true });
    const { line, rest } = await firstLine(child.stdout);
    limit.removeEventListener('abort', kill);
    const answer = line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>);
    if (answer?.['type'] === 'recorded') {
      if (!this.options.inspect) setImmediate(() => (this.#next ??= this.#start()));
      return { child, stdout: rest, facts: answer['facts'] as Loaded['facts'] };
    }
    child.kill('SIGKILL');
    if (!this.options.inspect) this.#next ??= this.#start();
    const said = answer ? String(answer['message']) : (await child.stderr.text()).trim().slice(-errorBytesMax);
    throw new PintleError('PLUGIN_BUILD', said || 'it was not loaded within 15 s', `mend ${this.options.file}`);
  }
}

async function firstLine(
  stream: ReadableStream<Uint8Array>,
): Promise<{ readonly line: string | undefined; readonly rest: ReadableStream<Uint8Array> }> {
  const reader = stream.getReader();
  let seen = Buffer.alloc(0);
  for (;;) {
    const { value, done } = await reader.read();
    if (done || seen.length > lineBytesMax) return { line: undefined, rest: stream };
    seen = Buffer.concat([seen, value]);
    const end = seen.indexOf(10);
    if (end < 0) continue;
    const rest = new ReadableStream<Uint8Array>({
      start: (out) => void (seen.length > end + 1 && out.enqueue(seen.subarray(end + 1))),
      async pull(out) {
        const { value, done } = await reader.read();
        if (done) out.close();
        else out.enqueue(value);
      },
      cancel: () => reader.cancel(),
    });
    return { line: seen.subarray(0, end).toString('utf8'), rest };
  }
}
