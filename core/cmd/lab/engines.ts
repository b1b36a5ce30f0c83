import { PintleError } from '#base';
import type { UnderlayHost } from '../../../net/underlay/plan.ts';
import { launch, readRunState } from '../components.ts';
import { askEngine, privateEngine } from '../engine.ts';
import type { Home } from '../home.ts';
import { isAlive } from '../processes.ts';
import { insideArgv } from './inside.ts';
import { type Lab, readLab } from './record.ts';

/**
 * Starts a host's engine before its supervisor, so that all engines start at once and beside the server; the supervisor
 * takes over what HOME/run/state.json says. Nothing happens where a supervisor keeps the host.
 */
export function startEngine(lab: Lab, host: UnderlayHost): void {
  const home = lab.hostHome(host);
  home.makeFolders();
  const state = readRunState(home);
  const known = state?.components.find(({ name }) => name === 'engine')?.process;
  if (isAlive(state?.supervisor) || isAlive(known)) return;
  const { record } = launch(home, 'engine', insideArgv(host, privateEngine(home).argv));
  const engine = { name: 'engine', process: record, restarts: 0, since: new Date().toISOString() };
  home.writeFile('run/state.json', JSON.stringify({ components: [engine] }));
}

/** The engine of each host of a lab. Throws when one does not answer: an image must be everywhere, or pods wait for it. */
export async function enginesOf(home: Home): Promise<{ host: UnderlayHost; home: Home; socket: string }[]> {
  const lab = readLab(home);
  return Promise.all(
    lab.hosts.map(async (host) => {
      const { socket } = privateEngine(lab.hostHome(host));
      if (await askEngine(socket)) return { host, home: lab.hostHome(host), socket };
      throw new PintleError(
        'ENGINE_STOPPED',
        `the engine of ${host.name} does not answer`,
        `start that host first: ./pintle lab start ${host.name} --home ${home.folder}`,
      );
    }),
  );
}
