import { componentsOf, readRunState } from './components.ts';
import { openHome } from './home.ts';
import { isAlive } from './processes.ts';
import { ask } from './ready.ts';

interface ComponentLine {
  readonly name: string;
  readonly running: boolean;
  readonly pid?: number;
  readonly restarts: number;
  readonly since?: string;
  readonly lastExit?: string;
}

/** `status`: exit code 1 unless everything runs and the API answers. */
export async function status(options: { home?: string; json?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const config = home.read();
  const state = readRunState(home);
  const supervisorRuns = isAlive(state?.supervisor);
  const lines: ComponentLine[] = [
    {
      name: 'supervisor',
      running: supervisorRuns,
      pid: supervisorRuns ? state!.supervisor.pid : undefined,
      restarts: 0,
    },
    ...componentsOf(config).map((name) => {
      const one = state?.components.find((component) => component.name === name);
      const running = isAlive(one?.process);
      return {
        name,
        running,
        pid: running ? one!.process!.pid : undefined,
        restarts: one?.restarts ?? 0,
        since: one?.since,
        lastExit: one?.lastExit,
      };
    }),
  ];
  const ready = await ask(home, config, '/readyz');
  const healthy = ready?.ok === true && lines.every((line) => line.running);
  if (options.json)
    process.stdout.write(
      JSON.stringify({ home: home.folder, config, components: lines, apiReady: ready?.ok === true, healthy }) + '\n',
    );
  else {
    const text = [
      `home      ${home.folder}`,
      `api       https://127.0.0.1:${config.port} ${ready ? (ready.ok ? 'ready' : `not ready (HTTP ${ready.status})`) : 'does not answer'}`,
      `runtime   ${config.runtime}${config.engine ? ` at ${config.engine.socket}${config.engine.private ? ' (private)' : ''}` : ''}, proxy ${config.proxy}`,
      `ranges    pods ${config.podCidr}, services ${config.serviceCidr}, node ports ${config.nodePorts}`,
      '',
      `${'COMPONENT'.padEnd(14)}${'STATE'.padEnd(10)}${'PID'.padEnd(9)}${'RESTARTS'.padEnd(10)}SINCE`,
      ...lines.map(
        (line) =>
          `${line.name.padEnd(14)}${(line.running ? 'running' : 'stopped').padEnd(10)}${String(line.pid ?? '-').padEnd(9)}${String(line.restarts).padEnd(10)}${line.since ?? ''}${line.lastExit ? ` (last: ${line.lastExit})` : ''}`,
      ),
    ];
    process.stdout.write(`${text.join('\n')}\n`);
  }
  if (!healthy) {
    process.exitCode = 1;
    if (!options.json) process.stdout.write(`\nnext: ./pintle up --home ${home.folder}, or ./pintle logs\n`);
  }
}
