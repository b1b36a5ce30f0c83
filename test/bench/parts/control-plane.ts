import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemExec } from '#base';
import type { Client } from '#client';
import { sha256 } from '../../../core/apiserver/auth/token-file.ts';
import { argvOf, launch } from '../../../core/cmd/components.ts';
import { connect } from '../../../core/cmd/connect.ts';
import { ensureCredentials } from '../../../core/cmd/credentials.ts';
import { chooseConfig } from '../../../core/cmd/first-start.ts';
import { end } from '../../../core/cmd/processes.ts';
import { waitForApi } from './api.ts';
import { newHome } from './cluster.ts';

export interface FakeCluster extends AsyncDisposable {
  readonly client: Client;
  /** Answers as the API server's HTTPS does, for the administrator. */
  readonly fetch: (path: string) => Promise<Response>;
  /** Of the cluster's processes, by name. */
  readonly pids: ReadonlyMap<string, number>;
}

/** Apiserver on SQLite and controllers with scheduler in their own processes, as `up` starts them; N pretended nodes in a third. `serves`: these answer as kubelets do. */
export async function fakeCluster(nodes: number, options: { readonly serves?: boolean } = {}): Promise<FakeCluster> {
  const home = newHome();
  const decision = { runtime: 'process', proxy: 'userspace', loopback: true, notes: [] } as const;
  const config = {
    ...(await chooseConfig(home, {}, { ...decision, engine: undefined }, systemExec)),
    nodeName: 'none',
  };
  await ensureCredentials(home, config);
  home.write(config);
  const accounts = JSON.parse(home.readFile('credentials/tokens.json')!) as object[];
  for (let index = 0; index < nodes; index++) {
    const token = randomBytes(32).toString('base64url');
    home.writeFile(`credentials/fake-${index}.token`, token);
    accounts.push({
      tokenSha256: sha256(token),
      user: { name: `system:node:fake-${index}`, groups: ['system:nodes'] },
    });
  }
  home.writeFile('credentials/tokens.json', JSON.stringify(accounts));
  const names = ['apiserver', 'controllers'] as const;
  const components = names.map((name) => launch(home, name, argvOf(name, home)));
  const client = connect(home, config, 'admin');
  await waitForApi(client);
  const script = join(import.meta.dir, 'fake-nodes.ts');
  const words = ['--home', home.folder, '--nodes', String(nodes), ...(options.serves ? ['--serves'] : [])];
  const fake = Bun.spawn([process.execPath, script, ...words], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
    env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: '2000' }, // each node holds its own watches
  });
  const stop = async () => {
    await fake.stdin.end();
    await fake.exited;
    await end(
      components.flatMap(({ record }) => record ?? []),
      10_000,
    );
    rmSync(home.folder, { recursive: true, force: true });
  };
  try {
    for await (const text of fake.stdout.pipeThrough(new TextDecoderStream())) if (text.includes('ready')) break;
    const named = components.flatMap(({ record }, index): [string, number][] =>
      record ? [[names[index]!, record.pid]] : [],
    );
    const pids = new Map([...named, ['nodes', fake.pid]]);
    const ca = home.readFile('pki/ca.crt')!;
    const authorization = `Bearer ${home.readFile('credentials/admin.token')!.trim()}`;
    const read = (path: string) =>
      fetch(`https://127.0.0.1:${config.port}${path}`, { headers: { authorization }, tls: { ca } });
    return { client, fetch: read, pids, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
