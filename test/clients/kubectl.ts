import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { expectOk, type Finished, type RunOptions, runProgram, type TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

export interface Stock {
  readonly version: string;
  readonly path: string;
}

/** The stock kubectls of this machine: the one on PATH and upstream's newest. What is absent is printed. */
export function stockKubectls(): Stock[] {
  const newest = join(process.env['UPSTREAM_CACHE'] ?? join(homedir(), '.cache/upstream'), 'bin-1.37.1/kubectl');
  const found = [Bun.which('kubectl'), existsSync(newest) ? newest : null];
  if (!found[0]) skipped('e2e', 'kubectl', 'none is on PATH');
  if (!found[1]) console.log('skipped: kubectl 1.37: it was not built from the Go modules on this machine');
  return found.flatMap((path) => {
    if (!path) return [];
    const said = Bun.spawnSync([path, 'version', '--client', '-o', 'json']).stdout.toString();
    const version = (JSON.parse(said) as { clientVersion: { gitVersion: string } }).clientVersion.gitVersion;
    return [{ version: /^v(\d+\.\d+)/.exec(version)?.[1] ?? version, path }];
  });
}

/** One stock kubectl in one namespace of one cluster. Words are split at blanks; lists are taken as they are. */
export class Kubectl {
  constructor(
    readonly cluster: TestCluster,
    readonly path: string,
    readonly namespace: string,
  ) {}
  argv(words: string | readonly string[]): string[] {
    const list = typeof words === 'string' ? words.split(' ') : [...words];
    return [this.path, '--namespace', this.namespace, ...list];
  }
  env(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    const home = this.cluster.home.folder; // its caches go with the cluster
    return {
      ...(process.env as Record<string, string>),
      KUBECONFIG: this.cluster.home.kubeconfig,
      HOME: home,
      ...more,
    };
  }
  run(words: string | readonly string[], options: RunOptions = {}): Promise<Finished> {
    return runProgram(this.argv(words), { timeoutMs: 150_000, ...options, env: this.env(options.env) });
  }
  async ok(words: string | readonly string[], options: RunOptions = {}): Promise<string> {
    try {
      return expectOk(await this.run(words, options));
    } catch (error) {
      throw new Error(`kubectl ${typeof words === 'string' ? words : words.join(' ')}: ${(error as Error).message}`);
    }
  }
  /** What it says when it must fail. */
  async refused(words: string | readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, out, err } = await this.run(words, options);
    if (code === 0) throw new Error(`kubectl ${String(words)} was to fail, and said: ${out}`);
    return out + err;
  }
  apply(object: object, ...flags: string[]): Promise<string> {
    return this.ok(['apply', ...flags, '-f', '-'], { stdin: JSON.stringify(object) });
  }
  /** A jsonpath of one object or list; empty when it is absent. */
  async field(path: string, ...what: string[]): Promise<string> {
    return (await this.run(['get', ...what, '-o', `jsonpath={${path}}`])).out;
  }
  untilField(expected: string, path: string, ...what: string[]): Promise<number> {
    return until(`${what.join(' ')} ${path} = ${expected}`, async () => (await this.field(path, ...what)) === expected);
  }
  /** What it says once it holds this text: events are told a moment after what they tell of. */
  async untilSays(text: string, words: string): Promise<void> {
    await until(`kubectl ${words}: ${text}`, async () => (await this.ok(words)).includes(text));
  }
  /** Starts one that goes on (a watch, a forward), waits for a text of it, and gives what was said; disposal ends it. */
  async background(words: string | readonly string[], until: RegExp): Promise<Background> {
    const child = Bun.spawn(this.argv(words), { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit', env: this.env() });
    const background = new Background(child);
    await background.said(until);
    return background;
  }
}

export class Background implements AsyncDisposable {
  text = '';
  readonly #reader: { read(): Promise<{ value?: Uint8Array | undefined; done: boolean }> };
  constructor(private readonly child: Bun.Subprocess<'ignore', 'pipe', 'inherit'>) {
    this.#reader = child.stdout.getReader();
  }
  /** Reads on until the text holds this; throws when the program ends before. */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.text);
      if (found) return found;
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`it ended without ${pattern}: ${this.text}`);
      this.text += new TextDecoder().decode(value);
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill();
    await this.child.exited;
  }
}
