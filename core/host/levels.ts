import { landlockVersion, ownUserId, PintleError, programPath, type spawnDuplex } from '#base';
import type { ContainerEngine } from './container.ts';
import { noEngine } from './launch.ts';
import type { Isolation } from './manifest.ts';
import { StepError } from './status.ts';

/** What of this machine decides which levels it can give. Injected, so that tests can be on a poorer one. */
export interface MachineProbe {
  /** 0: none. */
  landlockVersion(): number;
  program(name: string): string | undefined;
  isRoot(): boolean;
}
export const thisMachine: MachineProbe = {
  landlockVersion,
  program: programPath,
  isRoot: () => ownUserId() === 0,
};
export interface LevelsOptions {
  readonly spawn: typeof spawnDuplex;
  readonly containers?: ContainerEngine;
  readonly machine?: MachineProbe;
}

/**
 * Before anything of a plugin is started: a level that this host cannot give is a refusal with the reason, never a
 * weaker level. Throws StepError Loaded IsolationImpossible.
 */
export async function mustGive(isolation: Isolation, options: LevelsOptions): Promise<void> {
  const why =
    isolation === 'container' ? (options.containers ? undefined : noEngine()) : await lacks(isolation, options);
  if (why) throw new StepError('Loaded', 'IsolationImpossible', `${why.message}; ${why.next}`);
}

/** The namespaces are tried, as whether a kernel gives them depends on more than can be asked. */
async function lacks(
  level: 'sandbox' | 'process',
  { spawn, machine = thisMachine }: LevelsOptions,
): Promise<PintleError | undefined> {
  const isRoot = machine.isRoot();
  const why = (what: string, next: string): PintleError => new PintleError('SANDBOX_IMPOSSIBLE', what, next);
  if (level === 'process' && !isRoot) return undefined; // it has what its host's user has
  if (level === 'sandbox' && machine.landlockVersion() < 1)
    return why('this kernel has no Landlock, which the sandbox needs', 'run Linux 5.13 or later with Landlock');
  const whose = level === 'sandbox' ? 'the sandbox' : 'a process with a user of its own';
  const unshare = machine.program('unshare');
  if (!unshare) return why(`this host has no program unshare, which ${whose} needs`, 'install util-linux');
  const user = isRoot ? [] : ['-U', '-r'];
  const network = level === 'sandbox' ? ['-n'] : [];
  const words = [unshare, ...user, '-m', ...network, '--propagation', 'slave', '--', unshare, '--version'];
  const child = spawn(words, { env: { PATH: '/usr/bin:/bin' }, onlyThisEnv: true });
  child.stdin.end();
  const [code, , said] = await Promise.all([child.exited, textOf(child.stdout), textOf(child.stderr)]);
  if (code === 0) return undefined;
  return why(
    `this host gives no namespaces, which ${whose} needs: ${said.trim().split('\n').at(-1) ?? ''}`,
    isRoot ? 'run where root may mount' : 'allow unprivileged user namespaces, or run as root',
  );
}
const textOf = (stream: ReadableStream<Uint8Array>): Promise<string> => new Response(stream).text();
