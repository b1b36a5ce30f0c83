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
    isolation === 'sandbox'
      ? await sandboxLacks(options)
      : isolation === 'container' && !options.containers
        ? noEngine()
        : undefined;
  if (why) throw new StepError('Loaded', 'IsolationImpossible', `${why.message}; ${why.next}`);
}

/** The namespaces are tried, as whether a kernel gives them depends on more than can be asked. */
async function sandboxLacks({ spawn, machine = thisMachine }: LevelsOptions): Promise<PintleError | undefined> {
  const lacks = (what: string, next: string): PintleError => new PintleError('SANDBOX_IMPOSSIBLE', what, next);
  if (machine.landlockVersion() < 1)
    return lacks('this kernel has no Landlock, which the sandbox needs', 'run Linux 5.13 or later with Landlock');
  const unshare = machine.program('unshare');
  if (!unshare) return lacks('this host has no program unshare, which the sandbox needs', 'install util-linux');
  const user = machine.isRoot() ? [] : ['-U', '-r'];
  const child = spawn([unshare, ...user, '-m', '-n', '--propagation', 'private', '--', unshare, '--version'], {
    env: { PATH: '/usr/bin:/bin' },
    onlyThisEnv: true,
  });
  child.stdin.end();
  const [code, , said] = await Promise.all([child.exited, textOf(child.stdout), textOf(child.stderr)]);
  if (code === 0) return undefined;
  return lacks(
    `this host gives no namespaces, which the sandbox needs: ${said.trim().split('\n').at(-1) ?? ''}`,
    'allow unprivileged user namespaces, or run as root',
  );
}
const textOf = (stream: ReadableStream<Uint8Array>): Promise<string> => new Response(stream).text();
