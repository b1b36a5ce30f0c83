import { systemExec } from '#base';
import { type BenchEngine, benchEngine, newHome, pintleIn } from './parts/cluster.ts';
import { type BenchOptions, median, type Row, Skip, valueRow } from './parts/row.ts';

/**
 * Figures `join`: from `join --detach` on a new home to its return, which is when the server has the node as Ready, overlay
 * included. The engine runs. Two network namespaces with a cable between them stand for two hosts.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  if (process.getuid?.() !== 0) throw new Skip('needs root');
  await using engine = await benchEngine();
  await using hosts = await twoHosts();
  const server = newHome().folder;
  try {
    await pintleIn(
      hosts.first,
      engine,
      'server',
      '--yes',
      '--detach',
      '--home',
      server,
      '--node-name',
      'first',
      '--advertise',
      address(1),
    );
    const found: number[] = [];
    const rounds = options.smoke ? 1 : 7;
    for (let round = options.smoke ? 0 : -1; round < rounds; round++) {
      const ms = await once(engine, hosts, server, `host-${round + 1}`);
      if (round >= 0) found.push(ms); // the first fills the page cache
    }
    yield valueRow('join.ready', median(found), 'ms', '<= 3000');
  } finally {
    await pintleIn(hosts.first, engine, 'down', '--purge', '--yes', '--home', server);
  }
}

async function once(engine: BenchEngine, hosts: Hosts, server: string, name: string): Promise<number> {
  const made = await pintleIn(hosts.first, engine, 'token', 'create', '--json', '--home', server);
  const { token, server: url } = JSON.parse(made) as { token: string; server: string };
  const { folder } = newHome();
  try {
    const beganMs = performance.now();
    await pintleIn(
      hosts.second,
      engine,
      'join',
      url,
      '--token',
      token,
      '--yes',
      '--detach',
      '--home',
      folder,
      '--node-name',
      name,
    );
    return performance.now() - beganMs;
  } finally {
    await pintleIn(hosts.second, engine, 'down', '--purge', '--yes', '--home', folder);
    await pintleIn(hosts.first, engine, 'node', 'remove', name, '--yes', '--home', server);
  }
}

interface Hosts extends AsyncDisposable {
  readonly first: string;
  readonly second: string;
}
const address = (host: number): string => `172.31.254.${host}`;

async function twoHosts(): Promise<Hosts> {
  const [first, second] = [`ptbj${process.pid}a`, `ptbj${process.pid}b`];
  const ip = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await systemExec.run(['ip', ...words]);
    if (code !== 0) throw new Skip(`ip ${words.join(' ')}: ${stderr.trim()}`);
  };
  for (const name of [first, second]) await ip('netns', 'add', name);
  await ip('-n', first, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', second);
  for (const [index, name] of [first, second].entries()) {
    await ip('-n', name, 'address', 'add', `${address(index + 1)}/24`, 'dev', 'eth0');
    for (const link of ['lo', 'eth0']) await ip('-n', name, 'link', 'set', link, 'up');
  }
  return {
    first,
    second,
    async [Symbol.asyncDispose]() {
      for (const name of [first, second]) await systemExec.run(['ip', 'netns', 'del', name]);
    },
  };
}
