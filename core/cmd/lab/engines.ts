import type { UnderlayHost } from '../../../net/underlay/plan.ts';
import { launch, readRunState } from '../components.ts';
import { privateEngine } from '../engine.ts';
import { isAlive } from '../processes.ts';
import { insideArgv } from './inside.ts';
import type { Lab } from './record.ts';

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
