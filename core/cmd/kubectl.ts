import { systemExec } from '#base';
import { mainScript } from './components.ts';
import { refuseOnAgent } from './connect.ts';
import { findKubectl } from './doctor/machine.ts';
import { openHome } from './home.ts';
import { isLab, readLab } from './lab/record.ts';

/** `kubectl …`: stock kubectl with this cluster's kubeconfig, else the built-in client for the everyday verbs; its exit code is ours. */
export async function kubectl(args: readonly string[], options: { home?: string }): Promise<void> {
  const home = openHome(options.home);
  const lab = isLab(home) ? readLab(home) : undefined;
  if (!lab) refuseOnAgent(home.read()); // or it says that there is no cluster
  const wanted = process.env['PINTLE_KUBECTL'] !== 'builtin'; // so that the built-in one can be tried beside a stock one
  const found = wanted ? await findKubectl(systemExec, home.path('bin', 'kubectl')) : undefined;
  if (!found && lab) {
    const { labExec } = await import('./lab/exec.ts'); // the built-in client speaks to the server beside it, in $PINTLE_HOME
    return labExec(lab.first.name, [process.execPath, '--smol', mainScript, 'kubectl', ...args], options);
  }
  if (!found) {
    const { builtinKubectl } = await import('./kubectl/client.ts');
    process.exit(await builtinKubectl(home, home.read(), args));
  }
  const child = Bun.spawn([found.path, ...args], {
    stdio: ['inherit', 'inherit', 'inherit'],
    env: { ...process.env, KUBECONFIG: home.kubeconfig },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  process.exit(await child.exited);
}
