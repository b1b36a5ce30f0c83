import { PintleError, systemExec } from '#base';
import { findKubectl } from './doctor/machine.ts';
import { openHome } from './home.ts';

/** `kubectl …`: stock kubectl with this cluster's kubeconfig; its exit code is ours. */
export async function kubectl(args: readonly string[], options: { home?: string }): Promise<void> {
  const home = openHome(options.home);
  home.read();
  const found = await findKubectl(systemExec, home.path('bin', 'kubectl'));
  if (!found)
    throw new PintleError(
      'KUBECTL_MISSING',
      'there is no kubectl on PATH or in the home folder',
      `./pintle up --yes --home ${home.folder} puts one there; the built-in client is not built yet`,
    );
  const child = Bun.spawn([found.path, ...args], {
    stdio: ['inherit', 'inherit', 'inherit'],
    env: { ...process.env, KUBECONFIG: home.kubeconfig },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  process.exit(await child.exited);
}
