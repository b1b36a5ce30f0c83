import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemExec } from '#base';
import type { Client } from '#client';
import { argvOf, launch } from '../../../core/cmd/components.ts';
import { connect } from '../../../core/cmd/connect.ts';
import { ensureCredentials } from '../../../core/cmd/credentials.ts';
import { chooseConfig } from '../../../core/cmd/first-start.ts';
import type { Home } from '../../../core/cmd/home.ts';
import { end } from '../../../core/cmd/processes.ts';
import { waitForApi } from '../parts/api.ts';
import { newHome } from '../parts/cluster.ts';
import { leash } from '../parts/leash.ts';
import type { Target } from './load.ts';

export interface BenchServer extends Target, AsyncDisposable {
  readonly pid: number;
  readonly home: Home;
  readonly client: Client;
  /** From the launch until it answered. */
  readonly startMs: number;
}

/** The API server alone, in its own process and with TLS, as `up` starts it. `prepare` runs before, on its database path. */
export async function startServer(
  options: {
    readonly etcd?: string;
    readonly prepare?: (databasePath: string) => Promise<void>;
    /** Where large answers are made. */
    readonly heavy?: 'thread' | 'loop';
  } = {},
): Promise<BenchServer> {
  const home = newHome();
  const decision = { runtime: 'process', proxy: 'userspace', loopback: true, notes: [] } as const;
  const config = {
    ...(await chooseConfig(home, {}, { ...decision, engine: undefined }, systemExec)),
    nodeName: 'none',
    ...(options.etcd ? { store: `${options.etcd.replace('http', 'etcd')}/pintle?plaintext=1` } : {}),
  };
  await ensureCredentials(home, config);
  home.write(config);
  await options.prepare?.(home.path('data', 'store.db'));
  const began = performance.now();
  process.env['PINTLE_HEAVY'] = options.heavy ?? 'thread';
  const { record } = launch(home, 'apiserver', argvOf('apiserver', home));
  const leashed = record && leash(record, home.folder); // the server has a session of its own, and would stay
  const stop = async () => {
    await leashed?.release();
    await end(record ? [record] : [], 20_000);
    rmSync(home.folder, { recursive: true, force: true });
  };
  try {
    const client = connect(home, config, 'admin');
    await waitForApi(client);
    return {
      url: `https://127.0.0.1:${config.port}`,
      token: home.readFile('credentials/admin.token')!.trim(),
      pid: record!.pid,
      home,
      client,
      startMs: performance.now() - began,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface BareServer extends Target, AsyncDisposable {
  readonly pid: number;
  /** Answers GET of this path with these bytes from now on. */
  keep(path: string, bytes: Uint8Array): Promise<void>;
}

/** The baseline with the same certificate; its store is a database of its own in the same home, or the same etcd. */
export async function startBare(home: Home, etcd?: string): Promise<BareServer> {
  const script = join(import.meta.dir, 'bare-process.ts');
  const files = ['--key', home.path('pki', 'apiserver.key'), '--cert', home.path('pki', 'apiserver.crt')];
  const child = Bun.spawn(
    [process.execPath, '--smol', script, ...files, '--store', etcd ?? home.path('data', 'bare.db')],
    { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' },
  );
  let port: string | undefined;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    port = /port (\d+)/.exec(text)?.[1];
    if (port) break;
  }
  if (!port) throw new Error('the bare server did not start');
  const url = `https://127.0.0.1:${port}`;
  return {
    url,
    token: 'bare',
    pid: child.pid,
    async keep(path, bytes) {
      const tls = { ca: readFileSync(home.path('pki', 'ca.crt'), 'utf8') };
      const answer = await fetch(url + path, { method: 'PUT', body: bytes as Uint8Array<ArrayBuffer>, tls });
      if (!answer.ok) throw new Error(`the bare server answered ${answer.status}`);
    },
    async [Symbol.asyncDispose]() {
      await child.stdin.end();
      await child.exited;
    },
  };
}
