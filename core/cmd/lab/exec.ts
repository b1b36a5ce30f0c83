import { PintleError } from '#base';
import { netnsInode } from '../../../net/netns/netns.ts';
import { insideArgv, insideEnv } from './inside.ts';
import { openLab } from './record.ts';

/** `lab exec HOST -- CMD…`: on a host of the lab, with this terminal. Its exit code is ours. Without a command: a shell. */
export async function labExec(name: string, argv: readonly string[], options: { home?: string }): Promise<void> {
  const lab = openLab(options.home);
  const host = lab.host(name);
  if (netnsInode(host.netns) === undefined)
    throw new PintleError(
      'LAB_HOST_OFF',
      `${name} has no power`,
      `./pintle lab start ${name} --home ${lab.home.folder}`,
    );
  const command = argv.length > 0 ? argv : [process.env['SHELL'] ?? '/bin/sh'];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {}); // the child's: it says when we end
  const child = Bun.spawn(insideArgv(host, command), {
    stdio: ['inherit', 'inherit', 'inherit'],
    env: { ...process.env, ...insideEnv(lab, host) },
  });
  const code = await child.exited;
  process.exitCode = child.signalCode ? 128 : code;
}
