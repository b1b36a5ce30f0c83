import { existsSync, rmSync } from 'node:fs';
import { PintleError, systemExec } from '#base';
import { type ComponentName, launch, readRunState } from './components.ts';
import { askEngine, privateEngine } from './engine.ts';
import { strangersIn } from './first-start.ts';
import { type Config, commandOf, type Home, homeIsLab, hostIdOf, labRecordName, openHome } from './home.ts';
import { takeTurn } from './lock.ts';
import { unregister } from './neighbours.ts';
import { purgePluginContainers } from './plugin-containers.ts';
import { end, isAlive, type ProcessRecord, programsOf, runningHomes, waitUntil } from './processes.ts';
import { createProgress, type Progress } from './progress.ts';
import { removedWhy } from './removed.ts';

/** `down`: stops every component; containers keep running and can be adopted. `--purge` leaves nothing. */
export async function down(options: { home?: string; purge?: boolean; yes?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const progress = createProgress();
  if (existsSync(home.path(labRecordName))) throw homeIsLab(home.folder);
  if (!home.exists()) return withoutCluster(home, options.purge === true, progress);
  const config = home.read();
  if (options.purge && !options.yes) askToRemove(home);
  using _turn = await takeTurn(home, progress);
  // A purge removes the containers through the engine.
  await progress.step('stopping the components', () => stopAll(home, options.purge ? 'engine' : undefined));
  if (!options.purge) {
    const command = `./pintle ${commandOf(config)}`;
    progress.note(`containers keep running; ${command} adopts them, ./pintle down --purge removes them`);
    return;
  }
  await progress.step('removing containers, links and rules', () => purge(home, config, progress));
  unregister(hostIdOf(config));
  if (config.role === 'agent' && !removedWhy(home))
    progress.note(`the cluster still knows this host: on the server, ./pintle node remove ${config.nodeName}`);
  rmSync(home.folder, { recursive: true, force: true });
}

/** A first start that was killed before its configuration was written leaves folders of ours, and nothing that runs. */
function withoutCluster(home: Home, purge: boolean, progress: Progress): void {
  const halfMade = existsSync(home.path('run')) && strangersIn(home).length === 0;
  if (!purge || !halfMade) {
    progress.note(`there is no cluster in ${home.folder}; nothing to ${purge ? 'remove' : 'stop'}`);
    return;
  }
  rmSync(home.folder, { recursive: true, force: true });
  progress.note(`removed what an unfinished first start left in ${home.folder}`);
}

function askToRemove(home: Home): void {
  const next = 'add --yes to remove without being asked';
  if (!process.stdin.isTTY)
    throw new PintleError('NOT_CONFIRMED', 'nothing was removed: input is no terminal, so nobody can be asked', next);
  if (!confirm(`Remove the cluster in ${home.folder} with all its data?`))
    throw new PintleError('NOT_CONFIRMED', 'nothing was removed', next);
}

/** Ends the supervisor with its components, and what a crashed one left running. `keep` is left alone where it is such a leftover. */
export async function stopAll(home: Home, keep?: 'engine'): Promise<void> {
  const state = readRunState(home);
  if (isAlive(state?.supervisor)) {
    await end([state!.supervisor], 25_000); // it stops its components itself
  }
  const leftovers = (readRunState(home)?.components ?? []).filter((one) => one.name !== keep).map((one) => one.process);
  const strays = runningHomes().get(home.folder) ?? [];
  await end([...leftovers.filter((one) => one !== undefined), ...strays], 10_000);
  await end(programsOf(home.path('node', 'plugins')), 5_000); // what a killed node could not end
}

async function purge(home: Home, config: Config, progress: Progress): Promise<void> {
  const engine = config.engine?.private ? await borrowPrivateEngine(home) : undefined;
  const { createNodeParts } = await import('./node-parts.ts');
  try {
    if (config.engine && !(await askEngine(config.engine.socket))) {
      progress.note(
        `the engine at ${config.engine.socket} does not answer: its containers of cluster ${config.clusterId} cannot be removed now`,
      );
    } else {
      const parts = await createNodeParts(home, config);
      await parts.purge();
      if (config.engine) await purgePluginContainers(config.engine.socket, config.clusterId);
      await parts.proxy[Symbol.asyncDispose]();
    }
  } finally {
    if (engine) await end([engine], 20_000);
    await unmountBelow(home.folder);
  }
}

/** The private engine that runs already, or one started for the clean-up. */
async function borrowPrivateEngine(home: Home): Promise<ProcessRecord | undefined> {
  const name: ComponentName = 'engine';
  const known = readRunState(home)?.components.find((one) => one.name === name)?.process;
  if (isAlive(known)) return known;
  const { socket, argv } = privateEngine(home);
  const child = launch(home, name, argv);
  await waitUntil(async () => (await askEngine(socket)) !== undefined, 30_000, 50);
  return child.record;
}

/** Mounts that a stopped engine or kubelet left below the home folder, deepest first. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = await Bun.file('/proc/self/mounts').text();
  const points = mounts
    .split('\n')
    .map((line) => (line.split(' ')[1] ?? '').replace(/\\040/g, ' '))
    .filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.sort((a, b) => b.length - a.length)) await systemExec.run(['umount', '-l', point]);
}
