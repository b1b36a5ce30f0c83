import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '#client';
import { connect } from '../../../core/cmd/connect.ts';
import { findEngine } from '../../../core/cmd/engine.ts';
import { type Config, Home } from '../../../core/cmd/home.ts';
import { testEngine } from '../../fixtures/docker-engine.ts';
import { Skip } from './row.ts';

export const root = join(import.meta.dir, '../../..');
export const demoImage = 'pintle/demo:local';

export interface BenchEngine extends AsyncDisposable {
  readonly socketPath: string;
}

/** The engine that runs (DOCKER_HOST or the usual places), else a private one. Throws Skip when there is none to be had. */
export async function benchEngine(): Promise<BenchEngine> {
  const found = await findEngine();
  if (found) return { socketPath: found.socket, [Symbol.asyncDispose]: async () => {} };
  const own = await testEngine();
  if (typeof own === 'string') throw new Skip(own);
  return own;
}

/** A folder name for a home that does not exist yet. Short: sockets hang below it. */
export function newHome(): Home {
  const folder = mkdtempSync(join(tmpdir(), 'ptb-'));
  rmSync(folder, { recursive: true });
  return new Home(folder);
}

/** Runs the command line as a user does. Throws with its output when it fails. */
export const pintle = (engine: BenchEngine, ...words: string[]): Promise<string> => run(engine, [], words);
/** In a network namespace. */
export const pintleIn = (netns: string, engine: BenchEngine, ...words: string[]): Promise<string> =>
  run(engine, ['nsenter', `--net=/run/netns/${netns}`], words);

async function run(engine: BenchEngine, before: readonly string[], words: readonly string[]): Promise<string> {
  const child = Bun.spawn([...before, join(root, 'pintle'), ...words], {
    cwd: root,
    env: { ...process.env, DOCKER_HOST: `unix://${engine.socketPath}` },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`pintle ${words.join(' ')} ended with code ${code}: ${out}${err}`);
  return out;
}

export interface BenchCluster extends AsyncDisposable {
  readonly home: Home;
  readonly config: Config;
  readonly client: Client;
}

/** A one-host cluster in real processes; disposal leaves nothing. */
export async function benchCluster(engine: BenchEngine): Promise<BenchCluster> {
  const home = newHome();
  const stop = async () => void (await pintle(engine, 'down', '--purge', '--yes', '--home', home.folder));
  try {
    await pintle(engine, 'image', 'demo', '--home', home.folder);
    await pintle(engine, 'up', '--yes', '--detach', '--home', home.folder);
    const config = home.read();
    return { home, config, client: connect(home, config, 'admin'), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}
