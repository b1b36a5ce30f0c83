import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startOurs } from './servers.ts';

/**
 * Upstream's own controller manager as a client of ours: client-go's informers with watch-list and protobuf, its leaderless
 * controllers for namespaces, accounts, endpoints and replication. `bun test --timeout 60000 ./test/differential/controllers.diff.ts`
 */
const binary = join(
  process.env['UPSTREAM_CACHE'] ?? join(homedir(), '.cache/upstream'),
  `bin-${process.env['UPSTREAM_VERSION'] ?? '1.37.1'}`,
  'kube-controller-manager',
);
const possible = existsSync(binary);
if (!possible) console.log('skipped: upstream’s controller manager is not built here');
const controllers = 'namespace,replicationcontroller,serviceaccount,endpoint,endpointslice';

test.skipIf(!possible)('upstream’s controllers do their work on this API server', async () => {
  await using server = await startOurs();
  const folder = await mkdtemp(join(tmpdir(), 'pintle-controllers-'));
  const path = (name: string) => join(folder, name);
  const cluster = { server: server.url, 'insecure-skip-tls-verify': true };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user: { token: server.token } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await Bun.write(path('kubeconfig'), JSON.stringify(config));
  const child = Bun.spawn(
    [
      binary,
      `--kubeconfig=${path('kubeconfig')}`,
      '--leader-elect=false',
      '--secure-port=0',
      `--controllers=${controllers}`,
      '--kube-api-content-type=application/vnd.kubernetes.protobuf',
    ],
    { stdout: 'ignore', stderr: Bun.file(path('log')) },
  );
  const api = async (path: string, body?: unknown): Promise<{ items: unknown[]; status?: { replicas?: number } }> => {
    const answer = await fetch(`${server.url}${path}`, {
      method: body ? 'POST' : 'GET',
      body: body ? JSON.stringify(body) : undefined,
      headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
      tls: { rejectUnauthorized: false },
    });
    return (await answer.json()) as { items: unknown[] };
  };
  const until = async (what: string, done: () => Promise<boolean>): Promise<void> => {
    for (let attempt = 0; attempt < 300; attempt++) {
      if (await done()) return;
      await Bun.sleep(100);
    }
    throw new Error(`${what} did not happen; the log ends:\n${(await Bun.file(path('log')).text()).slice(-2000)}`);
  };
  try {
    await api('/api/v1/namespaces', { metadata: { name: 'busy' } });
    const space = '/api/v1/namespaces/busy';
    await until('an account', async () => (await api(`${space}/serviceaccounts`)).items.length === 1);
    const container = { name: 'c', image: 'i', ports: [{ containerPort: 80 }] };
    const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [container] } };
    await api(`${space}/replicationcontrollers`, {
      metadata: { name: 'rc' },
      spec: { replicas: 3, selector: { a: 'b' }, template },
    });
    await api(`${space}/services`, { metadata: { name: 's' }, spec: { selector: { a: 'b' }, ports: [{ port: 80 }] } });
    await until('three pods', async () => (await api(`${space}/pods`)).items.length === 3);
    await until('a status', async () => (await api(`${space}/replicationcontrollers/rc`)).status?.replicas === 3);
    await until(
      'a slice',
      async () => (await api('/apis/discovery.k8s.io/v1/namespaces/busy/endpointslices')).items.length === 1,
    );
    const log = await Bun.file(path('log')).text();
    // What a client says whose answers or frames do not decode, or that falls back from watch-list or protobuf.
    expect(
      log.match(/^.*(unable to decode|failed to decode|invalid watch event|falling back|Unhandled Error|panic).*$/gim),
    ).toBeNull();
  } finally {
    child.kill('SIGKILL');
    await child.exited;
    await rm(folder, { recursive: true, force: true });
  }
});
