import { join } from 'node:path';
import { systemExec } from '#base';
import { type BenchOptions, interleave, type Row, ratioRow, Skip } from './row.ts';

export const [hostIp, podIp, podPort] = ['10.200.0.1', '10.200.0.2', 8080];

/** Connections from the host's namespace through a service to the pod, against straight ones. */
export async function latency(row: string, name: string, virtual: string, options: BenchOptions): Promise<Row> {
  const script = join(import.meta.dir, 'connect.ts');
  const inside = (namespace: string, ...words: string[]) =>
    Bun.spawn(['ip', 'netns', 'exec', namespace, process.execPath, script, ...words], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
  const server = inside(`${name}p`, 'serve', String(podPort));
  const client = inside(name, 'dial');
  try {
    const ready = server.stdout.getReader();
    await ready.read();
    const answers = client.stdout.getReader();
    const count = options.smoke ? 20 : 300;
    const dial = async (ip: string, port: number): Promise<number> => {
      client.stdin.write(`${ip} ${port} ${count}\n`);
      await client.stdin.flush();
      const { value } = await answers.read();
      if (!value) throw new Error('the client in the namespace ended');
      return Number(new TextDecoder().decode(value));
    };
    const pairs = await interleave(
      options.smoke ? 1 : 15,
      () => dial(virtual, 80),
      () => dial(podIp, podPort),
    );
    return ratioRow(row, 'µs', pairs);
  } finally {
    for (const child of [client, server]) {
      child.kill();
      await child.exited;
    }
  }
}

/** The host's namespace and a pod's, joined by a link. Their removal takes the tables and the link along. */
export async function makeNamespaces() {
  const name = `ptb${process.pid % 10_000}`;
  const must = async (...argv: string[]) => {
    const result = await systemExec.run(argv);
    if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr.trim()}`);
  };
  if (process.getuid?.() !== 0) throw new Skip('network namespaces need root');
  const remove = async () => {
    for (const each of [name, `${name}p`]) await systemExec.run(['ip', 'netns', 'del', each]);
  };
  try {
    await must('ip', 'netns', 'add', name);
    await must('ip', 'netns', 'add', `${name}p`);
    await must('ip', '-n', name, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', `${name}p`);
    for (const [namespace, link, ip] of [
      [name, 'v0', hostIp],
      [`${name}p`, 'v1', podIp],
    ] as const) {
      await must('ip', '-n', namespace, 'address', 'add', `${ip}/24`, 'dev', link);
      await must('ip', '-n', namespace, 'link', 'set', link, 'up');
    }
    await must('ip', '-n', name, 'route', 'add', 'default', 'via', podIp); // the virtual addresses must be routable before they are rewritten
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, path: `/run/netns/${name}`, [Symbol.asyncDispose]: remove };
}
