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
}

/** Apiserver on SQLite and controllers with scheduler in their own processes, as `up` starts them; N pretended nodes in a third. */
export async function fakeCluster(nodes: number): Promise<FakeCluster> {
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
  const components = (['apiserver', 'controllers'] as const).map((name) => launch(home, name, argvOf(name, home)));
  const client = connect(home, config, 'admin');
  await waitForApi(client);
  const script = join(import.meta.dir, 'fake-nodes.ts');
  const fake = Bun.spawn([process.execPath, script, '--home', home.folder, '--nodes', String(nodes)], {
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
    return { client, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
